"""A genome seen through a search space: only what the space lets vary. No torch here.

Variation changes genes; `SearchSpace.build` makes the genome again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from nas.arch.genome import Conv, Inverted, Residual, Separable

GenePath = tuple[str | int, ...]
SearchableBlock = Conv | Residual | Inverted | Separable  # blocks with a width


@dataclass(frozen=True)
class StemGenes:
    channels: int
    kernel: int
    stride: int
    activation: str


@dataclass(frozen=True)
class StageGenes:
    """Blocks carry no meaning in `channels` and `stride`: the stage's apply, see `build`."""

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
    """A genome seen through a search space."""

    resize: int
    bias: bool
    stem: StemGenes
    stages: tuple[StageGenes, ...]
    head: HeadGenes


def get_gene(genes: Any, path: GenePath) -> Any:
    """The value at a path such as ("stages", 1, "blocks", 0, "kernel")."""
    for key in path:
        genes = genes[key] if isinstance(key, int) else getattr(genes, key)
    return genes


def set_gene(genes: Any, path: GenePath, value: Any) -> Any:
    """A copy with the value at the path replaced."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(key, int):
        return (*genes[:key], set_gene(genes[key], rest, value), *genes[key + 1 :])
    return dataclasses.replace(genes, **{key: set_gene(getattr(genes, key), rest, value)})
