"""A genotype as a vector, for models that learn from genes. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.space.genotype import GenePath, Genotype, dotted, gene
from nas.space.spec import SpaceSpec

ABSENT = -0.5  # of a number that is not expressed; those that are lie in 0..1
HALF = 0.5  # two words differ in two columns: their distance is 1


@dataclass(frozen=True)
class Column:
    """One gene: where it stands, what it may be, and whose weight it shares in a kernel.

    Numbers (and lists of them, by their sum) become their rank from 0 to 1, words one column each.
    """

    path: GenePath
    choices: tuple[Any, ...]
    group: GenePath

    @cached_property
    def ordered(self) -> bool:
        return not any(isinstance(choice, str) for choice in self.choices)

    @property
    def width(self) -> int:
        return 1 if self.ordered else len(self.choices)

    def encode(self, value: Any) -> list[float]:
        """value: a choice, or None where the gene is not expressed."""
        if not self.ordered:
            return [HALF * (value == choice) for choice in self.choices]
        if value is None:
            return [ABSENT]
        return [self.choices.index(value) / max(1, len(self.choices) - 1)]


class Encoder:
    """`encode(genotype)` -> vector; `groups`: for every element the number of its group."""

    def __init__(self, spec: SpaceSpec) -> None:
        self.columns = _columns(spec)
        self.names = [dotted(column.path) for column in self.columns]
        numbers = {g: i for i, g in enumerate(dict.fromkeys(c.group for c in self.columns))}
        self.groups = tuple(numbers[c.group] for c in self.columns for _ in range(c.width))

    def genes(self, genotype: Genotype) -> dict[str, str]:
        """Every gene's value as text by its path, "absent" where it is not expressed."""
        values = [_value(genotype, column.path) for column in self.columns]
        texts = ("absent" if value is None else str(value) for value in values)
        return dict(zip(self.names, texts, strict=True))

    def encode(self, genotype: Genotype) -> npt.NDArray[np.float64]:
        """(columns,): every element between ABSENT and 1."""
        return np.array(
            [v for column in self.columns for v in column.encode(_value(genotype, column.path))],
            dtype=float,
        )


def _value(genotype: Genotype, path: GenePath) -> Any:
    """The gene at a path, None where this genome does not express it."""
    match path:
        case ("stages", int(i), "depth"):
            return len(genotype.stages[i].blocks)
        case ("stages", int(i), "blocks", int(j), str(name)):
            blocks = genotype.stages[i].blocks
            return getattr(blocks[j], name, None) if j < len(blocks) else None
    return gene(genotype, path)


def _columns(spec: SpaceSpec) -> list[Column]:
    columns = [_column(("resize",), spec.input.resize), _column(("bias",), spec.bias)]
    columns += [_column(("stem", name), choices) for name, choices in vars(spec.stem).items()]
    for i, stage in enumerate(spec.stages):
        columns += [
            _column(("stages", i, name), getattr(stage, name))
            for name in ("downsample", "depth", "channels")
        ]
        genes: dict[str, set[Any]] = {"kind": set(stage.blocks)}
        for kind in stage.blocks:
            for name, choices in spec.block_choices(kind).items():
                genes.setdefault(name, set()).update(choices)
        columns += [
            _column(("stages", i, "blocks", j, name), tuple(choices), ("stages", i, name, "blocks"))
            for j in range(max(stage.depth))
            for name, choices in genes.items()
        ]
    columns += [_column(("head", name), getattr(spec.head, name))
                for name in ("pool", "hidden", "dropout")]  # fmt: skip
    return [column for column in columns if len(column.choices) > 1]


def _column(path: GenePath, choices: tuple[Any, ...], group: GenePath = ()) -> Column:
    def key(choice: Any) -> Any:
        return sum(choice) if isinstance(choice, tuple) else choice

    return Column(path, tuple(sorted(choices, key=key)), group or path)
