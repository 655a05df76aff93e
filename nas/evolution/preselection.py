"""Which of many children to train: the one whose expected gain is largest.

    objectives, at most one uncertain   expected hypervolume improvement, exact in the uncertain one
    two or three, more than one so      the same: a Gaussian process for each, taken as independent
    four objectives                     ParEGO (Knowles 2006): a random weighted (augmented
                                        Chebyshev) sum for each screening, sampled improvement of it
    one penalised fitness               expected improvement; sampled where the fitness has more
                                        than one uncertain metric, or one that is no share

An uncertain metric under a hard constraint multiplies the gain by the chance to keep it (Gardner
and others 2014). Static metrics are exact; children that break a constraint on them are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import qmc
from threadpoolctl import threadpool_limits

from nas.common.errors import UserError
from nas.evolution.acquisition import (
    Known,
    Uncertain,
    Values,
    expected_hypervolume_improvement,
    expected_improvement,
    sampled_improvement,
)
from nas.evolution.objectives import Constraint, Fitness, Metrics, Objective, violation
from nas.evolution.pareto import Front
from nas.evolution.predictor import Prediction, Predictor, Space, StaticMetrics, Told

Array = npt.NDArray[np.float64]
Predicted = dict[str, tuple[Array, Array]]  # a metric's mean and deviation, each (n,)
Forecast = tuple[Any, dict[str, Prediction]]  # of a genotype
log = logging.getLogger(__name__)

# Late in a search, or beside many children in training, one more evaluation changes little: one
# screening then serves several proposals, one more for each so many evaluations or children.
REUSE = 400
CROWD = 32
COST_MARGIN = 1.1  # of the largest cost seen; there gains cease to count
MAX_BELIEVED = 64  # pending genomes
SAMPLES = 256  # of several uncertain metrics, where there is no exact expectation
SUM_SHARE = 0.05  # of the plain sum, beside the largest term, in ParEGO's weighted sum
EXACT = 3  # objectives at most for an exact expectation


class Preselection:
    """Learns from evaluations which genotypes are worth training.

    fitness: gains count in the penalised fitness; without one, in hypervolume of the objectives.
    """

    def __init__(
        self, space: Space, static_metrics: StaticMetrics, objectives: Sequence[Objective],
        fitness: Fitness | None = None, constraints: Sequence[Constraint] = (),
    ) -> None:  # fmt: skip
        self.static_metrics, self.fitness = static_metrics, fitness
        self.objectives, self.constraints = tuple(objectives), tuple(constraints)
        self.front: Front[Told] = Front(objectives, constraints)
        wanted = fitness.names if fitness else {o.name: o.maximize for o in objectives}
        for constraint in constraints:
            wanted.setdefault(constraint.name, constraint.at_least is not None)
        # Any genome says what is static.
        static = static_metrics(space.sample(np.random.default_rng(0)).genome)
        for o in objectives:  # its reciprocal is what counts, see `_value`
            if o.maximize and o.name in static and o.worst is not None and o.worst <= 0:
                raise UserError(f"objective {o.name}: worst: found {o.worst:g}; expected above 0")
        uncertain = {name: more for name, more in wanted.items() if name not in static}
        self.predictor = Predictor(space, static_metrics, uncertain, self.objectives)
        self._largest = np.zeros(len(self.objectives))  # costs
        self._best = -np.inf  # of the penalised fitness
        self._ranked: list[Forecast] = []  # children of the last screening, the best last
        self._served = 0  # of them
        if fitness is None and len(objectives) > EXACT:
            log.info("%d objectives: children are screened by ParEGO", len(objectives))

    @property
    def ready(self) -> bool:
        return self.predictor.ready

    def tell(self, genotype: Any, metrics: Metrics) -> None:
        """A measured genotype of the space."""
        self.front.add(self.predictor.tell(genotype, metrics))
        costs = [self._value(o, metrics[o.name]) for o in self.objectives]
        self._largest = np.maximum(self._largest, costs)
        if self.fitness is not None and not violation(metrics, self.constraints):
            self._best = max(self._best, self.fitness(metrics))

    def choose(
        self, make: Callable[[], list[Any]], pending: Sequence[Any], seen: Callable[[Any], bool]
    ) -> Forecast | None:
        """The most promising of the children that `make` gives, and what was predicted of it by
        metric when it was screened; None where it gives none.

        Children and pending are genotypes; pending: in training, believed to come out as predicted.
        seen: whether a child of an earlier screening has been asked for since.
        """
        predictor = self.predictor
        told = len(predictor.told)
        serves = max(told // REUSE, len(pending) // CROWD)
        if max(self._served, told - predictor.fitted_at) > serves:
            self._ranked = []
        while self._ranked:
            ranked = self._ranked.pop()
            if not seen(ranked[0]):
                self._served += 1
                return ranked
        children = make()
        if not children:
            return None
        with threadpool_limits(1):  # the cores are the workers'; and sums must not vary
            predictor.fit()
            forecasts = predictor.forecasts(children)
            gain = self.gain(children, pending[-MAX_BELIEVED:])
        self._ranked = [(children[i], forecasts[i]) for i in np.argsort(gain, kind="stable")]
        self._served = 1
        return self._ranked.pop()

    def gain(self, children: Sequence[Any], pending: Sequence[Any]) -> Array:
        """Expected gain (n,) of training each genotype, by the last fit."""
        predictor = self.predictor
        hoped = [told.metrics for told in self.front]
        best = self._best
        if pending:
            believed = predictor.condition_on(pending)
            more = [
                {**self.static_metrics(g.genome), **{k: float(v[i]) for k, v in believed.items()}}
                for i, g in enumerate(pending)
            ]
            more = [m for m in more if not violation(m, self.constraints)]
            hoped += more
            if self.fitness is not None:
                best = max([best, *map(self.fitness, more)])
        predicted = {name: predictor.predict(name, children) for name in predictor.names}
        static = [self.static_metrics(child.genome) for child in children]
        if self.fitness is not None:
            gain = self._fitness_gain(self.fitness, predicted, static, best)
        else:
            gain = self._hypervolume_gain(predicted, static, hoped)
        return gain * self._feasible(predicted)

    def _hypervolume_gain(
        self, predicted: Predicted, static: list[dict[str, float]],
        hoped: Sequence[Metrics],
    ) -> Array:  # fmt: skip
        rows = [[self._value(o, m[o.name]) for o in self.objectives] for m in hoped]
        front = np.array(rows, dtype=float).reshape(-1, len(self.objectives))
        reference = np.array([self._reference(j) for j in range(len(self.objectives))])
        if len(self.objectives) > EXACT:
            return self._scalarised_gain(predicted, static, front, reference)
        values = [
            self._values(o, predicted, static, front[:, j]) for j, o in enumerate(self.objectives)
        ]
        return expected_hypervolume_improvement(values, front, reference)

    def _values(
        self, objective: Objective, predicted: Predicted,
        static: list[dict[str, float]], front: Array,
    ) -> Values:  # fmt: skip
        """The children's values of an objective, as acquisition.py takes them."""
        name = objective.name
        if name not in predicted:
            return Known(np.array([self._value(objective, m[name]) for m in static]))
        scale, (mean, deviation) = self.predictor.processes[name].scale, predicted[name]
        sign = -1.0 if objective.maximize else 1.0
        hopeful = float(np.max(mean + 5 * deviation))
        ideal = -1.0 if scale.share else sign * float(scale.inverse(hopeful))
        best = float(front.min()) if len(front) else np.inf
        return Uncertain(
            mean, deviation, lambda value: scale(-sign * np.asarray(value)), ideal, best
        )

    def _scalarised_gain(
        self, predicted: Predicted, static: list[dict[str, float]],
        front: Array, reference: Array,
    ) -> Array:  # fmt: skip
        rng = np.random.default_rng(len(self.predictor.told))
        weights = rng.dirichlet(np.ones(len(self.objectives)))
        ideal = front.min(0) if len(front) else reference - 1
        span = np.maximum(reference - ideal, 1e-12)

        def worth(values: Array) -> Array:  # (..., M) -> (...)
            terms = weights * (values - ideal) / span
            return np.asarray(-(terms.max(-1) + SUM_SHARE * terms.sum(-1)))

        drawn = self._samples(predicted)
        values = [
            self._value(o, drawn[o.name]) if o.name in drawn
            else np.array([[self._value(o, m[o.name]) for m in static]])
            for o in self.objectives
        ]  # fmt: skip
        stacked = np.stack(np.broadcast_arrays(*values), axis=-1)
        best = float(worth(front).max()) if len(front) else float(worth(reference))
        return sampled_improvement(worth(stacked), best)

    def _fitness_gain(
        self, fitness: Fitness, predicted: Predicted,
        static: list[dict[str, float]], best: float,
    ) -> Array:  # fmt: skip
        name = fitness.metric
        alone = name in predicted and not any(p.name in predicted for p in fitness.penalties)
        if alone and self.predictor.processes[name].scale.share:
            penalties = np.array([fitness.penalty(m) for m in static])
            scale = self.predictor.processes[name].scale
            return expected_improvement(*predicted[name], scale, penalties, best)
        drawn = self._samples(predicted)
        values = [
            [fitness({**m, **{name: draws[s, i] for name, draws in drawn.items()}})
             for i, m in enumerate(static)] for s in range(SAMPLES)
        ]  # fmt: skip
        return sampled_improvement(np.array(values), best)

    def _samples(self, predicted: Predicted) -> dict[str, Array]:
        """Draws (SAMPLES, n) of each uncertain metric, the same quasi-random ones every time."""
        uniform = qmc.Sobol(max(1, len(predicted)), seed=0).random(SAMPLES)
        drawn = {}
        for column, (name, (mean, deviation)) in zip(uniform.T, predicted.items(), strict=False):
            normal = ndtri(np.clip(column, 1e-6, 1 - 1e-6))[:, None]
            drawn[name] = self.predictor.processes[name].scale.inverse(mean + deviation * normal)
        return drawn

    def _feasible(self, predicted: Predicted) -> Array | float:
        """Chance (n,) that the uncertain metrics keep their constraints."""
        chance: Array | float = 1.0
        for constraint in self.constraints:
            if constraint.name not in predicted:
                continue
            mean, deviation = predicted[constraint.name]
            process = self.predictor.processes[constraint.name]
            for bound, below in ((constraint.at_most, True), (constraint.at_least, False)):
                if bound is not None:
                    sign = 1 if below != process.maximize else -1  # the scale rises with goodness
                    chance = chance * ndtr(sign * (mean - process.scale(bound)) / deviation)
        return chance

    def _reference(self, j: int) -> float:
        """Where gains in objective j begin to count, as a value of which less is better."""
        objective = self.objectives[j]
        if objective.worst is not None:
            return float(self._value(objective, objective.worst))
        if objective.name in self.predictor.names:
            return float(self._value(objective, self.predictor.typical(objective.name)))
        return COST_MARGIN * max(float(self._largest[j]), 1e-12)

    def _value(self, objective: Objective, metric: Any) -> Any:
        """Less is better: of a static metric to maximize, such as fps, the reciprocal."""
        if not objective.maximize:
            return metric
        return -metric if objective.name in self.predictor.names else 1 / metric
