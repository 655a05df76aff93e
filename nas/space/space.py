"""The search space: which networks may be searched, and how they come about. No torch here."""

from __future__ import annotations

from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from nas.arch.genome import Genome
from nas.common.errors import UserError
from nas.space import operators
from nas.space.encoding import Encoder
from nas.space.genotype import Genotype, parse
from nas.space.operators import Rng
from nas.space.spec import SpaceSpec, StageSpec


class SearchSpace(SpaceSpec):
    """A search space file as an optimizer uses it: genotypes out, genotypes in."""

    def sample(self, rng: Rng) -> Genotype:
        """A random feasible genotype; UserError names a constraint that nothing satisfies."""
        return operators.sample(self, rng)

    def mutate(self, parent: Genotype, rng: Rng) -> Genotype:
        """A feasible neighbour."""
        return operators.mutate(parent, rng)

    def crossover(self, a: Genotype, b: Genotype, rng: Rng) -> Genotype:
        """A feasible child of two."""
        return operators.crossover(a, b, rng)

    def genotype(self, genome: Genome) -> Genotype:
        """The genotype of a genome from outside. UserError says where it leaves the space."""
        return parse(genome, self)

    def find(self, genome: Genome) -> Genotype | None:
        """The genome's genotype; None where the space, constraints included, does not hold it."""
        try:
            found = parse(genome, self)
        except UserError:
            return None
        return found if self.violation(genome) == 0 else None

    def contains(self, genome: Genome) -> bool:
        """Whether the space (constraints included) holds the genome."""
        return self.find(genome) is not None

    def genes(self, genome: Genome) -> dict[str, str]:
        """Every gene's value as text by its path, "absent" where it is not expressed.

        Empty for a genome from outside, such as a seed of a search.
        """
        try:
            return self._encoder.genes(parse(genome, self))
        except UserError:
            return {}

    def encode(self, genotype: Genotype) -> npt.NDArray[np.float64]:
        """(columns,): the genes as a vector, see encoding.py."""
        return self._encoder.encode(genotype)

    @property
    def groups(self) -> tuple[int, ...]:
        """(columns,): for each element of `encode`, the number of its gene's group."""
        return self._encoder.groups

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self)

    def size(self) -> int:
        """How many different genomes there are, constraints ignored (exact)."""
        stem = prod(len(choices) for choices in vars(self.stem).values())
        head = len(self.head.pool) * len(self.head.hidden) * len(self.head.dropout)
        stages = prod(
            _stage_size(spec, sum(self._block_count(kind) for kind in spec.blocks))
            for spec in self.stages
        )
        return len(self.input.resize) * len(self.bias) * stem * stages * head

    def _block_count(self, kind: str) -> int:
        return prod(len(choices) for choices in self.block_choices(kind).values())


def _stage_size(spec: StageSpec, block_choices: int) -> int:
    pools = sum(d in ("max", "avg") for d in spec.downsample)
    filled: int = sum(block_choices**depth for depth in spec.depth if depth)
    return pools * (0 in spec.depth) + len(spec.downsample) * len(spec.channels) * filled
