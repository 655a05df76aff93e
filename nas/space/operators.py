"""How genotypes come about: at random, by mutation, by crossover, by repair. No torch here.

All of them give feasible members of the space; randomness comes from the given generator only.
changes.py says afterwards in which genes a child differs from its parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, TypeVar

import numpy as np

from nas.arch.block import SearchableBlock
from nas.arch.footprint import static_metric
from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.space.genotype import Genotype, HeadGenes, StageGenes, StemGenes, downsamples, gene
from nas.space.spec import SpaceSpec

T = TypeVar("T")
Rng = np.random.Generator

DRAWS = 80
DRAWS_BEFORE_REPAIR = 20  # a draw costs a fiftieth of a repair
SAMPLES_BEFORE_GIVING_UP = 1000
ATTEMPTS = 20
ATTEMPTS_BEFORE_REPAIR = 5  # another child costs far less than a repair
# One change is the usual step; a further one follows with this probability.
FURTHER_CHANGE = 0.3
STRUCTURAL_CHANGE = 0.35
REPAIR_STEPS = 100


def sample(spec: SpaceSpec, rng: Rng) -> Genotype:
    """A random feasible genotype: genes uniform; repaired only where feasible ones are rare.

    UserError names the constraint that no sample satisfies.
    """
    for attempt in range(DRAWS):
        found = draw(spec, rng)
        if spec.violation(found.genome) == 0:
            return found
        repaired = repair(found) if attempt >= DRAWS_BEFORE_REPAIR else None
        if repaired is not None:
            return repaired
    raise UserError(_why_impossible(spec, rng))


def draw(spec: SpaceSpec, rng: Rng) -> Genotype:
    """Uniform genes, constraints ignored."""
    return Genotype(
        spec,
        _pick(spec.input.resize, rng),
        _pick(spec.bias, rng),
        StemGenes(*(_pick(getattr(spec.stem, f), rng) for f in StemGenes.__dataclass_fields__)),
        tuple(_draw_stage(spec, i, rng) for i in range(len(spec.stages))),
        HeadGenes(*(_pick(getattr(spec.head, f), rng) for f in HeadGenes.__dataclass_fields__)),
    )


def mutate(parent: Genotype, rng: Rng) -> Genotype:
    """A neighbour: one or a few genes changed, blocks inserted, removed or replaced.

    The result differs from `parent` unless the space holds nothing else near it.
    """
    for attempt in range(ATTEMPTS):
        changed = _change(parent, rng)
        while rng.random() < FURTHER_CHANGE:
            changed = _change(changed, rng)
        child = _feasible(changed, attempt)
        if child is not None and child != parent:
            return child
    return sample(parent.spec, rng)


def crossover(a: Genotype, b: Genotype, rng: Rng) -> Genotype:
    """Uniform crossover: stem, head, bias, resize and every stage from either parent.

    Stages with the same number of blocks also mix inside: width, downsampling and each block.
    """

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
        stages = tuple(mix(x, y) for x, y in zip(a.stages, b.stages, strict=True))
        resize, bias = either(a.resize, b.resize), either(a.bias, b.bias)
        stem, head = either(a.stem, b.stem), either(a.head, b.head)
        child = _feasible(Genotype(a.spec, resize, bias, stem, stages, head), attempt)
        if child is not None:
            return child
    return either(a, b)


def repair(genotype: Genotype) -> Genotype | None:
    """The nearest feasible genotype by greedy steps: change the gene that costs most."""
    spec = genotype.spec
    worst = spec.violation(genotype.genome)
    for _ in range(REPAIR_STEPS):
        if worst == 0:
            return genotype
        steps = [(spec.violation(g.genome), g) for g in _adjacent(genotype)]
        least, best = min(steps, key=lambda step: step[0], default=(inf, genotype))
        if least >= worst:
            return None
        genotype, worst = best, least
    return None


def _draw_stage(spec: SpaceSpec, index: int, rng: Rng) -> StageGenes:
    stage = spec.stages[index]
    blocks = tuple(_draw_block(spec, index, rng) for _ in range(_pick(stage.depth, rng)))
    downsample = _pick(downsamples(stage, bool(blocks)), rng)
    channels = _pick(stage.channels, rng) if blocks else stage.channels[0]
    return StageGenes(downsample, channels, blocks)


def _draw_block(spec: SpaceSpec, index: int, rng: Rng) -> SearchableBlock:
    kind = _pick(spec.stages[index].blocks, rng)
    choices = spec.block_choices(kind)
    return spec.block(kind, {name: _pick(values, rng) for name, values in choices.items()})


def _pick(choices: Sequence[T], rng: Rng) -> T:
    """One of them; rng.choice would turn values into numpy scalars."""
    return choices[int(rng.integers(len(choices)))]


def _feasible(child: Genotype, attempt: int) -> Genotype | None:
    if child.spec.violation(child.genome) == 0:
        return child
    return repair(child) if attempt >= ATTEMPTS_BEFORE_REPAIR else None


def _change(genotype: Genotype, rng: Rng) -> Genotype:
    if rng.random() < STRUCTURAL_CHANGE:
        return change_blocks(genotype, rng)
    sites = genotype.sites()
    if not sites:
        return genotype
    path, choices = _pick(sites, rng)
    others = [c for c in choices if c != gene(genotype, path)]
    return genotype.with_gene(path, _pick(others, rng))


def change_blocks(genotype: Genotype, rng: Rng) -> Genotype:
    """In one stage: more blocks, fewer, or another one; each as likely, or depth would drift."""
    index = int(rng.integers(len(genotype.stages)))
    spec = genotype.spec
    blocks = list(genotype.stages[index].blocks)
    move, depth = int(rng.integers(3)), len(blocks)
    if move == 0:
        depth = min((d for d in spec.stages[index].depth if d > depth), default=depth)
    elif move == 1:
        depth = max((d for d in spec.stages[index].depth if d < depth), default=depth)
    elif blocks:
        blocks[int(rng.integers(len(blocks)))] = _draw_block(spec, index, rng)
    while len(blocks) < depth:
        blocks.insert(int(rng.integers(len(blocks) + 1)), _draw_block(spec, index, rng))
    while len(blocks) > depth:
        del blocks[int(rng.integers(len(blocks)))]
    if not genotype.allows_blocks(index, tuple(blocks)):
        return genotype
    return genotype.with_blocks(index, tuple(blocks))


def _adjacent(genotype: Genotype) -> Iterator[Genotype]:
    """One step away: the next smaller or larger number, any other word, fewer blocks."""
    for path, choices in genotype.sites():
        for value in _next_to(gene(genotype, path), choices):
            yield genotype.with_gene(path, value)
    for i, (spec, stage) in enumerate(zip(genotype.spec.stages, genotype.stages, strict=True)):
        depth = len(stage.blocks)
        fewer = depth - max((d for d in spec.depth if d < depth), default=depth)
        for j in range(depth - fewer + 1 if fewer else 0):
            blocks = stage.blocks[:j] + stage.blocks[j + fewer :]
            if genotype.allows_blocks(i, blocks):
                yield genotype.with_blocks(i, blocks)


def _next_to(current: Any, choices: tuple[Any, ...]) -> Iterator[Any]:
    if isinstance(current, str):
        yield from (c for c in choices if c != current)
        return
    ordered = sorted(choices)
    at = ordered.index(current)
    yield from ordered[max(0, at - 1) : at] + ordered[at + 1 : at + 2]


def _why_impossible(spec: SpaceSpec, rng: Rng) -> str:
    genomes, why = [], UserError()
    for _ in range(SAMPLES_BEFORE_GIVING_UP):
        genome = draw(spec, rng).genome
        try:
            cost(genome)
        except UserError as error:
            why = error
            continue
        genomes.append(genome)
    if not genomes:
        return f"{spec.name}: none of {SAMPLES_BEFORE_GIVING_UP} samples can be built: {why}"
    for key, (low, high) in spec.constraints.bounds().items():
        values = [static_metric(genome, key) for genome in genomes]
        if not any(low <= v <= high for v in values):
            small, large = min(values), max(values)
            seen = f"smallest seen {small}" if small > high else f"largest seen {large}"
            return (
                f"{spec.name}: 0 of {SAMPLES_BEFORE_GIVING_UP} samples satisfy "
                f"constraints.{key} [{low}, {high}]; {seen}"
            )
    return f"{spec.name}: no sample satisfies all of {spec.constraints.bounds()} together"
