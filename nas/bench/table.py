"""A public table of trained networks as a search space: looking up replaces training. No torch."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nas.common.errors import UserError, one_of
from nas.common.files import read_bytes
from nas.evolution.pareto import hypervolume, nondominated
from nas.search.archive import Archive
from nas.space.encoding import Column
from nas.space.operators import Rng
from nas.space.space import SearchSpace

Rows = npt.NDArray[np.int64]  # of a table
MAX_BYTES = 256 << 20
MAX_ROWS = 2_000_000
SPARSE_ROWS = 1000  # at most, and one in a hundred of the genes' combinations
GENE, COST = "gene:", "cost:"
NEIGHBOURS = 5  # of a row of a sparse table
REFERENCE_MARGIN = 1.1  # of the largest cost on the true front


@dataclass(frozen=True)
class TableGenome:
    """One row: the index of a choice for each gene."""

    genes: tuple[int, ...]

    @property
    def id(self) -> str:
        return "-".join(map(str, self.genes))

    @property
    def genome(self) -> TableGenome:
        """A row is its own genotype."""
        return self


class Table:
    """Columns `gene:NAME` (choices), `val_accuracy`, `test_accuracy` (%), `cost:NAME` (smaller is
    better). A search may look at val_accuracy and the costs; test_accuracy is for scoring alone.

    As a search space: `sample`, `mutate` and `crossover` give genomes whose row exists.
    """

    def __init__(
        self, name: str, frame: pd.DataFrame, cost: str | None = None, sparse: bool = False
    ) -> None:
        """sparse: combinations of genes without a row mean the nearest; also where few have one."""
        self.name = name
        columns = [str(c) for c in frame.columns]
        genes = [c for c in columns if c.startswith(GENE)]
        costs = [c.removeprefix(COST) for c in columns if c.startswith(COST)]
        for wanted in ("val_accuracy", "test_accuracy"):
            if wanted not in frame:
                raise UserError(f"{name}: no column {wanted!r}")
        if not genes or not costs:
            raise UserError(f"{name}: expected columns gene:NAME and cost:NAME")
        self.cost_name = cost or costs[0]
        if self.cost_name not in costs:
            raise one_of(f"{name}: --cost", self.cost_name, costs, "cost")
        self.choices = [sorted(_filled(frame[c], f"{name}: {c}"), key=_order) for c in genes]
        few = min(SPARSE_ROWS, math.prod(map(len, self.choices)) / 100)
        self.sparse = sparse or len(frame) <= few
        codes = [
            frame[c].map({v: i for i, v in enumerate(choices)}).to_numpy()
            for c, choices in zip(genes, self.choices, strict=True)
        ]
        self.genes = np.stack(codes, axis=1)
        self.accuracy = _finite(frame["val_accuracy"], f"{name}: val_accuracy")
        self.test_accuracy = _finite(frame["test_accuracy"], f"{name}: test_accuracy")
        self.cost = _finite(frame[COST + self.cost_name], f"{name}: {COST}{self.cost_name}")
        self._costs = {"cost": self.cost} | {
            c: _finite(frame[COST + c], f"{name}: {COST}{c}") for c in costs if c != self.cost_name
        }
        self._rows = {tuple(row): i for i, row in enumerate(self.genes.tolist())}
        if len(self._rows) != len(frame):
            raise UserError(f"{name}: the same genes stand in more than one row")
        for cost_name, values in self._costs.items():
            if values.min() <= 0:
                raise UserError(f"{name}: {COST}{cost_name}: expected costs above 0")
        if self.accuracy.max() <= np.median(self.accuracy):
            raise UserError(f"{name}: val_accuracy: half of the networks or more are the best")

    @classmethod
    def load(cls, path: Path, cost: str | None = None) -> Table:
        """Read a CSV, plain or .gz, or the evaluations.jsonl of a run, which is sparse.

        UserError when it is missing, malformed or too large.
        """
        if path.suffix == ".jsonl":
            return cls(path.parent.name or "archive", archive_frame(path), cost, sparse=True)
        content = io.BytesIO(read_bytes(path, MAX_BYTES, "a smaller table"))
        try:  # NA and None are words; in parts, a number would be a word in one of them alone
            frame = pd.read_csv(content, keep_default_na=False, low_memory=False)
        except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise UserError(f"{path}: not a CSV table: {error}") from None
        if not 2 <= len(frame) <= MAX_ROWS:
            raise UserError(f"{path}: {len(frame)} rows; allowed 2 to {MAX_ROWS}")
        table = cls(str(path), frame, cost)
        table.name = path.name.split(".")[0]
        return table

    def noise_free(self) -> Table:
        """The same, searched by test_accuracy, which a mean over seeds makes nearly exact."""
        other = copy.copy(self)  # before its front, which follows from the accuracy, is asked for
        assert "front" not in vars(self)
        other.name, other.accuracy = f"{self.name}_single", self.test_accuracy
        return other

    def __len__(self) -> int:
        return len(self.genes)

    def row(self, genome: TableGenome) -> int | None:
        """The genome's row; where there is none, None (infeasible) or a sparse table's nearest."""
        found = self._rows.get(genome.genes)
        if found is None and self.sparse:
            return int(self._nearest(genome)[0])
        return found

    def _nearest(self, genome: TableGenome) -> Rows:
        """All rows, those with the fewest other genes first."""
        others = (self.genes != np.array(genome.genes)).sum(1)
        return np.argsort(others, kind="stable")

    def genome(self, row: int) -> TableGenome:
        return TableGenome(tuple(self.genes[row].tolist()))

    def sample(self, rng: Rng) -> TableGenome:
        return self.genome(int(rng.integers(len(self))))

    def mutate(self, genome: TableGenome, rng: Rng) -> TableGenome:
        """One gene takes another of its choices, sometimes a second one too.

        In a sparse table: a near row instead.
        """
        if self.sparse:
            near = self._nearest(genome)[1 : 1 + NEIGHBOURS]
            return self.genome(int(rng.choice(near)))
        for _ in range(100):
            genes = list(genome.genes)
            for at in rng.permutation(len(genes))[: 1 + int(rng.random() < 0.3)]:
                others = [c for c in range(len(self.choices[at])) if c != genes[at]]
                genes[at] = int(rng.choice(others)) if others else genes[at]
            child = TableGenome(tuple(genes))
            if self.row(child) is not None and child != genome:
                return child
        return self.sample(rng)

    def crossover(self, a: TableGenome, b: TableGenome, rng: Rng) -> TableGenome:
        """Uniform: each gene from either parent."""
        for _ in range(100):
            from_a = rng.random(len(a.genes)) < 0.5
            genes = tuple(x if t else y for x, y, t in zip(a.genes, b.genes, from_a, strict=True))
            row = self.row(TableGenome(genes))
            if row is not None:
                return self.genome(row)
        return a

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(Column((i,), tuple(c), (i,)) for i, c in enumerate(self.choices))

    @cached_property
    def groups(self) -> tuple[int, ...]:
        return tuple(i for i, column in enumerate(self.columns) for _ in range(column.width))

    def encode(self, genome: TableGenome) -> npt.NDArray[np.float64]:
        """Genotype as a vector: ranks of numbers, a column for each word."""
        pairs = zip(self.columns, genome.genes, strict=True)
        return np.concatenate([column.encode(column.choices[gene]) for column, gene in pairs])

    def find(self, genome: TableGenome) -> TableGenome | None:
        """A genome is its own genotype; None where there is no row."""
        return genome if genome.genes in self._rows else None

    def static_metrics(self, genome: TableGenome) -> dict[str, float]:
        """All costs, which need no training; `cost` is the one that counts."""
        row = self._rows[genome.genes]
        return {name: float(values[row]) for name, values in self._costs.items()}

    def metrics(self, row: int) -> dict[str, float]:
        """What a search is told of a network."""
        return {"accuracy": float(self.accuracy[row]) / 100, "cost": float(self.cost[row])}

    @cached_property
    def front(self) -> Rows:
        """Rows of the true front of (val_accuracy, cost)."""
        return front_rows(self.accuracy, self.cost)

    @cached_property
    def reference(self) -> tuple[float, float]:
        """(median val_accuracy, 1.1 x the largest cost on the front above that median)."""
        median = float(np.median(self.accuracy))
        above = self.front[self.accuracy[self.front] > median]
        return median, REFERENCE_MARGIN * float(self.cost[above].max())

    @cached_property
    def full_volume(self) -> float:
        return self._volume(self.front)

    def hypervolume(self, rows: npt.ArrayLike) -> float:
        """Of (val_accuracy, cost) of these rows, divided by that of the true front."""
        return self._volume(rows) / self.full_volume

    def test_hypervolume(self, front: Rows) -> float:
        """Of a front re-scored on test_accuracy, divided by the true front's; nan where that is 0.

        From the median of that column, so that it is no better than the median network.
        """
        full = self._test_volume(self.front)
        return self._test_volume(front) / full if full else math.nan

    def _test_volume(self, rows: Rows) -> float:
        points = np.column_stack([-self.test_accuracy[rows], self.cost[rows]])
        return hypervolume(points, [-float(np.median(self.test_accuracy)), self.reference[1]])

    def _volume(self, rows: npt.ArrayLike) -> float:
        accuracy, cost = self.reference
        chosen = np.asarray(rows)
        points = np.column_stack([-self.accuracy[chosen], self.cost[chosen]])
        return hypervolume(points, [-accuracy, cost])


def front_rows(accuracy: npt.ArrayLike, cost: npt.ArrayLike) -> Rows:
    """Indices of the non-dominated points (high accuracy, low cost), one for equal points."""
    return np.flatnonzero(nondominated(np.column_stack([-np.asarray(accuracy), cost])))


def archive_frame(path: Path) -> pd.DataFrame:
    """A run's ok evaluations as a table; its space.yaml, beside it, says what the genes are.

    There is no second measurement: test_accuracy is the same as val_accuracy.
    """
    space = SearchSpace.load(path.with_name("space.yaml"))
    rows: dict[str, dict[str, Any]] = {}
    for evaluation in Archive(path):
        if not evaluation.ok or not space.contains(evaluation.genome):
            continue
        accuracy = 100 * evaluation.metrics["accuracy"]
        rows[evaluation.id] = {
            **{GENE + name: value for name, value in space.genes(evaluation.genome).items()},
            "val_accuracy": accuracy,
            "test_accuracy": accuracy,
            **{COST + name: evaluation.metrics[name] for name in ("params", "macs")},
            COST + "ms": 1000 / evaluation.metrics["fps"],
        }
    if len(rows) < 2:
        raise UserError(f"{path}: {len(rows)} ok evaluations of its space; expected two or more")
    return pd.DataFrame(list(rows.values()))


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers by value, then words."""
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, str(value))


def _filled(column: pd.Series, where: str) -> list[Any]:
    """Its different values. UserError where a cell is empty."""
    empty = column.astype(str).str.strip() == ""
    if empty.any():
        row = int(empty.to_numpy().argmax()) + 2
        raise UserError(f"{where}: row {row}: empty; expected a number or a word")
    return list(column.unique())


def _finite(column: pd.Series, where: str) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(f"{where}: row {bad + 2}: not a finite number")
    return values
