"""Plain data (parsed JSON or YAML) -> frozen dataclasses, with errors that name the place.

Fields are annotated with a rule, `kernel: Annotated[int, Int(1, 11, odd=True)]`; text that stands
beside it says what the field is. A tuple is read
from a list, a dataclass from a mapping.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, overload

from nas.common.aliases import current_names
from nas.common.errors import UserError, did_you_mean, one_of, shown

MAX_ITEMS = 256
T = TypeVar("T")
Reader = Callable[[object, str], Any]  # of a value, and of where it stands
LARGEST = 2**63  # of any number in a file, whatever its rule allows


@dataclass(frozen=True)
class Int:
    """An integer in [low, high]; integral floats are coerced, so that 3 and 3.0 are one value."""

    low: int
    high: int
    odd: bool = False

    def read(self, value: object, where: str) -> int:
        number = _number(value, where)
        if number != int(number):
            raise UserError(f"{where}: must be an integer, got {shown(value)}")
        if not self.low <= number <= self.high:
            raise UserError(f"{where}: must be in [{self.low}, {self.high}], got {shown(value)}")
        if self.odd and int(number) % 2 == 0:
            raise UserError(f"{where}: must be odd, got {shown(value)}")
        return int(number)


SEED = Int(0, 2**31 - 1)


@dataclass(frozen=True)
class Float:
    """A finite number in [low, high]."""

    low: float
    high: float

    def read(self, value: object, where: str) -> float:
        number = float(_number(value, where))
        if not self.low <= number <= self.high:
            raise UserError(
                f"{where}: must be in [{self.low:g}, {self.high:g}], got {shown(value)}"
            )
        return number + 0.0  # -0.0 becomes 0.0


@dataclass(frozen=True)
class Number:
    """A finite number of any size; an integer stays one."""

    def read(self, value: object, where: str) -> float:
        return _number(value, where)


@dataclass(frozen=True)
class Numbers:
    """So many numbers in [low, high], read into a tuple."""

    count: int
    low: float = -LARGEST
    high: float = LARGEST

    def read(self, value: object, where: str) -> tuple[float, ...]:
        if not isinstance(value, list | tuple) or len(value) != self.count:
            raise UserError(f"{where}: expected {self.count} numbers, got {shown(value)}")
        return _read_tuple(Float(self.low, self.high).read, value, where)


@dataclass(frozen=True)
class Map:
    """A mapping of names to values of `each`."""

    each: Any

    def read(self, value: object, where: str) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise UserError(f"{where}: must be a mapping, got {shown(value)}")
        return {name: read(self.each, v, f"{where}.{name}") for name, v in value.items()}


@dataclass(frozen=True)
class Plain:
    """Any value that JSON can hold."""

    def read(self, value: object, where: str) -> Any:
        return value


@dataclass(frozen=True)
class Seconds:
    """A time in [low, high] seconds: a number, or text such as 90s, 30m or 2h."""

    low: float
    high: float

    def read(self, value: object, where: str) -> float:
        if isinstance(value, str):
            unit = {"s": 1, "m": 60, "h": 3600}.get(value[-1:], 0)
            try:
                value = float(value[:-1]) * unit if unit else float(value)
            except ValueError:
                raise UserError(
                    f"{where}: expected a time such as 90s, 30m or 2h, got {shown(value)}"
                ) from None
        return Float(self.low, self.high).read(value, where)


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    options: tuple[str, ...]
    what: str = "value"

    def read(self, value: object, where: str) -> str:
        if isinstance(value, bool):
            raise UserError(
                f"{where}: got {value}; YAML reads unquoted on, off, yes and no as true or false: "
                f"quote the word; expected one of {', '.join(self.options)}"
            )
        if value not in self.options:
            raise one_of(where, value, self.options, self.what)
        return str(value)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def read(self, value: object, where: str) -> bool:
        if not isinstance(value, bool):
            raise UserError(f"{where}: must be true or false, got {shown(value)}")
        return value


@dataclass(frozen=True)
class Text:
    """A string of bounded length."""

    limit: int = 4096

    def read(self, value: object, where: str) -> str:
        if not isinstance(value, str) or len(value) > self.limit:
            raise UserError(f"{where}: must be text of at most {self.limit} characters")
        return value


@dataclass(frozen=True)
class Name:
    """What a class or a data set may be called: it is printed, and it names files."""

    def read(self, value: object, where: str) -> str:
        text = value if isinstance(value, str) else ""
        if not 0 < len(text) <= 100 or not text.isprintable() or "/" in text:
            raise UserError(f"{where}: expected a name of 1 to 100 characters, got {shown(value)}")
        return text


@dataclass(frozen=True)
class Choices:
    """A list is a choice, a scalar is fixed: read into a tuple of distinct values of `each`."""

    each: Any

    def read(self, value: object, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            return (read(self.each, value, where),)
        if not value:
            raise UserError(f"{where}: an empty list leaves no choice")
        found = _read_tuple(partial(read, self.each), value, where)
        if len(set(found)) != len(found):
            raise UserError(f"{where}: the same value stands twice in {shown(value)}")
        return found


@overload
def read(hint: type[T], value: object, where: str) -> T: ...
@overload
def read(hint: Any, value: object, where: str) -> Any: ...
def read(hint: Any, value: object, where: str) -> Any:
    """`value` read as the annotated type `hint`. UserError names `where` it does not fit."""
    return _reader(hint)(value, where)


@cache
def _reader(hint: Any) -> Reader:
    """What reads values of an annotated type: found once, archives have thousands of genomes."""
    if hasattr(hint, "read") and not isinstance(hint, type):
        return cast(Reader, hint.read)
    if get_origin(hint) is Annotated:
        inner, *about = get_args(hint)
        return _reader(next((rule for rule in about if hasattr(rule, "read")), inner))
    if get_origin(hint) in (types.UnionType, typing.Union):
        (other,) = (o for o in get_args(hint) if o is not types.NoneType)
        return partial(_read_optional, _reader(other))
    if get_origin(hint) is tuple:
        return partial(_read_tuple, _reader(get_args(hint)[0]))
    if dataclasses.is_dataclass(hint):
        return partial(_read_dataclass, hint)
    raise TypeError(f"no rule to read {hint!r}")


def flatten(data: Any, where: str = "") -> dict[str, Any]:
    """Nested plain data as dotted keys."""
    if isinstance(data, dict):
        items: Iterator[tuple[Any, Any]] = iter(data.items())
    elif isinstance(data, list):
        items = iter(enumerate(data))
    else:
        return {where: data}
    found: dict[str, Any] = {}
    for key, value in items:
        found |= flatten(value, f"{where}.{key}" if where else str(key))
    return found


def _number(value: object, where: str) -> int | float:
    if isinstance(value, str) and _is_number(value):
        raise UserError(
            f"{where}: got the text {shown(value)}; YAML takes an exponent without a dot as text: "
            f"write {float(value)!r}"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: must be a number, got {shown(value)}")
    if not -LARGEST <= value <= LARGEST:  # NaN included
        raise UserError(f"{where}: must be finite and within 2**63, got {shown(value)}")
    return value


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _read_optional(read_other: Reader, value: object, where: str) -> Any:
    return None if value is None else read_other(value, where)


def _read_tuple(read_each: Reader, value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UserError(f"{where}: must be a list, got {shown(value)}")
    if len(value) > MAX_ITEMS:
        raise UserError(f"{where}: {len(value)} items, at most {MAX_ITEMS} are allowed")
    return tuple(read_each(v, f"{where}[{i}]") for i, v in enumerate(value))


def replaced(tree: Any, path: Sequence[str | int], value: Any) -> Any:
    """A copy of nested frozen dataclasses and tuples, with another value at a path."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(key, int):
        return (*tree[:key], replaced(tree[key], rest, value), *tree[key + 1 :])
    return dataclasses.replace(tree, **{key: replaced(getattr(tree, key), rest, value)})


def checked_fields(made: Any) -> None:
    """For `__post_init__` of a frozen dataclass: made in Python, it obeys the rules of a file.

    UserError names class and field. What a rule coerces (3.0 to 3) is kept so.
    """
    name = type(made).__name__
    for field, hint in hints(type(made)).items():
        value = getattr(made, field)
        if not isinstance(hint, type):
            object.__setattr__(made, field, read(hint, value, f"{name}: {field}"))
        elif not isinstance(value, hint):  # another dataclass, which has checked itself
            raise UserError(f"{name}: {field}: must be {hint.__name__}(...), got {shown(value)}")


def hints(cls: Any) -> dict[str, Any]:
    """{field: annotated type} of a dataclass, in order."""
    return _hints(cls)  # a type checker finds some classes unhashable


@cache
def _hints(cls: Any) -> dict[str, Any]:
    found = typing.get_type_hints(cls, include_extras=True)
    return {field.name: found[field.name] for field in dataclasses.fields(cls)}


@cache
def _required(cls: Any) -> tuple[str, ...]:
    missing = dataclasses.MISSING
    return tuple(
        field.name for field in dataclasses.fields(cls)
        if field.default is missing and field.default_factory is missing
    )  # fmt: skip


def _one_level_down(known: dict[str, Any]) -> dict[str, str]:
    """Keys that only mappings inside have, and their places: {"epochs": "fidelity.epochs"}."""
    inner = [(name, hint) for name, hint in known.items() if dataclasses.is_dataclass(hint)]
    return {  # of two places, the first
        key: f"{name}.{key}"
        for name, hint in reversed(inner) for key in hints(hint) if key not in known
    }  # fmt: skip


def _read_dataclass(cls: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where}: must be a mapping, got {shown(value)}")
    known = hints(cls)
    value = current_names(cls.__name__, value)
    for key in value:
        if key not in known:
            below = _one_level_down(known)
            raise UserError(
                f"{where}: unknown key {shown(key)}; expected {', '.join(known)}"
                f"{did_you_mean(key, [*known, *below], below)}"
            )
    given = {key: read(known[key], v, f"{where}.{key}") for key, v in value.items()}
    for name in _required(cls):
        if name not in given:
            raise UserError(f"{where}: {name} is missing")
    return cls(**given)
