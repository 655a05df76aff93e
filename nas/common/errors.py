"""What a user did wrong, and how every command line reports it: one line and exit code 2."""

from __future__ import annotations

import difflib
import io
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

MAX_SHOWN = 100  # characters of a value in a message
MAX_MESSAGE = 1000


class UserError(ValueError):
    """A mistake of the user's. The message says where, what was found and what is allowed."""


def shown(value: object) -> str:
    """`repr` for a message: short, whatever a file holds."""
    try:
        text = repr(value)
    except ValueError:  # Python prints no integer of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def did_you_mean(word: object, allowed: Iterable[object]) -> str:
    """`" (did you mean 'inverted'?)"`, or an empty string when nothing allowed is close."""
    if not isinstance(word, str) or len(word) > MAX_SHOWN:  # matching long words takes for ever
        return ""
    close = difflib.get_close_matches(word, [str(a) for a in allowed], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def one_of(where: str, found: object, allowed: Iterable[object], what: str = "value") -> UserError:
    """The error for a choice that is not among the allowed ones."""
    allowed = list(allowed)
    expected = ", ".join(str(a) for a in allowed)
    return UserError(
        f"{where}: unknown {what} {shown(found)}; expected one of {expected}"
        f"{did_you_mean(found, allowed)}"
    )


def first_line(error: BaseException) -> str:
    """What a library complains of, in one line; the exception's name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def read_text(path: Path, limit: int = 4 << 20) -> str:
    """The text of a small UTF-8 file. UserError when it is missing, a folder, binary or too big."""
    try:
        with open(path, "rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None
    if len(raw) > limit:
        raise UserError(f"{path}: larger than {limit} bytes; expected a small text file")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a UTF-8 text file") from None


def parse_json(text: str, where: str) -> Any:
    """The value. UserError when it is no JSON, or a key stands twice."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON: {first_line(error)}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"key {shown(twice)} stands twice")
    return found


def read_json(path: Path, limit: int = 4 << 20) -> Any:
    """The value in a JSON file. UserError names the line where it is broken."""
    return parse_json(read_text(path, limit), str(path))


def exit_code(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Run a command line; a UserError becomes one line on stderr and exit code 2.

    An error of the operating system (disk full, no permission) is one line too, and exit code 1.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
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
        print("interrupted", file=sys.stderr)
        return 130


def _complain(error: Exception) -> None:
    """One line; text from a file must neither flood the terminal nor steer it."""
    line = " ".join(str(error).split())[:MAX_MESSAGE]
    print("error:", "".join(c if c.isprintable() else "?" for c in line), file=sys.stderr)
