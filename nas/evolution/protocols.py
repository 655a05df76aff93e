"""What evolution asks of a search space: genotypes, made in three ways, and their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from nas.space.operators import Rng


class Encodes(Protocol):
    """Genotypes as vectors; `groups` numbers the group of each column, see surrogate.py."""

    @property
    def groups(self) -> Sequence[int]: ...
    def encode(self, genotype: Any) -> Any: ...
    def sample(self, rng: Rng) -> Any: ...


@runtime_checkable
class Space(Encodes, Protocol):
    """What is searched: genotypes, made at random, from one parent or from two.

    A genotype has an `id` and the `genome` to train; `genotype` reads a genome of the space.
    """

    def mutate(self, parent: Any, rng: Rng) -> Any: ...
    def crossover(self, a: Any, b: Any, rng: Rng) -> Any: ...
    def genotype(self, genome: Any) -> Any: ...
    def contains(self, genome: Any) -> bool: ...
