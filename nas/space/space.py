"""The search space: which genomes may be sampled. A YAML file, see spec.py; no torch here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from nas.arch.genome import (
    Block,
    Conv,
    Dense,
    Genome,
    Head,
    Input,
    Pool,
    Stage,
)
from nas.arch.layers import Cost
from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.common.schema import Choices, Flag, Int, Text, read
from nas.common.yaml_file import read_yaml
from nas.space.genotype import (
    GenePath,
    Genotype,
    HeadGenes,
    SearchableBlock,
    StageGenes,
    StemGenes,
    get_gene,
)
from nas.space.spec import KINDS, BlockSpecs, Constraints, HeadSpec, InputSpec, StageSpec, StemSpec

if TYPE_CHECKING:
    from nas.space.encoding import Encoder

DRAWS_BEFORE_REPAIR = 20  # a draw costs a fiftieth of a repair
DRAWS, SAMPLES_BEFORE_GIVING_UP = 80, 1000

Rng = np.random.Generator


@dataclass(frozen=True)
class SearchSpace:
    """Loaded from YAML with `load`; the field names are the YAML's keys."""

    version: Annotated[int, Int(1, 1)]
    name: Annotated[str, Text(64)]
    input: InputSpec
    num_classes: Annotated[int, Int(2, 1000)]
    stem: StemSpec
    stages: tuple[StageSpec, ...]
    head: HeadSpec
    blocks: BlockSpecs = BlockSpecs()
    bias: Annotated[tuple[bool, ...], Choices(Flag())] = (False,)
    constraints: Constraints = Constraints()

    def build(self, genes: Genotype) -> Genome:
        """The genome of these genes."""
        stem = Stage((Conv(**dataclasses.asdict(genes.stem)),))
        size = self.input
        resize = 0 if genes.resize == size.height == size.width else genes.resize
        hidden = tuple(
            Dense(w, self.head.norm, self.head.activation, genes.head.dropout)
            for w in genes.head.hidden
        )
        # One gene for dropout: behind every hidden layer, or before the classifier alone.
        head = Head(genes.head.pool, 0.0 if hidden else genes.head.dropout, hidden)
        return Genome(
            Input(size.channels, size.height, size.width, resize),
            self.num_classes,
            (stem, *(_build_stage(stage) for stage in genes.stages)),
            head,
            genes.bias,
        )

    def genes(self, genome: Genome) -> Genotype:
        """The inverse of `build`. UserError says in which gene the genome leaves the space."""
        if len(genome.stages) != len(self.stages) + 1 or len(genome.stages[0].blocks) != 1:
            raise UserError(
                f"space {self.name}: expected a stem of one conv and {len(self.stages)} stages, "
                f"got {len(genome.stages)} stages"
            )
        stem = genome.stages[0].blocks[0]
        if not isinstance(stem, Conv):
            raise UserError(f"space {self.name}: the stem must be a conv, got {stem.kind}")
        head = genome.head
        genes = Genotype(
            genome.input.resize or self._native_resize(),
            genome.bias,
            StemGenes(stem.channels, stem.kernel, stem.stride, stem.activation),
            tuple(
                self._stage_genes(i, stage) for i, stage in enumerate(genome.stages[1:])
            ),
            HeadGenes(
                head.pool,
                tuple(dense.units for dense in head.hidden),
                head.hidden[0].dropout if head.hidden else head.dropout,
            ),
        )  # fmt: skip
        self._check(genes)
        if self.build(genes) != genome:
            raise UserError(f"space {self.name}: genome {genome.id} has genes this space fixes")
        return genes

    def contains(self, genome: Genome) -> bool:
        """Whether the space (constraints included) holds the genome."""
        try:
            self.genes(genome)
        except UserError:
            return False
        return self.violation(genome) == 0

    def violation(self, genome: Genome) -> float:
        """Sum of relative excesses over the constraints; 0 is feasible, inf cannot be built."""
        try:
            found = cost(genome)
        except UserError:
            return inf
        return sum(
            max(0.0, value / high - 1 if high else float(value), 1 - value / low if low else 0.0)
            for value, (low, high) in self._bounded(found)
        )

    def sample(self, rng: Rng) -> Genome:
        """A random feasible genome: genes uniform; repaired only where feasible ones are rare."""
        for attempt in range(DRAWS):
            genome = self.build(self.sample_genes(rng))
            if self.violation(genome) == 0:
                return genome
            repaired = self.repair(genome) if attempt >= DRAWS_BEFORE_REPAIR else None
            if repaired is not None:
                return repaired
        raise UserError(self._why_impossible(rng))

    def sample_genes(self, rng: Rng) -> Genotype:
        """Uniform genes, constraints ignored."""
        pick = _picker(rng)
        return Genotype(
            pick(self.input.resize),
            pick(self.bias),
            StemGenes(*(pick(getattr(self.stem, f)) for f in StemGenes.__dataclass_fields__)),
            tuple(self._sample_stage(i, rng) for i in range(len(self.stages))),
            HeadGenes(*(pick(getattr(self.head, f)) for f in HeadGenes.__dataclass_fields__)),
        )

    def sample_block(self, stage: int, rng: Rng) -> SearchableBlock:
        """A random block of those that the stage allows."""
        pick = _picker(rng)
        kind = pick(self.stages[stage].blocks)
        spec = getattr(self.blocks, kind)
        return KINDS[kind](channels=1, **{name: pick(vs) for name, vs in vars(spec).items()})

    def mutate(self, genome: Genome, rng: Rng) -> Genome:
        """See nas/space/operators.py."""
        from nas.space.operators import mutate

        return mutate(genome, self, rng)

    def crossover(self, a: Genome, b: Genome, rng: Rng) -> Genome:
        """See nas/space/operators.py."""
        from nas.space.operators import crossover

        return crossover(a, b, self, rng)

    @property
    def groups(self) -> tuple[int, ...]:
        """See nas/space/encoding.py."""
        return self._encoder.groups

    def encode(self, genome: Genome) -> Any:
        """Vector of the genome's genes, see nas/space/encoding.py."""
        return self._encoder.encode(genome)

    @cached_property
    def _encoder(self) -> Encoder:
        from nas.space.encoding import Encoder

        return Encoder(self)

    def repair(self, genome: Genome) -> Genome | None:
        """See nas/space/repair.py."""
        from nas.space.repair import repair

        return repair(genome, self)

    def sites(self, genes: Genotype) -> list[tuple[GenePath, tuple[Any, ...]]]:
        """Every value gene with more than one choice: its path in `Genotype` and its choices."""
        return [(path, choices) for path, choices in self._choices(genes) if len(choices) > 1]

    def allows_blocks(
        self, index: int, stage: StageGenes, blocks: tuple[SearchableBlock, ...]
    ) -> bool:
        """Whether a stage may hold these blocks instead of its own."""
        spec = self.stages[index]
        return len(blocks) in spec.depth and stage.downsample in downsamples(spec, bool(blocks))

    def size(self) -> int:
        """How many different genomes there are, constraints ignored (exact)."""
        block_counts = {
            kind: prod(len(choices) for choices in vars(getattr(self.blocks, kind)).values())
            for kind in KINDS
        }
        stem = prod(len(choices) for choices in vars(self.stem).values())
        head = len(self.head.pool) * len(self.head.hidden) * len(self.head.dropout)
        stages = prod(
            _stage_size(spec, sum(block_counts[k] for k in spec.blocks)) for spec in self.stages
        )
        return len(self.input.resize) * len(self.bias) * stem * stages * head

    def _native_resize(self) -> int:
        side = self.input.height
        return side if side == self.input.width and side in self.input.resize else 0

    def _bounded(self, found: Cost) -> list[tuple[int, tuple[int, int]]]:
        return [(getattr(found, k), bounds) for k, bounds in self.constraints.bounds().items()]

    def _sample_stage(self, index: int, rng: Rng) -> StageGenes:
        pick, spec = _picker(rng), self.stages[index]
        depth = pick(spec.depth)
        blocks = tuple(self.sample_block(index, rng) for _ in range(depth))
        downsample = pick(downsamples(spec, bool(blocks)))
        return StageGenes(downsample, pick(spec.channels) if blocks else spec.channels[0], blocks)

    def _stage_genes(self, index: int, stage: Stage) -> StageGenes:
        spec, first = self.stages[index], stage.blocks[:1]
        blocks = tuple(block for block in stage.blocks if not isinstance(block, Pool))
        pools = len(stage.blocks) - len(blocks)
        downsample = "none"
        if first and isinstance(first[0], Pool):
            downsample, pools = first[0].type, pools - 1
        elif first and first[0].stride == 2:
            downsample = "stride"
        if pools:
            raise UserError(f"space {self.name}: stages[{index}]: a pool may only come first")
        channels = blocks[0].channels if blocks else spec.channels[0]
        plain = tuple(dataclasses.replace(block, channels=1, stride=1) for block in blocks)
        return StageGenes(downsample, channels, plain)

    def _check(self, genes: Genotype) -> None:
        for i, (spec, stage) in enumerate(zip(self.stages, genes.stages, strict=True)):
            where = f"space {self.name}: stages[{i}]"
            if len(stage.blocks) not in spec.depth:
                raise UserError(f"{where}: depth {len(stage.blocks)} is not among {spec.depth}")
            for block in stage.blocks:
                if block.kind not in spec.blocks:
                    raise UserError(f"{where}: block {block.kind} is not among {spec.blocks}")
        for path, choices in self._choices(genes):
            if get_gene(genes, path) not in choices:
                name = ".".join(map(str, path))
                raise UserError(
                    f"space {self.name}: {name} = {get_gene(genes, path)!r} is not among {choices}"
                )

    def _choices(self, genes: Genotype) -> Iterator[tuple[GenePath, tuple[Any, ...]]]:
        yield ("resize",), self.input.resize
        yield ("bias",), self.bias
        for name in StemGenes.__dataclass_fields__:
            yield ("stem", name), getattr(self.stem, name)
        for i, (spec, stage) in enumerate(zip(self.stages, genes.stages, strict=True)):
            yield ("stages", i, "downsample"), downsamples(spec, bool(stage.blocks))
            # Without blocks the width is not expressed: one fixed value, so that it counts once.
            yield ("stages", i, "channels"), spec.channels if stage.blocks else spec.channels[:1]
            for j, block in enumerate(stage.blocks):
                for name, choices in vars(getattr(self.blocks, block.kind)).items():
                    yield ("stages", i, "blocks", j, name), choices
        for name in HeadGenes.__dataclass_fields__:
            yield ("head", name), getattr(self.head, name)

    def _why_impossible(self, rng: Rng) -> str:
        costs = []
        for _ in range(SAMPLES_BEFORE_GIVING_UP):
            try:
                costs.append(cost(self.build(self.sample_genes(rng))))
            except UserError:
                continue
        if not costs:
            return f"{self.name}: none of {SAMPLES_BEFORE_GIVING_UP} samples leaves any pixels"
        for key, (low, high) in self.constraints.bounds().items():
            values = [getattr(c, key) for c in costs]
            if not any(low <= v <= high for v in values):
                seen = f"smallest seen {min(values)}" if min(values) > high else (
                    f"largest seen {max(values)}"
                )  # fmt: skip
                return (
                    f"{self.name}: 0 of {SAMPLES_BEFORE_GIVING_UP} samples satisfy "
                    f"constraints.{key} [{low}, {high}]; {seen}"
                )
        return f"{self.name}: no sample satisfies all of {self.constraints.bounds()} together"


def load(path: str | Path) -> SearchSpace:
    """Read and check a search space file. UserError names the key that does not fit."""
    path = Path(path)
    space = read(SearchSpace, read_yaml(path), str(path))
    assert isinstance(space, SearchSpace)
    if not space.name.replace("_", "").replace("-", "").isalnum():
        raise UserError(f"{path}: name: letters, digits, - and _ only, got {space.name!r}")
    if not space.stages:
        raise UserError(f"{path}: stages: expected one or more")
    if {0, space.input.height} <= {*space.input.resize} and space.input.height == space.input.width:
        raise UserError(
            f"{path}: input.resize: 0 and {space.input.height} mean the same here; drop one"
        )
    for i, stage in enumerate(space.stages):
        if 0 in stage.depth and not {"max", "avg"} & set(stage.downsample):
            raise UserError(
                f"{path}: stages[{i}]: depth 0 leaves an empty stage; "
                "it needs max or avg among downsample"
            )
    return space


def with_blocks(
    spec: StageSpec, stage: StageGenes, blocks: tuple[SearchableBlock, ...]
) -> StageGenes:
    """The stage with other blocks; a width that is no longer expressed is canonical."""
    return StageGenes(stage.downsample, stage.channels if blocks else spec.channels[0], blocks)


def _picker(rng: Rng) -> Callable[[tuple[Any, ...]], Any]:
    # Not rng.choice, which turns values into numpy scalars.
    return lambda choices: choices[int(rng.integers(len(choices)))]


def downsamples(spec: StageSpec, filled: bool) -> tuple[str, ...]:
    """A stage without blocks can only pool."""
    return spec.downsample if filled else tuple(d for d in spec.downsample if d in ("max", "avg"))


def _build_stage(stage: StageGenes) -> Stage:
    blocks: list[Block] = []
    if stage.downsample in ("max", "avg"):
        blocks.append(Pool(stage.downsample))
    for i, block in enumerate(stage.blocks):
        stride = 2 if i == 0 and stage.downsample == "stride" else 1
        blocks.append(dataclasses.replace(block, channels=stage.channels, stride=stride))
    return Stage(tuple(blocks))


def _stage_size(spec: StageSpec, block_choices: int) -> int:
    pools = sum(d in ("max", "avg") for d in spec.downsample)
    filled: int = sum(block_choices**depth for depth in spec.depth if depth)
    return pools * (0 in spec.depth) + len(spec.downsample) * len(spec.channels) * filled
