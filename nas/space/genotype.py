"""A genotype: the genes of one network within a search space, and the genome they express.

Searches vary genotypes; the genome (the phenotype) is built once and kept. A genome from outside
becomes a genotype by `parse`, which refuses what the space does not hold; projection.py finds the
nearest one that it does. No torch here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nas.arch.block import Block, SearchableBlock
from nas.arch.blocks import Conv, Pool
from nas.arch.genome import Dense, Genome, Head, Input, Stage
from nas.common.errors import UserError
from nas.common.schema import replaced
from nas.space.spec import SpaceSpec, StageSpec

GenePath = tuple[str | int, ...]


@dataclass(frozen=True)
class StemGenes:
    channels: int
    kernel: int
    stride: int
    activation: str


@dataclass(frozen=True)
class StageGenes:
    """Blocks carry no meaning in `channels` and `stride`: the stage's apply, see `_stage`."""

    downsample: str
    channels: int
    blocks: tuple[SearchableBlock, ...]


@dataclass(frozen=True)
class HeadGenes:
    pool: str
    hidden: tuple[int, ...]
    dropout: float


@dataclass(frozen=True)
class Genotype:
    """The genes of a network; equal genes are equal genotypes of equal genomes."""

    spec: SpaceSpec = field(repr=False, compare=False)
    resize: int
    bias: bool
    stem: StemGenes
    stages: tuple[StageGenes, ...]
    head: HeadGenes

    @cached_property
    def genome(self) -> Genome:
        """The network that these genes express."""
        head = self.spec.head
        channels, height, width = self.spec.shape
        resize = 0 if self.resize == height == width else self.resize
        hidden = tuple(
            Dense(units, head.norm, head.activation, self.head.dropout)
            for units in self.head.hidden
        )
        return Genome(
            Input(channels, height, width, resize),
            self.spec.classes,
            (Stage((Conv(**vars(self.stem)),)), *(_stage(stage) for stage in self.stages)),
            # One gene for dropout: behind every hidden layer, or before the classifier alone.
            Head(self.head.pool, 0.0 if hidden else self.head.dropout, hidden),
            self.bias,
        )

    @property
    def id(self) -> str:
        """The genome's id."""
        return self.genome.id

    def with_gene(self, path: GenePath, value: Any) -> Genotype:
        """A copy with the value at the path replaced."""
        changed = replaced(self, path, value)
        assert isinstance(changed, Genotype)
        return changed

    def with_blocks(self, index: int, blocks: tuple[SearchableBlock, ...]) -> Genotype:
        """A copy with other blocks in a stage; a width no longer expressed is canonical."""
        stage, spec = self.stages[index], self.spec.stages[index]
        channels = stage.channels if blocks else spec.channels[0]
        return self.with_gene(("stages", index), StageGenes(stage.downsample, channels, blocks))

    def allows_blocks(self, index: int, blocks: tuple[SearchableBlock, ...]) -> bool:
        """Whether a stage may hold these blocks instead of its own."""
        spec, downsample = self.spec.stages[index], self.stages[index].downsample
        return len(blocks) in spec.depth and downsample in downsamples(spec, bool(blocks))

    def sites(self) -> list[tuple[GenePath, tuple[Any, ...]]]:
        """Every value gene with more than one choice: its path and its choices."""
        return [(path, choices) for path, choices in self.choices() if len(choices) > 1]

    def choices(self) -> Iterator[tuple[GenePath, tuple[Any, ...]]]:
        """Every value gene that is expressed: its path and what it may be."""
        spec = self.spec
        yield ("resize",), spec.input.resize
        yield ("bias",), spec.bias
        for name in vars(self.stem):
            yield ("stem", name), getattr(spec.stem, name)
        for i, (stage_spec, stage) in enumerate(zip(spec.stages, self.stages, strict=True)):
            filled = bool(stage.blocks)
            yield ("stages", i, "downsample"), downsamples(stage_spec, filled)
            # Without blocks the width is not expressed: one fixed value, so that it counts once.
            yield ("stages", i, "channels"), stage_spec.channels[: None if filled else 1]
            for j, block in enumerate(stage.blocks):
                for name, choices in spec.block_choices(block.kind).items():
                    yield ("stages", i, "blocks", j, name), choices
        for name in vars(self.head):
            yield ("head", name), getattr(spec.head, name)


def gene(genes: Any, path: GenePath) -> Any:
    """The value at a path such as ("stages", 1, "blocks", 0, "kernel")."""
    for key in path:
        genes = genes[key] if isinstance(key, int) else getattr(genes, key)
    return genes


def dotted(path: GenePath) -> str:
    """`stages.1.blocks.0.kernel`."""
    return ".".join(map(str, path))


def shared_paths(a: Genotype, b: Genotype) -> Iterator[GenePath]:
    """Of the genes that two networks of one space both express; of a stage's blocks, one path."""
    yield from (("resize",), ("bias",))
    yield from (("stem", name) for name in vars(a.stem))
    for i, (x, y) in enumerate(zip(a.stages, b.stages, strict=True)):
        yield ("stages", i, "downsample")
        if x.blocks and y.blocks:  # else the width is not expressed
            yield ("stages", i, "channels")
        yield ("stages", i, "blocks")
    yield from (("head", name) for name in vars(a.head))


def parse(genome: Genome, spec: SpaceSpec) -> Genotype:
    """The genotype of a genome. UserError says in which gene the genome leaves the space."""
    where = f"space {spec.name}"
    if len(genome.stages) != len(spec.stages) + 1 or len(genome.stages[0].blocks) != 1:
        raise UserError(
            f"{where}: expected a stem of one conv and {len(spec.stages)} stages, "
            f"got {len(genome.stages)} stages"
        )
    stem = genome.stages[0].blocks[0]
    if not isinstance(stem, Conv):
        raise UserError(f"{where}: the stem must be a conv, got {stem.kind}")
    head = genome.head
    found = Genotype(
        spec,
        genome.input.resize or _native_resize(spec),
        genome.bias,
        StemGenes(stem.channels, stem.kernel, stem.stride, stem.activation),
        tuple(_parse_stage(spec, i, stage) for i, stage in enumerate(genome.stages[1:])),
        HeadGenes(
            head.pool,
            tuple(dense.units for dense in head.hidden),
            head.hidden[0].dropout if head.hidden else head.dropout,
        ),
    )
    _check(found)
    if found.genome != genome:
        raise UserError(f"{where}: genome {genome.id} has genes this space fixes")
    return found


def downsamples(spec: StageSpec, filled: bool) -> tuple[str, ...]:
    """A stage without blocks can only pool."""
    return spec.downsample if filled else tuple(d for d in spec.downsample if d in ("max", "avg"))


def _stage(genes: StageGenes) -> Stage:
    blocks: list[Block] = []
    if genes.downsample in ("max", "avg"):
        blocks.append(Pool(genes.downsample))
    for i, block in enumerate(genes.blocks):
        stride = 2 if i == 0 and genes.downsample == "stride" else 1
        blocks.append(dataclasses.replace(block, channels=genes.channels, stride=stride))
    return Stage(tuple(blocks))


def _parse_stage(spec: SpaceSpec, index: int, stage: Stage) -> StageGenes:
    first = stage.blocks[:1]
    blocks = tuple(block for block in stage.blocks if isinstance(block, SearchableBlock))
    pools = len(stage.blocks) - len(blocks)
    downsample = "none"
    if first and isinstance(first[0], Pool):
        downsample, pools = first[0].type, pools - 1
    elif first and first[0].stride == 2:
        downsample = "stride"
    if pools:
        raise UserError(f"space {spec.name}: stages[{index}]: a pool may only come first")
    channels = blocks[0].channels if blocks else spec.stages[index].channels[0]
    plain = tuple(dataclasses.replace(block, channels=1, stride=1) for block in blocks)
    return StageGenes(downsample, channels, plain)


def _native_resize(spec: SpaceSpec) -> int:
    _, height, width = spec.shape
    return height if height == width and height in spec.input.resize else 0


def _check(genotype: Genotype) -> None:
    spec = genotype.spec
    for i, (allowed, stage) in enumerate(zip(spec.stages, genotype.stages, strict=True)):
        where = f"space {spec.name}: stages[{i}]"
        if len(stage.blocks) not in allowed.depth:
            raise UserError(f"{where}: depth {len(stage.blocks)} is not among {allowed.depth}")
        for block in stage.blocks:
            if block.kind not in allowed.blocks:
                raise UserError(f"{where}: block {block.kind} is not among {allowed.blocks}")
    for path, choices in genotype.choices():
        value = gene(genotype, path)
        if value not in choices:
            raise UserError(f"space {spec.name}: {dotted(path)} = {value!r} is not among {choices}")
