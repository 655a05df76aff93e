"""docs/search-space.md, from the code: `python -m nas.space.reference > docs/search-space.md`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from inspect import cleandoc
from itertools import takewhile
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin

from nas.arch.block import searchable_kinds
from nas.common.cli import say
from nas.common.files import read_text
from nas.common.resources import SEARCH_SPACES
from nas.common.schema import Choice, Choices, Flag, Float, Int, Text, hints
from nas.space.space import SearchSpace
from nas.space.spec import Constraints, HeadSpec, InputSpec, SpaceSpec, StageSpec, StemSpec

INTRODUCTION = """# The search space file

After this page you can write a search space of your own: which networks a search may try. It is a
YAML file; `--space FILE` takes it, `--space NAME` one of those that ship.
`python -m nas.search --space FILE --dry-run` prints its size and a sample, with `--data` and
`--set constraints=...` as the search would have it.

A list is a choice, a scalar is fixed: `kernel: [3, 5]` is searched, `kernel: 3` is not. "Choice"
below stands for either. A key without a default must be given; a short example is
`search_spaces/quick.yaml`. This page is made from the code, by `python -m nas.space.reference`.
"""

SECTIONS = (
    ("The file", SpaceSpec),
    ("`input`", InputSpec),
    ("`stem`", StemSpec),
    ("`stages`, a list", StageSpec),
    ("`head`", HeadSpec),
    ("`constraints`", Constraints),
)

BLOCKS = """## `blocks`

A stage names the kinds of block that it may hold; here stands what their fields may be. Width and
stride are the stage's. A block of your own is one class: `examples/own_block.py`.
"""


def page() -> str:
    """The page, as Markdown."""
    parts = [INTRODUCTION, "## The spaces that ship\n", _shipped()]
    for title, cls in SECTIONS:
        parts += [f"## {title}\n", _table(_rows(cls))]
    parts.append(BLOCKS)
    for kind, block in searchable_kinds().items():
        rows = [(name, _type(Choices(rule)), _shown(default), _about(rule))
                for name, (rule, default) in block.genes().items()]  # fmt: skip
        parts += [f"### `{kind}`\n\n{cleandoc(block.__doc__ or '')}\n", _table(rows)]
    return "\n".join(parts)


Row = tuple[str, ...]


def _shipped() -> str:
    rows = []
    for name in SEARCH_SPACES.names():
        path = SEARCH_SPACES.path(name)
        space, lines = SearchSpace.load(path), read_text(path).splitlines()
        comment = takewhile(lambda line: line.startswith("#"), lines)
        about = " ".join(line.removeprefix("# ") for line in comment)
        kinds = dict.fromkeys(kind for stage in space.stages for kind in stage.blocks)
        rows.append((f"`{name}`", f"{space.size():.0e}", ", ".join(kinds), about))
    return _table(rows, ("space", "networks", "kinds of block", "for"))


def _rows(cls: Any) -> list[Row]:
    rules = hints(cls)
    return [
        (f.name, _type(rules[f.name]), _default(f), _about(rules[f.name]))
        for f in dataclasses.fields(cls)
    ]


def _table(rows: Iterable[Row], head: Row = ("key", "type", "default", "meaning")) -> str:
    rows = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _about(hint: Any) -> str:
    if get_origin(hint) is not Annotated:
        return ""
    return " ".join(text for text in get_args(hint)[1:] if isinstance(text, str))


def _type(rule: Any) -> str:
    """What a rule or an annotated type takes, in words."""
    if get_origin(rule) is Annotated:
        inner, *about = get_args(rule)
        found = [r for r in about if not isinstance(r, str)]
        return _type(found[0] if found else inner)
    if get_origin(rule) is UnionType or NoneType in get_args(rule):
        return _type(next(arg for arg in get_args(rule) if arg is not NoneType))
    match rule:
        case Choices():
            return f"choice of {_type(rule.each)}"
        case Int():
            if rule.low == rule.high:
                return str(rule.low)
            return f"{'odd ' if rule.odd else ''}integer {rule.low} to {rule.high}"
        case Float():
            return f"number {rule.low:g} to {rule.high:g}"
        case Choice():
            return ", ".join(rule.options)
        case Flag():
            return "true, false"
        case Text():
            return f"text of at most {rule.limit} characters"
    if get_origin(rule) is tuple:
        return "list of mappings"
    return str(getattr(rule, "about", "mapping"))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return ""
    default = field.default
    if dataclasses.is_dataclass(default) or default in (None, dataclasses.MISSING):
        return "nothing"
    return _shown(default[0] if isinstance(default, tuple) else default)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "0" if value == () else str(value)


if __name__ == "__main__":
    say(page().rstrip())
