"""A genome that breaks its space's constraints, made to keep them. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nas.arch.genome import Genome
from nas.space.genotype import Genotype, get_gene, set_gene
from nas.space.space import SearchSpace, with_blocks

STEPS = 100


def repair(genome: Genome, space: SearchSpace) -> Genome | None:
    """The nearest feasible genome by greedy steps: change the gene that costs most."""
    genes, worst = space.genes(genome), space.violation(genome)
    for _ in range(STEPS):
        if worst == 0:
            return genome
        steps = [space.build(g) for g in _adjacent(genes, space)]
        if not steps:
            return None
        best = min(steps, key=space.violation)
        if space.violation(best) >= worst:
            return None
        genome, worst = best, space.violation(best)
        genes = space.genes(genome)
    return None


def _adjacent(genes: Genotype, space: SearchSpace) -> Iterator[Genotype]:
    """One step away: the next smaller or larger number, any other word, fewer blocks."""
    for path, choices in space.sites(genes):
        current = get_gene(genes, path)
        for value in _next_to(current, choices):
            yield set_gene(genes, path, value)
    for i, (spec, stage) in enumerate(zip(space.stages, genes.stages, strict=True)):
        depth = len(stage.blocks)
        fewer = depth - max((d for d in spec.depth if d < depth), default=depth)
        for j in range(depth - fewer + 1 if fewer else 0):
            blocks = stage.blocks[:j] + stage.blocks[j + fewer :]
            if space.allows_blocks(i, stage, blocks):
                yield set_gene(genes, ("stages", i), with_blocks(spec, stage, blocks))


def _next_to(current: Any, choices: tuple[Any, ...]) -> Iterator[Any]:
    ordered = sorted(choices) if not isinstance(current, str) else list(choices)
    at = ordered.index(current)
    if isinstance(current, str):
        yield from (c for c in ordered if c != current)
    else:
        yield from ordered[max(0, at - 1) : at] + ordered[at + 1 : at + 2]
