"""How much of the objectives' space a run dominates, over its evaluations and its running time.

Share of the box between a reference point and the ideal: accuracy from chance to 1, and the
logarithms of params and fps from the worst to the best that any compared run evaluated. A
logarithm, because a network of half the size is worth as much at a million weights as at a
thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.evolution.pareto import Front, hypervolume
from nas.search.archive import Evaluation
from nas.search.elapsed import by_elapsed

METRICS = {"accuracy", "params", "fps"}
Curve = list[tuple[int, float, float]]  # evaluations, seconds of running, share


@dataclass(frozen=True)
class Box:
    """The reference point and the ideal, in metrics' own units."""

    chance: float
    params: tuple[float, float]  # worst, best
    fps: tuple[float, float]

    @classmethod
    def around(cls, runs: Iterable[Sequence[Evaluation]], classes: int) -> Box | None:
        """A box that suits all runs alike; None where nothing has all three metrics."""
        ok = [e.metrics for run in runs for e in run if _counts(e)]
        if not ok:
            return None
        params = [m["params"] for m in ok]
        fps = [m["fps"] for m in ok]
        return cls(1 / classes, (max(params), min(params)), (min(fps), max(fps)))

    def costs(self, evaluations: Sequence[Evaluation]) -> npt.NDArray[np.float64]:
        """(n, 3), smaller is better: 0 at the ideal, 1 at the reference point."""
        found = np.array(
            [[e.metrics[name] for name in ("accuracy", "params", "fps")] for e in evaluations],
            dtype=float,
        ).reshape(-1, 3)
        return np.column_stack([
            (1 - found[:, 0]) / (1 - self.chance),
            _log_share(found[:, 1], *self.params),
            _log_share(found[:, 2], *self.fps),
        ])  # fmt: skip

    def share(self, evaluations: Sequence[Evaluation]) -> float:
        """Hypervolume of the ok evaluations as a share of the box."""
        return hypervolume(self.costs([e for e in evaluations if _counts(e)]), np.ones(3))

    def curve(self, evaluations: Sequence[Evaluation]) -> Curve:
        """A point for each evaluation that enlarged the front, and the last."""
        ended = by_elapsed(evaluations)
        front: Front[Evaluation] = Front()
        points: Curve = []
        for number, (seconds, evaluation) in enumerate(ended, 1):
            if _counts(evaluation) and front.add(evaluation):
                points.append((number, seconds, self.share(list(front))))
        if points and points[-1][0] < len(ended):
            points.append((len(ended), ended[-1][0], points[-1][2]))
        return points


def _counts(e: Evaluation) -> bool:
    """Whether it has the box's three metrics: an evaluator of the user's may measure others."""
    return e.ok and e.metrics.keys() >= METRICS


def _log_share(
    values: npt.NDArray[np.float64], worst: float, best: float
) -> npt.NDArray[np.float64]:
    if worst == best:
        return np.zeros(len(values))
    return np.asarray(np.log(values / best) / np.log(worst / best))
