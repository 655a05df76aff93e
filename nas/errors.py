"""What a user did wrong, and how every command line reports it: one line and exit code 2."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class UserError(ValueError):
    """A mistake of the user's. The message says where, what was found and what is allowed."""


def did_you_mean(word: object, allowed: Iterable[object]) -> str:
    """`" (did you mean 'inverted'?)"`, or an empty string when nothing allowed is close."""
    close = difflib.get_close_matches(str(word), [str(a) for a in allowed], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def one_of(where: str, found: object, allowed: Iterable[object], what: str = "value") -> UserError:
    """The error for a choice that is not among the allowed ones."""
    allowed = list(allowed)
    expected = ", ".join(str(a) for a in allowed)
    return UserError(
        f"{where}: unknown {what} {found!r}; expected one of {expected}"
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
    """The value. UserError when it is no JSON."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON: {error}") from None


def read_json(path: Path, limit: int = 4 << 20) -> Any:
    """The value in a JSON file. UserError names the line where it is broken."""
    return parse_json(read_text(path, limit), str(path))


def exit_code(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Run a command line; a UserError becomes one line on stderr and exit code 2."""
    try:
        return main(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output (head, less) went away
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
