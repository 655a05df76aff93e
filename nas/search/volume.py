"""How much of the objectives' space a run dominates, over its evaluations and its running time.

Share of the box between a reference point and the ideal. Accuracy goes from chance to 1, every
other objective from the worst to the best that any compared run evaluated, by its logarithm where
it is above 0: a network of half the size is worth as much at a million weights as at a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.evolution.objectives import OBJECTIVES, Objective
from nas.evolution.pareto import Front, hypervolume
from nas.search.archive import Evaluation
from nas.search.elapsed import by_elapsed

Curve = list[tuple[int, float, float]]  # evaluations, seconds of running, share


@dataclass(frozen=True)
class Side:
    """One objective's side of the box, in its metric's own unit."""

    name: str
    worst: float
    best: float
    log: bool

    def cost(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """0 at the best, 1 at the worst."""
        if self.worst == self.best:
            return np.zeros(len(values))
        if self.log:
            return np.asarray(np.log(values / self.best) / np.log(self.worst / self.best))
        return np.asarray((values - self.best) / (self.worst - self.best))


@dataclass(frozen=True)
class Box:
    """The reference point and the ideal, a side for each objective."""

    objectives: tuple[Objective, ...]
    sides: tuple[Side, ...]

    @classmethod
    def around(
        cls, runs: Iterable[Sequence[Evaluation]], classes: int,
        objectives: Sequence[Objective] = OBJECTIVES,
    ) -> Box | None:  # fmt: skip
        """A box that suits all runs alike; None where nothing has all the objectives."""
        names = {o.name for o in objectives}
        ok = [e.metrics for run in runs for e in run if e.ok and names <= e.metrics.keys()]
        if not ok:
            return None
        sides = [_side(o, [m[o.name] for m in ok], classes) for o in objectives]
        return cls(tuple(objectives), tuple(sides))

    def _costs(self, evaluations: Sequence[Evaluation]) -> npt.NDArray[np.float64]:
        """(n, M), smaller is better: 0 at the ideal, 1 at the reference point."""
        columns = [
            side.cost(np.array([e.metrics[side.name] for e in evaluations], dtype=float))
            for side in self.sides
        ]
        return np.column_stack(columns)

    def curve(self, evaluations: Sequence[Evaluation]) -> Curve:
        """A point for each evaluation that enlarged the front, and the last."""
        ended = by_elapsed(evaluations)
        counted = [e for e in evaluations if self._counts(e)]
        costs = dict(zip((e.index for e in counted), self._costs(counted), strict=True))
        front: Front[Evaluation] = Front(self.objectives)
        points: Curve = []
        for number, (seconds, evaluation) in enumerate(ended, 1):
            if evaluation.index in costs and front.add(evaluation):
                dominating = np.array([costs[e.index] for e in front])
                share = hypervolume(dominating, np.ones(len(self.sides)))  # of the unit box
                points.append((number, seconds, share))
        if points and points[-1][0] < len(ended):
            points.append((len(ended), ended[-1][0], points[-1][2]))
        return points

    def _counts(self, e: Evaluation) -> bool:
        """Whether it has the box's metrics: an evaluator of the user's may measure others."""
        return e.ok and all(side.name in e.metrics for side in self.sides)


def _side(objective: Objective, values: list[float], classes: int) -> Side:
    if objective.name == "accuracy":
        return Side("accuracy", 1 / classes, 1.0, log=False)
    low, high = min(values), max(values)
    worst, best = (low, high) if objective.maximize else (high, low)
    return Side(objective.name, worst, best, log=low > 0)
