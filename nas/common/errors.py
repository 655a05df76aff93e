"""What a user did wrong: one exception, and the phrases of its messages."""

from __future__ import annotations

import difflib
import importlib
import os
import sysconfig
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
MAX_SHOWN = 100  # characters of a value in a message


class UserError(ValueError):
    """A mistake of the user's. The message says where, what was found and what is allowed."""


def shown(value: object) -> str:
    """`repr` for a message: short, whatever a file holds."""
    try:
        text = repr(value)
    except ValueError:  # Python prints no integer of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def quoted(names: Iterable[str]) -> str:
    """Names in a message, with their white space to be seen: `'a', 'b '`."""
    return ", ".join(map(repr, names))


def expect(value: Any, kinds: type | tuple[type, ...], where: str, expected: str) -> None:
    """UserError unless it is one of these types: a mistake in Python is one line, too."""
    if not isinstance(value, kinds):
        raise UserError(f"{where}: found {shown(value)}; expected {expected}")


def as_path(value: Any, where: str) -> Path:
    """A path given in Python. UserError where it is none."""
    expect(value, (str, os.PathLike), where, "a path")
    return Path(value)


def did_you_mean(
    word: object, allowed: Iterable[object], places: Mapping[str, str] | None = None
) -> str:
    """`" (did you mean 'inverted'?)"`, or an empty string when nothing allowed is close.

    places: what is said instead of some of the allowed words.
    """
    if not isinstance(word, str) or len(word) > MAX_SHOWN:  # matching long words takes for ever
        return ""
    for close in difflib.get_close_matches(word, [str(a) for a in allowed], n=1):
        return f" (did you mean {(places or {}).get(close, close)!r}?)"
    return ""


def one_of(where: str, found: object, allowed: Iterable[object], what: str = "value") -> UserError:
    """The error for a choice that is not among the allowed ones."""
    allowed = list(allowed)
    expected = ", ".join(str(a) for a in allowed)
    return UserError(
        f"{where}: unknown {what} {shown(found)}; expected one of {expected}"
        f"{did_you_mean(found, allowed)}"
    )


def first_line(error: BaseException | str) -> str:
    """What a library complains of, in one line; the exception's name where it says nothing.

    A first line that ends in a colon is a heading, and is told with the line below it. At most
    300 characters: PyTorch lists every tensor that it misses.
    """
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])[:300]


def most_often(errors: Sequence[str]) -> str:
    """What most of these errors say, in their first line: `3 of 4 with RuntimeError: no board`."""
    ((line, count),) = Counter(map(first_line, errors)).most_common(1)
    return f"{count} of {len(errors)} with {line}"


def told(error: BaseException) -> str:
    """What a user's own code raised, and where in it: `KeyError: 'x' (blocks.py, line 7)`."""
    message = f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, SyntaxError):  # it names the place itself
        return message
    frames = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    theirs = [(path, line) for path, line in frames if not path.is_relative_to(PACKAGE)
              and not path.name.startswith("<") and path != Path(importlib.__file__)]  # fmt: skip
    # The deepest of their own lines; of a plugin that was installed, the deepest of all.
    own = [f for f in theirs if not any(f[0].is_relative_to(folder) for folder in LIBRARIES)]
    if not theirs:
        return message
    path, line = (own or theirs)[-1]
    return f"{message} ({path.name}, line {line})"
