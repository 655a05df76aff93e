"""Settings as options of a command line.

A dataclass of settings yields its command line: a field made by `setting` with a help text is an
option, its annotated rule (schema.py) reads the value, its default stands in the help.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

from nas.common.errors import UserError, did_you_mean
from nas.common.files import parse_yaml
from nas.common.schema import Choice, Flag, Float, Int, Seconds, hints, read, replaced

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")


def setting(default: Any, help: str = "", *, metavar: str = "", fixed: bool = False) -> Any:
    """A dataclass's field that the command line knows of; without `help`, only YAML does.

    fixed: a run that goes on must keep it. A nested dataclass needs none: its own fields are
    looked at.
    """
    about = {"help": help, "metavar": metavar, "fixed": fixed}
    if isinstance(default, list | dict | set):
        raise TypeError("a default that can be changed in place")
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True)
class Option:
    """One field as an option. path: of names from the root of the tree, `("fidelity", "epochs")`.

    hint: the field's annotated type. default: the tree's.
    """

    path: tuple[str, ...]
    hint: Any
    default: Any
    help: str
    metavar: str

    @property
    def dest(self) -> str:
        """The field's name, which the parsed arguments have."""
        return self.path[-1]

    @property
    def flag(self) -> str:
        """`--time-budget` of the field `time_budget`."""
        return "--" + self.dest.replace("_", "-")

    @property
    def full_help(self) -> str:
        default = "" if self.default == "" else f" (default {written(self.default)})"
        return f"{self.help}{default}".replace("%", "%%")


def options_of(cls: Any) -> list[Option]:
    """The options of a tree of settings, in the order of its fields."""
    found = [
        Option(path, hint, default, field.metadata["help"], field.metadata["metavar"])
        for path, field, hint, default in _leaves(cls, cls())
        if field.metadata.get("help")
    ]
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
            metavar=option.metavar or metavar_of(rule), **switch,
        )  # fmt: skip


def with_options(settings: Settings, args: argparse.Namespace) -> Settings:
    """`settings` with what the command line gives. UserError names the option it does not fit."""
    for option in options_of(type(settings)):
        given = getattr(args, option.dest, None)
        if given is not None:
            value = read(option.hint, _plain(option.hint, given), option.flag)
            settings = replaced(settings, option.path, value)
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


def add_set(parser: argparse.ArgumentParser, help: str) -> None:
    """`--set KEY=VALUE ...`, as `keys`, each of which `with_key` reads."""
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE", dest="keys", help=help
    )


def with_key(settings: Settings, text: str) -> Settings:
    """`fidelity.epochs=5`: one value of the tree, written as in YAML; any field, of `--set`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set: expected KEY=VALUE, got {text!r}")
    return with_values(settings, {key: parse_yaml(value, f"--set: {key}")}, "--set")


def with_values(settings: Settings, values: Mapping[str, Any], where: str) -> Settings:
    """With plain values by the names of options (`epochs`) or of the YAML (`fidelity.epochs`)."""
    plain = dataclasses.asdict(settings)
    paths = {option.dest: option.path for option in options_of(type(settings))}
    for name, value in values.items():
        *above, last = paths.get(name) or name.split(".")
        place: Any = plain
        for part in above:
            place = place.get(part) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            names = [".".join(path) for path, *_ in _leaves(type(settings), settings)]
            raise UserError(
                f"{where}: {name}: no such setting; expected names as in the YAML"
                f"{did_you_mean(name, names)}"
            )
        place[last] = value
    return read(type(settings), plain, where)


def value(rule: Any) -> Callable[[str], Any]:
    """An option's `type`: read by a rule of schema.py, `type=value(Int(1, 9))`."""

    def parse(text: str) -> Any:
        try:
            return rule.read(_plain(Annotated[Any, rule], text), "")
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(": ")) from None

    return parse


def _leaves(
    cls: Any, tree: Any, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dataclasses.Field[Any], Any, Any]]:
    """(path, field, annotated type, value) of each field that holds no dataclass."""
    for field, hint in zip(dataclasses.fields(cls), hints(cls).values(), strict=True):
        path, value = (*above, field.name), getattr(tree, field.name)
        if dataclasses.is_dataclass(hint):
            yield from _leaves(hint, value, path)
        else:
            yield path, field, hint, value


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


def metavar_of(rule: Any) -> str:
    if isinstance(rule, Choice):
        return "|".join(rule.options)
    names = {Int: "N", Float: "X", Seconds: "TIME", Flag: "on|off"}
    return names.get(type(rule), "NAME")


def written(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
