"""What every command line has in common: options, printing, ending.

A dataclass of settings yields its command line: a field made by `setting` with a help text is an
option, its annotated rule (schema.py) reads the value, its default stands in the help.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import logging
import signal
import socket
import sys
import threading
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Any, NoReturn, TextIO, TypeVar, get_args, get_origin

from nas.common.errors import UserError
from nas.common.schema import Choice, Flag, Float, Int, Seconds, read

MAX_MESSAGE = 1000  # characters of an error
INTERRUPTED = 130  # the exit code of whatever a signal ended
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # those that this system has
REPEAT = 1.0  # s; a terminal, make and timeout pass on one signal several times

Settings = TypeVar("Settings")


class Parser(argparse.ArgumentParser):
    """The parser of `python -m NAME`; a wrong command line is one line, as any other mistake."""

    def __init__(self, name: str, description: str = "", **more: Any) -> None:
        prog = more.pop("prog", f"python -m {name}")  # given to the parsers of sub-commands
        super().__init__(prog=prog, description=description, **more)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def value(rule: Any) -> Callable[[str], Any]:
    """An option's `type`: read by a rule of schema.py, `type=value(Int(1, 9))`."""

    def parse(text: str) -> Any:
        try:
            return rule.read(_plain(Annotated[Any, rule], text), "")
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(": ")) from None

    return parse


def setting(
    default: Any, help: str = "", *, flag: str = "", metavar: str = "", fixed: bool = False
) -> Any:
    """A dataclass's field that the command line knows of; without `help`, only YAML does.

    flag: instead of the field's name, `--eval-batch` for `eval_batch`. fixed: a run that goes on
    must keep it. A nested dataclass needs none: its own fields are looked at.
    """
    about = {"help": help, "flag": flag, "metavar": metavar, "fixed": fixed}
    if isinstance(default, list | dict | set):
        raise TypeError("a default that can be changed in place")
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True)
class Option:
    """One field as an option. path: of names from the root of the tree, `("fidelity", "epochs")`.

    flag: `--epochs`. hint: the field's annotated type. default: the tree's.
    """

    path: tuple[str, ...]
    flag: str
    hint: Any
    default: Any
    help: str
    metavar: str

    @property
    def dest(self) -> str:
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def full_help(self) -> str:
        return f"{self.help} (default {_written(self.default)})".replace("%", "%%")


def options_of(cls: Any) -> list[Option]:
    """The options of a tree of settings, in the order of its fields."""
    found = [
        Option(path, field.metadata["flag"] or "--" + field.name.replace("_", "-"), hint, default,
               field.metadata["help"], field.metadata["metavar"])
        for path, field, hint, default in _leaves(cls, cls())
        if field.metadata.get("help")
    ]  # fmt: skip
    flags = [option.flag for option in found]
    if len(set(flags)) < len(flags):
        raise TypeError(f"{cls.__name__}: two fields with one flag among {flags}")
    return found


def add_options(parser: argparse.ArgumentParser, cls: Any) -> None:
    """Give `parser` the options of a tree of settings; `with_options` reads what was given.

    `--flag` alone switches on; `--flag off` switches off. `none` stands for no value.
    """
    for option in options_of(cls):
        rule = _rule(option.hint)
        switch: dict[str, Any] = {"nargs": "?", "const": "on"} if isinstance(rule, Flag) else {}
        parser.add_argument(
            option.flag, dest=option.dest, help=option.full_help,
            metavar=option.metavar or _metavar(rule), **switch,
        )  # fmt: skip


def with_options(settings: Settings, args: argparse.Namespace) -> Settings:
    """`settings` with what the command line gives. UserError names the option it does not fit."""
    for option in options_of(type(settings)):
        given = getattr(args, option.dest, None)
        if given is not None:
            value = read(option.hint, _plain(option.hint, given), option.flag)
            settings = _replaced(settings, option.path, value)
    return settings


def given_options(cls: Any, args: argparse.Namespace) -> set[str]:
    """Dotted names of the settings that the command line gives, such as `fidelity.epochs`."""
    return {".".join(o.path) for o in options_of(cls) if getattr(args, o.dest, None) is not None}


def changed(before: Settings, after: Settings) -> dict[str, tuple[Any, Any]]:
    """Fixed settings that differ: {dotted name: (before, after)}. Those of a run's resumption."""
    cls = type(before)
    pairs = zip(_leaves(cls, before), _leaves(cls, after), strict=True)
    return {
        ".".join(path): (old, new)
        for (path, field, _, old), (_, _, _, new) in pairs
        if old != new and field.metadata.get("fixed")
    }


SEED = Int(0, 2**31 - 1)
TIME = Seconds(1.0, 1e9)  # such as 90s, 30m or 2h


def printable(text: str) -> str:
    """Text from files must not steer the terminal: what is not printable is a question mark."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def no_formula(value: Any) -> Any:
    """A cell for CSV: a spreadsheet would run a stranger's text that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple("=+-@")) else value


def say(text: str = "", file: TextIO | None = None) -> None:
    """Print, safely; nothing else in nas/ prints. file: stdout where none is given."""
    print(printable(text), file=file or sys.stdout, flush=True)


def note(text: str) -> None:
    """What happens meanwhile, on stderr: the result alone is on stdout."""
    say(text, sys.stderr)


def show(found: Any, as_json: bool, text: Callable[[], str]) -> None:
    """The result of a command: as JSON, or as the text that `text` makes of it."""
    say(json.dumps(found) if as_json else text())


def exit_code(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Run a command line and end in one way, whatever happens.

    0, or what `main` returns; 2: the user's mistake, in one line; 1: the system's (disk full, no
    permission), in one line; 130: a signal (Ctrl-C, SIGTERM, a closed terminal).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    _log_to_stderr()
    try:
        with ending_signals():
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
    except KeyboardInterrupt:
        say("interrupted", sys.stderr)
        return INTERRUPTED


@contextmanager
def ending_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal all raise KeyboardInterrupt in the main thread.

    Ctrl-C even where a shell's background job ignores it; not SIGHUP where nohup has it ignored.
    """
    last = -REPEAT

    def end(number: int, frame: types.FrameType | None) -> None:
        nonlocal last
        repeated, last = monotonic() - last < REPEAT, monotonic()
        if not repeated:
            raise KeyboardInterrupt

    before = _handlers()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN or number == signal.SIGINT:
            signal.signal(number, end)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Around what is short and must not be cut in two: a signal ends the command after it."""
    ours, came = {n: h for n, h in _handlers().items() if callable(h)}, list[int]()
    _restore(dict.fromkeys(ours, lambda number, frame: came.append(number)))
    try:
        yield
    finally:
        _restore(ours)
    if came:  # an error of the block ends the command too, and says why
        raise KeyboardInterrupt


@contextmanager
def kept_signals() -> Iterator[None]:
    """Around a library that puts handlers of its own in place (Ray): ours stand again afterwards.

    A signal that came meanwhile ends the command as it would have done.
    """
    ours = _handlers()
    if not ours:
        yield
        return
    came, tell = socket.socketpair()
    came.setblocking(False)
    tell.setblocking(False)
    before = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        _restore(ours)
        try:
            numbers = set(came.recv(4096))
        except BlockingIOError:
            numbers = set()
        came.close()
        tell.close()
        if any(callable(ours.get(number)) for number in numbers):
            raise KeyboardInterrupt


def _handlers() -> dict[int, Any]:
    """What ends a command: each signal's handler; none in a thread, which may set none."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    return {number: signal.getsignal(number) for number in numbers}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


class _Stderr(logging.Handler):
    """The library's messages, a line each, to whatever stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), sys.stderr)


def _log_to_stderr() -> None:
    log = logging.getLogger("nas")
    if not log.handlers:
        log.addHandler(_Stderr())
        log.setLevel(logging.INFO)


def _complain(error: Exception) -> None:
    """One line, and no flood of text from a file."""
    say("error: " + " ".join(str(error).split())[:MAX_MESSAGE], sys.stderr)


def _leaves(
    cls: Any, tree: Any, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dataclasses.Field[Any], Any, Any]]:
    """(path, field, annotated type, value) of each field that holds no dataclass."""
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        path, value = (*above, field.name), getattr(tree, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _leaves(hints[field.name], value, path)
        else:
            yield path, field, hints[field.name], value


def _replaced(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    if len(path) > 1:
        value = _replaced(getattr(tree, path[0]), path[1:], value)
    return dataclasses.replace(tree, **{path[0]: value})


def _rule(hint: Any) -> Any:
    """The rule of a field's values, or of the items of a tuple."""
    if get_origin(hint) is Annotated:
        return get_args(hint)[1]
    inner = [arg for arg in get_args(hint) if arg not in (types.NoneType, ...)]
    if not inner:
        raise TypeError(f"no option for {hint!r}")
    return _rule(inner[0])


def _plain(hint: Any, text: str) -> Any:
    """The option's text as YAML would have it; what is no such value is left for the rule."""
    if get_origin(hint) is Annotated:
        rule = get_args(hint)[1]
        if isinstance(rule, Flag):
            return {"on": True, "off": False}.get(text, text)
        return _number(text) if isinstance(rule, Int | Float) else text
    if get_origin(hint) is tuple:
        each = get_args(hint)[0]
        return [] if text == "none" else [_plain(each, part) for part in text.split(",")]
    (other,) = (arg for arg in get_args(hint) if arg is not types.NoneType)
    return None if text == "none" else _plain(other, text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _metavar(rule: Any) -> str:
    if isinstance(rule, Choice):
        return "|".join(rule.options)
    names = {Int: "N", Float: "X", Seconds: "TIME", Flag: "on|off"}
    return names.get(type(rule), "NAME")


def _written(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
