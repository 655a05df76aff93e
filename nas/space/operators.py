"""Mutation and crossover of genomes inside a search space. No torch here.

Both always return a feasible genome of the space; randomness comes from the given generator only.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from nas.arch.genome import Genome
from nas.space.genotype import Genotype, StageGenes, get_gene, set_gene
from nas.space.space import Rng, SearchSpace, with_blocks

T = TypeVar("T")
ATTEMPTS = 20
ATTEMPTS_BEFORE_REPAIR = 5  # another child costs far less than a repair
# One change is the usual step; a further one follows with this probability.
FURTHER_CHANGE = 0.3
STRUCTURAL_CHANGE = 0.35


def mutate(genome: Genome, space: SearchSpace, rng: Rng) -> Genome:
    """A neighbour: one or a few genes changed, blocks inserted, removed or replaced.

    The result differs from `genome` unless the space holds nothing else near it.
    """
    for attempt in range(ATTEMPTS):
        genes = _change(space.genes(genome), space, rng)
        while rng.random() < FURTHER_CHANGE:
            genes = _change(genes, space, rng)
        child = _feasible(genes, space, attempt)
        if child is not None and child != genome:
            return child
    return space.sample(rng)


def crossover(a: Genome, b: Genome, space: SearchSpace, rng: Rng) -> Genome:
    """Uniform crossover: stem, head, bias, resize and every stage from either parent.

    Stages with the same number of blocks also mix inside: width, downsampling and each block.
    """
    ga, gb = space.genes(a), space.genes(b)

    def either(x: T, y: T) -> T:
        return x if rng.random() < 0.5 else y

    def mix(x: StageGenes, y: StageGenes) -> StageGenes:
        if len(x.blocks) != len(y.blocks) or rng.random() < 0.5:
            return either(x, y)
        blocks = tuple(either(p, q) for p, q in zip(x.blocks, y.blocks, strict=True))
        return StageGenes(
            either(x.downsample, y.downsample), either(x.channels, y.channels), blocks
        )

    for attempt in range(ATTEMPTS):
        stages = tuple(mix(x, y) for x, y in zip(ga.stages, gb.stages, strict=True))
        genes = Genotype(
            either(ga.resize, gb.resize),
            either(ga.bias, gb.bias),
            either(ga.stem, gb.stem),
            stages,
            either(ga.head, gb.head),
        )
        child = _feasible(genes, space, attempt)
        if child is not None:
            return child
    return either(a, b)


def _feasible(genes: Genotype, space: SearchSpace, attempt: int) -> Genome | None:
    child = space.build(genes)
    if space.violation(child) == 0:
        return child
    return space.repair(child) if attempt >= ATTEMPTS_BEFORE_REPAIR else None


def _change(genes: Genotype, space: SearchSpace, rng: Rng) -> Genotype:
    if rng.random() < STRUCTURAL_CHANGE:
        return _change_blocks(genes, space, rng)
    sites = space.sites(genes)
    if not sites:
        return genes
    path, choices = sites[int(rng.integers(len(sites)))]
    others = [c for c in choices if c != get_gene(genes, path)]
    changed = set_gene(genes, path, others[int(rng.integers(len(others)))])
    assert isinstance(changed, Genotype)
    return changed


def _change_blocks(genes: Genotype, space: SearchSpace, rng: Rng) -> Genotype:
    """In one stage: more blocks, fewer, or another one; each as likely, or depth would drift."""
    index = int(rng.integers(len(genes.stages)))
    spec, stage = space.stages[index], genes.stages[index]
    blocks = list(stage.blocks)
    move, depth = int(rng.integers(3)), len(blocks)
    if move == 0:
        depth = min((d for d in spec.depth if d > depth), default=depth)
    elif move == 1:
        depth = max((d for d in spec.depth if d < depth), default=depth)
    elif blocks:
        blocks[int(rng.integers(len(blocks)))] = space.sample_block(index, rng)
    while len(blocks) < depth:
        blocks.insert(int(rng.integers(len(blocks) + 1)), space.sample_block(index, rng))
    while len(blocks) > depth:
        del blocks[int(rng.integers(len(blocks)))]
    if not space.allows_blocks(index, stage, tuple(blocks)):
        return genes
    stage = with_blocks(spec, stage, tuple(blocks))
    return dataclasses.replace(
        genes, stages=(*genes.stages[:index], stage, *genes.stages[index + 1 :])
    )
