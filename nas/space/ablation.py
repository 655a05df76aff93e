"""A network with each of its genes set back to another's value, one at a time. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from nas.space.genotype import GenePath, Genotype, dotted, gene, shared_paths
from nas.space.space import SearchSpace


@dataclass(frozen=True)
class Variant:
    """The network but for one gene. gene: its path; ours, theirs: its values as text."""

    gene: str
    ours: str
    theirs: str
    genotype: Genotype


def variants(network: Genotype, other: Genotype, space: SearchSpace) -> list[Variant]:
    """A variant for each gene in which they differ and that can be set back alone.

    Blocks of stages of one depth are set back gene by gene, or whole where their kind differs; of
    stages of different depths all blocks at once. Constraints of the space are not asked for, but a
    network that cannot be built is left out.
    """
    found = []
    for path in _paths(network, other):
        ours, theirs = gene(network, path), gene(other, path)
        if ours == theirs:
            continue
        changed = _set_back(network, path, theirs)
        if changed is not None and space.violation(changed.genome) < inf:
            found.append(Variant(dotted(path), _text(ours), _text(theirs), changed))
    return found


def _paths(network: Genotype, other: Genotype) -> Iterator[GenePath]:
    for path in shared_paths(network, other):
        ours, theirs = gene(network, path), gene(other, path)
        if path[-1] != "blocks" or len(ours) != len(theirs):
            yield path
            continue
        for j, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if a.kind != b.kind:
                yield (*path, j)
            else:
                yield from ((*path, j, name) for name in vars(a))


def _set_back(network: Genotype, path: GenePath, value: Any) -> Genotype | None:
    """None where the rest of the network does not let the gene have that value."""
    match path:
        case ("stages", int(i), "blocks"):
            return network.with_blocks(i, value) if network.allows_blocks(i, value) else None
        case ("stages", int(i), "downsample") if not network.stages[i].blocks:
            return network.with_gene(path, value) if value in ("max", "avg") else None
    return network.with_gene(path, value)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    return str(getattr(value, "kind", value))
