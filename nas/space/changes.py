"""In which genes a child differs from its parent: what a genealogy records. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from nas.arch.block import SearchableBlock
from nas.space.genotype import Genotype, dotted, gene, shared_paths


@dataclass(frozen=True)
class Change:
    """One difference of a child from its parent.

    gene: its path, such as "stages.1.blocks.0.kernel". A block that was inserted has no `old`, a
    block that was removed no `new`; blocks are given as their kind and genes.
    """

    gene: str
    old: Any
    new: Any


def changes(parent: Genotype, child: Genotype) -> tuple[Change, ...]:
    """In which genes a child differs from its parent, whatever operators and repairs did it."""
    found: list[Change] = []
    for path in shared_paths(parent, child):
        old, new = gene(parent, path), gene(child, path)
        if path[-1] == "blocks":
            found += _changed_blocks(dotted(path), old, new)
        elif old != new:
            found.append(Change(dotted(path), old, new))
    return tuple(found)


def _changed_blocks(
    where: str, old: tuple[SearchableBlock, ...], new: tuple[SearchableBlock, ...]
) -> Iterator[Change]:
    """Gene by gene where a block keeps its kind, else whole blocks."""
    for _, i, end_i, j, end_j in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        pairs = min(end_i - i, end_j - j)
        for at in range(j, j + pairs):
            a, b = old[i + at - j], new[at]
            if a.kind == b.kind:
                yield from (
                    Change(f"{where}.{at}.{name}", value, getattr(b, name))
                    for name, value in vars(a).items()
                    if value != getattr(b, name)
                )
            else:
                yield Change(f"{where}.{at}", _plain(a), _plain(b))
        for at, a in enumerate(old[i + pairs : end_i], i + pairs):
            yield Change(f"{where}.{at}", _plain(a), None)
        for at, b in enumerate(new[j + pairs : end_j], j + pairs):
            yield Change(f"{where}.{at}", None, _plain(b))


def _plain(block: SearchableBlock) -> dict[str, Any]:
    genes = {k: v for k, v in vars(block).items() if k not in ("channels", "stride")}
    return {"kind": block.kind, **genes}
