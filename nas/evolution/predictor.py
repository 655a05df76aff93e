"""What was measured so far, and the Gaussian processes that learn from it: one for each metric that
only a measurement gives. How it came to be measured plays no part: a resumed search agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy import stats

from nas.evolution.objectives import Metrics, Objective
from nas.evolution.pareto import front_ranks, minimized
from nas.evolution.surrogate import GaussianProcess
from nas.space.operators import Rng

Array = npt.NDArray[np.float64]
# Metrics of a genome that need no training, all above 0.
StaticMetrics = Callable[[Any], dict[str, float]]
# As training.task has it: the mean, and it less and plus one standard deviation of a reading.
Prediction = tuple[float, float, float]

WARM_UP = 8  # evaluations before the surrogate is trusted
TRAINING_SET = 300  # so that a proposal costs the same, however long the search
POOL = 1000  # evaluations after which only the best so far stay in the running for its better half
RETUNE = 1.2  # kernel weights are found anew when there are so many times as many evaluations,
RETUNE_AFTER = 50  # or this many more
TYPICAL = 100  # random genomes; their median prediction is typical
MAX_FAILED = 100  # the last failures are learned from
FAR = 3.0  # times as far above the median loss as the least lies below it: it is left out of a line
LEAST_SHARE = 1e-4  # of a static metric's largest value; below it, all are alike
ALIKE = 1e-9  # deviation of a static metric's logarithm, up to which it tells nothing


@runtime_checkable
class Space(Protocol):
    """What is searched: genotypes, made at random, from one parent or from two, and their vectors.

    A genotype has an `id` and the `genome` to train; `find` has that of a genome, or None.
    `groups` numbers the group of each element of a vector, see surrogate.py.
    """

    @property
    def groups(self) -> Sequence[int]: ...
    def encode(self, genotype: Any) -> Any: ...
    def sample(self, rng: Rng) -> Any: ...
    def mutate(self, parent: Any, rng: Rng) -> Any: ...
    def crossover(self, a: Any, b: Any, rng: Rng) -> Any: ...
    def find(self, genome: Any) -> Any: ...


@dataclass(frozen=True)
class Told:
    """A measured genotype; index: how many were told before."""

    index: int
    genotype: Any
    metrics: Metrics
    ok: bool = True


class Predictor:
    """Predicts metrics of a genotype. names: which, and whether more of each is better.

    objectives: whose better half a long archive is cut to.
    """

    def __init__(
        self, space: Space, static_metrics: StaticMetrics, names: dict[str, bool],
        objectives: Sequence[Objective],
    ) -> None:  # fmt: skip
        self.space, self.static_metrics = space, static_metrics
        self.objectives = tuple(objectives)
        self.told: list[Told] = []
        self.names = names
        self.processes: dict[str, GaussianProcess] = {}
        self.fitted_at = 0  # so many were told then
        self._pools: list[tuple[int, list[int]]] = [(0, [])]  # (told, the best then), the last two
        self._failed: list[tuple[int, Array]] = []  # how many were told before, the vector
        self._vectors: dict[int, Array] = {}
        self._tuned_at = 0
        self._chosen: list[int] = []
        self._typical_vectors: list[Array] = []

    @property
    def ready(self) -> bool:
        return len(self.told) >= WARM_UP

    def tell(self, genotype: Any, metrics: Metrics) -> Told:
        """A measured genotype of the space."""
        self.told.append(Told(len(self.told), genotype, metrics))
        if len(self.told) % POOL == 0:
            best = self._front_runners(len(self.told), TRAINING_SET // 2)
            self._pools = [self._pools[-1], (len(self.told), best)]
        return self.told[-1]

    def tell_failed(self, genotype: Any) -> None:
        """A genotype whose training failed: as bad as the worst known, or it is tried again."""
        self._failed.append((len(self.told), self._encode(genotype)))

    def fit(self) -> None:
        """Fit to what was told."""
        told = len(self.told)
        anchor = tuning_point(told)
        if anchor != self._tuned_at:
            self._tuned_at, self._chosen = anchor, self.training_set(anchor)
            self._train(self._chosen, anchor, tune=True)
        self._train([*self._chosen, *range(anchor, told)], told + 1, tune=False)
        self.fitted_at = told

    def predict(
        self, name: str, genotypes: Sequence[Any], noise: float = 1.0
    ) -> tuple[Array, Array]:
        """(mean, deviation), each (n,), on the scale of the metric's process; see surrogate.py."""
        return self.processes[name].predict(self._inputs(genotypes), noise)

    def forecasts(
        self, genotypes: Sequence[Any], noise: float = 1.0
    ) -> list[dict[str, Prediction]]:
        """Of each genotype, what a measurement of it is expected to give, in the metrics' units."""
        found: list[dict[str, Prediction]] = [{} for _ in genotypes]
        for name in self.names:
            mean, deviation = self.predict(name, genotypes, noise)
            scale = self.processes[name].scale
            middle = scale.inverse(mean)
            ends = scale.inverse(mean - deviation), scale.inverse(mean + deviation)
            low, high = np.minimum(*ends), np.maximum(*ends)
            for forecast, *values in zip(found, middle, low, high, strict=True):
                forecast[name] = (float(values[0]), float(values[1]), float(values[2]))
        return found

    def condition_on(self, genotypes: Sequence[Any]) -> dict[str, Array]:
        """Take what is predicted of genotypes for true, until the next `fit`: metrics (n,)."""
        x = self._inputs(genotypes)
        return {name: process.condition_on(x) for name, process in self.processes.items()}

    def typical(self, name: str) -> float:
        """The metric of a random network: the median of what is predicted for some."""
        if not self._typical_vectors:
            rng = np.random.default_rng(0)  # any will do: they are only looked at
            self._typical_vectors = [self._encode(self.space.sample(rng)) for _ in range(TYPICAL)]
        process = self.processes[name]
        mean, _ = process.predict(self._scaled(np.stack(self._typical_vectors)))
        return float(process.scale.inverse(np.median(mean)))

    def training_set(self, told: int) -> list[int]:
        """All, or where they are too many the best and an even part of the rest."""
        if told <= TRAINING_SET:
            return list(range(told))
        best = self._front_runners(told, TRAINING_SET // 2)
        rest = np.setdiff1d(np.arange(told), best)
        even = rest[np.linspace(0, len(rest) - 1, TRAINING_SET - len(best)).round().astype(int)]
        chosen = [*best, *even.tolist()]
        kept = set(chosen)
        self._vectors = {row: v for row, v in self._vectors.items() if row in kept}
        return chosen

    def _train(self, rows: list[int], before: int, tune: bool) -> None:
        """On these evaluations, and on what failed before so many were told."""
        for row in rows:
            if row not in self._vectors:
                self._vectors[row] = self._encode(self.told[row].genotype)
        x = np.stack([self._vectors[row] for row in rows])
        static = x[:, len(self.space.groups) :]
        self._low = np.maximum(static.min(0), LEAST_SHARE * static.max(0))
        logarithms = np.log(np.maximum(static, self._low))
        spread = logarithms.std(0)
        self._mean, self._spread = logarithms.mean(0), np.where(spread > ALIKE, spread, 1.0)
        failed = [vector for told, vector in self._failed if told < before][-MAX_FAILED:]
        scaled = self._scaled(np.vstack([x, *failed]))
        first = max(self.space.groups, default=-1) + 1
        groups = [*self.space.groups, *range(first, first + static.shape[1])]
        for name, maximize in self.names.items():
            values = readings(name, [self.told[row].metrics for row in rows])
            worst = values.min() if maximize else values.max()
            values = np.append(values, np.full(len(failed), worst))
            process = self.processes.setdefault(name, GaussianProcess(groups, maximize))
            process.fit(scaled, values, tune)

    def _front_runners(self, told: int, count: int) -> list[int]:
        """The best of the first so many evaluations, front by front."""
        at, pool = next(known for known in reversed(self._pools) if known[0] <= told)
        rows = [*pool, *range(at, told)]
        points = minimized((self.told[row].metrics for row in rows), self.objectives)
        order = np.argsort(front_ranks(points), kind="stable")
        return [rows[i] for i in order[:count]]

    def _inputs(self, genotypes: Sequence[Any]) -> Array:
        return self._scaled(np.stack([self._encode(g) for g in genotypes]))

    def _encode(self, genotype: Any) -> Array:
        static = self.static_metrics(genotype.genome)
        return np.concatenate([self.space.encode(genotype), [*static.values()]])

    def _scaled(self, x: Array) -> Array:
        """The genes, and the logarithms of the static metrics with mean 0 and deviation 1 over what
        is learned from (Rasmussen and Williams 2006, 2.5): a cost sums up all genes, and from few
        networks it says more than one of them.
        """
        genes, static = np.split(x, [len(self.space.groups)], axis=1)
        logarithms = np.log(np.maximum(static, self._low))
        return np.column_stack([genes, (logarithms - self._mean) / self._spread])


def readings(name: str, found: Sequence[Metrics]) -> Array:
    """(n,): a metric of networks; the accuracy is drawn towards what their cross entropy says.

    Right or wrong is a noisier reading of a network than the cross entropy of the same images. A
    line through it foretells the accuracy; its weight is the share of variance that it explains.
    A network with a loss far above the others' would be all that the line explains: it is read as
    it was measured. So is any that has none.
    """
    values = np.array([metrics[name] for metrics in found], dtype=float)
    losses = np.array([metrics.get("loss", np.nan) for metrics in found])
    if name != "accuracy" or np.isfinite(losses).sum() < WARM_UP:
        return values
    median = np.nanmedian(losses)
    near = losses <= median + FAR * (median - np.nanmin(losses))
    accuracy, loss = values[near], losses[near]
    if near.sum() >= WARM_UP and np.ptp(accuracy) and np.ptp(loss):
        line = stats.linregress(loss, accuracy)
        drawn = accuracy + line.rvalue**2 * (line.intercept + line.slope * loss - accuracy)
        values[near] = np.clip(drawn, 0, 1)
    return values


def tuning_point(told: int) -> int:
    """The last number of evaluations, at most `told`, at which the weights are tuned."""
    point = WARM_UP
    while True:
        step = min(RETUNE_AFTER, ceil(point * (RETUNE - 1)))
        if step == RETUNE_AFTER:
            return point + (told - point) // step * step
        if point + step > told:
            return point
        point += step
