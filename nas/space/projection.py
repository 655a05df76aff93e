"""The member of a search space that is most like a given genome: how any network seeds a search."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from nas.arch.block import SearchableBlock
from nas.arch.blocks import Conv, Pool
from nas.arch.genome import Genome, Head
from nas.arch.lowering import lower_block
from nas.space.genotype import Genotype, HeadGenes, StageGenes, StemGenes, downsamples
from nas.space.operators import repair
from nas.space.space import SearchSpace

TYPICAL_SHAPE = (64, 8, 8)  # where the costs of kinds of block are compared


def project(genome: Genome, space: SearchSpace) -> Genotype | None:
    """The genome's own genotype where the space holds it; None where no feasible relative is found.

    Input and classes are the space's. Blocks are regrouped where they downsample, and each gene
    takes the allowed value nearest to the genome's: numbers by ratio, words the same or the first.
    What the space does not vary (norms, paddings, dropout between blocks) is lost.
    """
    if own := space.find(genome):
        return own
    stem, groups = _groups(genome, len(space.stages))
    found = Genotype(
        space,
        _closest(space.input.resize, genome.input.resize),
        _closest(space.bias, genome.bias),
        StemGenes(*(_closest(getattr(space.stem, name), getattr(stem, name))
                    for name in StemGenes.__dataclass_fields__)),
        tuple(_stage(space, i, downsample, blocks)
              for i, (downsample, blocks) in enumerate(groups)),
        _head(space, genome.head),
    )  # fmt: skip
    return found if space.violation(found.genome) == 0 else repair(found)


def _groups(genome: Genome, count: int) -> tuple[Any, list[tuple[str, list[SearchableBlock]]]]:
    """The stem, and `count` groups of blocks with what downsamples before each.

    What there is too much of joins the last group; what is missing repeats it.
    """
    blocks = [block for stage in genome.stages for block in stage.blocks]
    first = next((b for b in blocks if isinstance(b, SearchableBlock)), Conv(1))
    stem = first if isinstance(first, Conv) else Conv(first.channels, first.kernel, first.stride)
    groups: list[tuple[str, list[SearchableBlock]]] = [("none", [])]
    for block in blocks:
        if block is first:
            continue
        if isinstance(block, Pool):
            groups.append((block.type, []))
        elif isinstance(block, SearchableBlock):
            if block.stride > 1:
                groups.append(("stride", []))
            groups[-1][1].append(block)
    if not groups[0][1]:
        groups = groups[1:]
    groups = groups or [("max", [])]
    while len(groups) > count:
        (downsample, body), (_, rest) = groups[-2:]
        groups[-2:] = [(downsample, body + rest)]
    groups += [("max", list(groups[-1][1])) for _ in range(count - len(groups))]
    return stem, groups


def _stage(
    space: SearchSpace, index: int, downsample: str, blocks: list[SearchableBlock]
) -> StageGenes:
    spec = space.stages[index]
    depth = _closest(spec.depth, len(blocks))
    if not blocks:
        blocks = [Conv(spec.channels[0])]
    chosen = (blocks + [blocks[-1]] * depth)[:depth]
    allowed = downsamples(spec, bool(chosen))
    if downsample not in allowed:  # any other way to downsample is nearer than none
        downsample = next((d for d in allowed if d != "none"), allowed[0])
    channels = _closest(spec.channels, blocks[-1].channels) if chosen else spec.channels[0]
    return StageGenes(downsample, channels, tuple(_block(space, index, b) for b in chosen))


def _block(space: SearchSpace, index: int, block: SearchableBlock) -> SearchableBlock:
    """The block with allowed genes, or of a kind not allowed there the one of nearest cost."""
    allowed = space.stages[index].blocks
    if block.kind in allowed:
        return _of_kind(space, block.kind, block)
    wanted = _params(block)
    candidates = (_of_kind(space, kind, block) for kind in allowed)
    return min(candidates, key=lambda c: abs(math.log(_params(c) / wanted)))


def _of_kind(space: SearchSpace, kind: str, block: SearchableBlock) -> SearchableBlock:
    like = space.block(kind, {})  # its defaults, for what the given block does not have
    values = {
        name: _closest(choices, getattr(block, name, getattr(like, name)))
        for name, choices in space.block_choices(kind).items()
    }
    return dataclasses.replace(like, **values)


def _params(block: SearchableBlock) -> int:
    width = TYPICAL_SHAPE[0]
    return lower_block(dataclasses.replace(block, channels=width), TYPICAL_SHAPE).cost.params


def _head(space: SearchSpace, head: Head) -> HeadGenes:
    widths = tuple(dense.units for dense in head.hidden)

    def distance(choice: tuple[int, ...]) -> tuple[int, float]:
        pairs = zip(choice, widths, strict=False)
        return abs(len(choice) - len(widths)), sum(abs(math.log(a / b)) for a, b in pairs)

    return HeadGenes(
        _closest(space.head.pool, head.pool),
        min(space.head.hidden, key=distance),
        _closest(space.head.dropout, head.hidden[0].dropout if head.hidden else head.dropout),
    )


def _closest(choices: Sequence[Any], value: Any) -> Any:
    """The same value, the nearest number (by ratio, the smaller of two), or the first word."""
    if value in choices or isinstance(value, str):
        return value if value in choices else choices[0]
    return min(choices, key=lambda c: (abs(math.log((c + 1e-3) / (value + 1e-3))), c))
