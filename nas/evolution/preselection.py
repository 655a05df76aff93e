"""Which of many children to train: the one whose expected gain is largest. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from nas.evolution.acquisition import expected_hypervolume_improvement, expected_improvement
from nas.evolution.objectives import FitnessFunction, Objective
from nas.evolution.pareto import front_ranks, nondominated
from nas.evolution.surrogate import GaussianProcess
from nas.search.archive import Evaluation
from nas.space.operators import Rng

# Metrics of a genome that need no training, all above 0; those among the objectives are exact.
StaticMetrics = Callable[[Any], dict[str, float]]

WARM_UP = 8  # evaluations before the surrogate is trusted
TRAINING_SET = 300  # so that a proposal costs the same, however long the search
POOL = 1000  # evaluations after which only the best so far stay in the running for its better half
RETUNE = 1.2  # kernel weights are found anew when there are so many times as many evaluations,
RETUNE_AFTER = 50  # or this many more
# Late in a search, or beside many children in training, one more evaluation changes little: one
# screening then serves several proposals, one more for each so many evaluations or children.
REUSE = 400
CROWD = 32
TYPICAL = 100  # random genomes; their median accuracy is where gains begin to count
COST_MARGIN = 1.1  # of the largest cost seen; there gains cease to count
MAX_BELIEVED = 64  # pending genomes
MAX_FAILED = 100  # the last failures are learned from
LEAST_SHARE = 1e-4  # of a known metric's largest value; below it, all are alike


class Encodes(Protocol):
    """Genotypes as vectors; `groups` numbers the group of each column, see surrogate.py."""

    @property
    def groups(self) -> Sequence[int]: ...
    def encode(self, genotype: Any) -> Any: ...
    def sample(self, rng: Rng) -> Any: ...


class Preselection:
    """Learns from evaluations which genomes are worth training.

    fitness: gains count in the penalised fitness; without one, in hypervolume of the objectives.
    """

    def __init__(
        self, space: Encodes, known: StaticMetrics, objectives: Sequence[Objective],
        fitness: FitnessFunction | None = None,
    ) -> None:  # fmt: skip
        self.space, self.known, self.fitness = space, known, fitness
        self.objectives = [o for o in objectives if o.name != "accuracy"]
        self._told: list[Evaluation] = []
        self._genotypes: list[Any] = []  # of what was told
        self._pools: list[tuple[int, list[int]]] = [(0, [])]  # (told, the best then), the last two
        self._failed: list[tuple[int, Any]] = []  # how many were told before, the vector
        self._vectors: dict[int, Any] = {}
        self._front = np.empty((0, 1 + len(self.objectives)))  # accuracy, costs
        self._largest = np.zeros(len(self.objectives))
        self._best = -np.inf  # of the penalised fitness
        self._tuned_at = self._fitted_at = 0
        self._chosen: list[int] = []
        self._typical_vectors: list[Any] = []
        self._ranked: list[Any] = []  # children of the last screening, the best last
        self._served = 0  # of them
        self._surrogate: GaussianProcess | None = None

    @property
    def ready(self) -> bool:
        return len(self._told) >= WARM_UP

    def tell(self, evaluation: Evaluation, genotype: Any) -> None:
        """An ok evaluation of a genotype of the space."""
        self._told.append(evaluation)
        self._genotypes.append(genotype)
        costs = self._costs(evaluation.metrics)
        self._largest = np.maximum(self._largest, costs)
        if self.fitness is not None:
            self._best = max(self._best, self.fitness(evaluation.metrics))
        points = np.vstack([self._front, [evaluation.metrics["accuracy"], *costs]])
        self._front = points[nondominated(_minimised(points))]
        if len(self._told) % POOL == 0:
            best = self._front_runners(len(self._told), TRAINING_SET // 2)
            self._pools = [self._pools[-1], (len(self._told), best)]

    def tell_failed(self, genotype: Any) -> None:
        """A genotype whose training failed: as bad as the worst known, or it is tried again."""
        self._failed.append((len(self._told), self._encode(genotype)))

    def choose(
        self, make: Callable[[], list[Any]], pending: Sequence[Any], seen: set[str]
    ) -> Any | None:
        """The most promising of the children that `make` gives; None where it gives none.

        pending: genotypes in training, believed to come out as predicted.
        """
        told = len(self._told)
        serves = max(told // REUSE, len(pending) // CROWD)
        if max(self._served, told - self._fitted_at) > serves:
            self._ranked = []
        while self._ranked:
            child = self._ranked.pop()
            if child.id not in seen:
                self._served += 1
                return child
        children = make()
        if not children:
            return None
        with threadpool_limits(1):  # the cores are the workers'; and sums must not vary
            self._fit()
            gain = self._gain(children, pending[-MAX_BELIEVED:])
        self._ranked = [children[i] for i in np.argsort(gain, kind="stable")]
        self._served = 1
        return self._ranked.pop()

    def _fit(self) -> None:
        """Fit to what was told. How it came to be told plays no part: a resumed search agrees."""
        told = len(self._told)
        anchor = _tuning_point(told)
        if anchor != self._tuned_at:
            self._tuned_at, self._chosen = anchor, self._training_set(anchor)
            self._train(self._chosen, anchor, tune=True)
        self._train([*self._chosen, *range(anchor, told)], told + 1, tune=False)
        self._fitted_at = told

    def _train(self, rows: list[int], before: int, tune: bool) -> None:
        """On these evaluations, and on what failed before so many were told."""
        for row in rows:
            if row not in self._vectors:
                self._vectors[row] = self._encode(self._genotypes[row])
        x = np.stack([self._vectors[row] for row in rows])
        known = x[:, len(self.space.groups) :]
        self._known_low = np.maximum(known.min(0), LEAST_SHARE * known.max(0))
        self._known_log_range = np.maximum(np.log(known.max(0) / self._known_low), 1e-9)
        if self._surrogate is None:
            first = max(self.space.groups, default=-1) + 1
            self._surrogate = GaussianProcess(
                [*self.space.groups, *range(first, first + known.shape[1])]
            )
        accuracy = np.array([self._told[row].metrics["accuracy"] for row in rows])
        failed = [vector for told, vector in self._failed if told < before][-MAX_FAILED:]
        if failed:
            x = np.vstack([x, failed])
            accuracy = np.append(accuracy, np.full(len(failed), accuracy.min()))
        self._surrogate.fit(self._scaled(x), accuracy, tune)

    def _training_set(self, told: int) -> list[int]:
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

    def _front_runners(self, told: int, count: int) -> list[int]:
        """The best of the first so many evaluations, front by front."""
        at, pool = next(known for known in reversed(self._pools) if known[0] <= told)
        rows = [*pool, *range(at, told)]
        told_of = (self._told[row].metrics for row in rows)
        points = np.array([[metrics["accuracy"], *self._costs(metrics)] for metrics in told_of])
        order = np.argsort(front_ranks(_minimised(points)), kind="stable")
        return [rows[i] for i in order[:count]]

    def _gain(self, children: list[Any], pending: Sequence[Any]) -> Any:
        assert self._surrogate is not None
        x = self._scaled(np.stack([self._encode(g) for g in children]))
        costs = np.array([self._costs(self.known(g.genome)) for g in children])
        front, best = self._front, self._best
        if pending:
            waiting = self._scaled(np.stack([self._encode(g) for g in pending]))
            believed = self._surrogate.condition_on(waiting)
            waiting_known = [self.known(g.genome) for g in pending]
            waiting_costs = np.array([self._costs(known) for known in waiting_known])
            front = np.vstack([front, np.column_stack([believed, waiting_costs])])
            if self.fitness is not None:
                hoped = ({**k, "accuracy": a} for k, a in zip(waiting_known, believed, strict=True))
                best = max(best, *map(self.fitness, hoped))
        mean, deviation = self._surrogate.predict(x)
        scale = self._surrogate.scale
        if self.fitness is not None:
            penalties = np.array(
                [-self.fitness({**self.known(g.genome), "accuracy": 0.0}) for g in children]
            )
            return expected_improvement(mean, deviation, scale, penalties, best)
        limits = COST_MARGIN * np.maximum(self._largest, 1e-12)
        reference = (self._typical_accuracy(), limits)
        return expected_hypervolume_improvement(
            mean, deviation, scale, costs, front[:, 0], front[:, 1:], reference
        )

    def _typical_accuracy(self) -> float:
        assert self._surrogate is not None
        if not self._typical_vectors:
            rng = np.random.default_rng(0)  # any will do: they are only looked at
            self._typical_vectors = [self._encode(self.space.sample(rng)) for _ in range(TYPICAL)]
        mean, _ = self._surrogate.predict(self._scaled(np.stack(self._typical_vectors)))
        return float(self._surrogate.scale.inverse(np.median(mean)))

    def _encode(self, genotype: Any) -> Any:
        known = self.known(genotype.genome)
        return np.concatenate([self.space.encode(genotype), [*known.values()]])

    def _scaled(self, x: Any) -> Any:
        """The logarithms of the known metrics within about 0..1, as the genes are."""
        genes, known = np.split(x, [len(self.space.groups)], axis=1)
        logarithms = np.log(np.maximum(known, self._known_low) / self._known_low)
        return np.column_stack([genes, logarithms / self._known_log_range])

    def _costs(self, metrics: dict[str, float]) -> list[float]:
        """Smaller is better: of a metric to maximise, such as fps, the reciprocal."""
        return [1 / metrics[o.name] if o.maximise else metrics[o.name] for o in self.objectives]


def _tuning_point(told: int) -> int:
    """The last number of evaluations, at most `told`, at which the weights are tuned."""
    point = WARM_UP
    while True:
        step = min(RETUNE_AFTER, ceil(point * (RETUNE - 1)))
        if step == RETUNE_AFTER:
            return point + (told - point) // step * step
        if point + step > told:
            return point
        point += step


def _minimised(points: Any) -> Any:
    return points * np.array([-1.0, *[1.0] * (points.shape[1] - 1)])
