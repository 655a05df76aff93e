"""What every command has in common: its parser, what it prints, how it ends."""

from __future__ import annotations

import argparse
import io
import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

from nas.common.errors import UserError, did_you_mean, shown
from nas.common.options import metavar_of, value, written
from nas.common.schema import SEED, Int, Seconds
from nas.common.signals import ending_signals

MAX_MESSAGE = 1000  # characters of an error
INTERRUPTED = 130  # the exit code of whatever a signal ended
PORTS = Int(0, 65535)
TIME = Seconds(1.0, 1e9)  # such as 90s, 30m or 2h


class Parser(argparse.ArgumentParser):
    """The parser of `python -m NAME`; a wrong command line is one line, as any other mistake."""

    def __init__(self, name: str = "", description: str = "", **more: Any) -> None:
        prog = more.pop("prog", f"python -m {name}")  # given to the parsers of sub-commands
        super().__init__(prog=prog, description=description, **more)

    def add_value(self, flag: str, rule: Any, help: str, default: Any = None, **more: Any) -> None:
        """An option that a rule of schema.py reads; its default stands in the help."""
        about = help if default is None else f"{help} (default {written(default)})"
        more.setdefault("metavar", metavar_of(rule))
        self.add_argument(flag, type=value(rule), default=default, help=about, **more)

    def add_port(self, flag: str, default: int, help: str) -> None:
        """`--flag` alone takes the default port."""
        about = f"{help} (default port {default})"
        self.add_value(flag, PORTS, about, nargs="?", const=default, metavar="PORT")

    def add_seed(self, of: str = "the first seed") -> None:
        self.add_value("--seed", SEED, of, 0)

    def add_device(self) -> None:
        self.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default auto)")

    def add_json(self, result: str = "the result") -> None:
        self.add_argument("--json", action="store_true", help=f"print {result} as JSON")

    def error(self, message: str) -> NoReturn:
        left = message.removeprefix("unrecognized arguments: ")
        if left != message:
            message += did_you_mean(re.split("[ =]", left)[0], self._option_string_actions)
        raise UserError(f"{message}; see {self.prog} --help")


def read_seeds(given: int | Sequence[int]) -> list[int]:
    """How many, from 0, or which. UserError where there is none, or one twice."""
    some: Sequence[int] = range(given) if type(given) is int else ()
    if isinstance(given, list | tuple | range):
        some = given
    seeds = [SEED.read(seed, "seeds") for seed in some]
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"seeds: found {shown(given)}; expected how many, or different ones")
    return seeds


def printable(text: str) -> str:
    """Text from files must not steer the terminal: what is not printable is a question mark."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def no_formula(value: Any) -> Any:
    """A cell for CSV: a spreadsheet would run a stranger's text that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple("=+-@")) else value


def say(text: str = "", file: TextIO | None = None) -> None:
    """Print, safely; nothing else in nas/ prints. file: stdout where none is given."""
    stream = file or sys.stdout
    try:
        print(printable(text), file=stream, flush=True)
    except OSError as error:  # such as a full disk: the system does not say whose
        raise OSError(error.errno, error.strerror, getattr(stream, "name", "output")) from None


def note(text: str) -> None:
    """What happens meanwhile, on stderr: the result alone is on stdout."""
    say(text, sys.stderr)


def show(found: Any, as_json: bool, text: Callable[[], str]) -> None:
    """The result of a command: as JSON, or as the text that `text` makes of it."""
    say(json.dumps(found) if as_json else text())


def exit_code(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Run a command line and end in one way, whatever happens.

    0, or what `main` returns (1: nothing succeeded, or not all that was asked for); 2: the user's
    mistake, in one line; 1: the system's (disk full, no permission), in one line; 130: a signal
    (Ctrl-C, SIGTERM, a closed terminal).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    before, threading.excepthook = threading.excepthook, _thread_ended
    try:
        with log_to_stderr(), ending_signals():
            return main(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        _complain(error)
        return 2
    except BrokenPipeError:  # the reader of our output (head, less) went away
        sys.stderr.close()
        return 0
    except OSError as error:
        _complain(error)
        return 1
    except KeyboardInterrupt as error:
        say(f"interrupted{error}", sys.stderr)
        return INTERRUPTED
    finally:
        threading.excepthook = before


@contextmanager
def resumable(so: str = "", by: str = "the same command") -> Iterator[None]:
    """Whatever ends the block from outside is told with how the work goes on, and by what."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"; {by} goes on{so}") from None


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    """The system's troubles in a library's own thread (TensorBoard's on a full disk): one line."""
    if isinstance(args.exc_value, OSError):
        note(f"{args.exc_value}")
    else:
        threading.__excepthook__(args)


class _Stderr(logging.Handler):
    """The library's messages, a line each, to whatever stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), sys.stderr)


@contextmanager
def log_to_stderr(wanted: bool = True) -> Iterator[None]:
    """What the library logs in the block, on stderr, unless it goes somewhere already."""
    log, handler = logging.getLogger("nas"), _Stderr()
    if not wanted or log.handlers:
        yield
        return
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _complain(error: Exception) -> None:
    """One line, and no flood of text from a file."""
    say("error: " + " ".join(str(error).split())[:MAX_MESSAGE], sys.stderr)
