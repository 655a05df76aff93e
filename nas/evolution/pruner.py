"""The fidelity ladder: candidates that cannot reach the front any more are not trained further.

Every candidate trains on the schedule of the top rung (all epochs) and is read out on its way, at
the rungs. It stops at a rung when even an optimistic accuracy at the top, with its parameters and
frame rate, which are known exactly before training, is dominated by the front: early stopping for
several objectives. The worker decides by a bar that travels with the task, so nothing waits, and a
candidate that goes on simply goes on.

The optimism is learnt: a high quantile of what finished candidates gained from the rung to the top.
One candidate in AUDIT finishes whatever it shows, so that the gains, and the rank correlation of
the rung with the top, are also those of candidates that would have stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.common.errors import UserError
from nas.search.archive import Evaluation, Front

FEW = 20  # finished candidates before a rung stops or skips anything
OPTIMISM = 0.9  # quantile of the gains
MISLEADING = 0.5  # rank correlation below which a rung is skipped
AUDIT = 10
NEVER = -1.0  # an accuracy that nobody falls to

StaticMetrics = dict[str, float]


@dataclass(frozen=True)
class Rung:
    """What is known of one rung. correlation: Spearman's, with the top; None: too few finished."""

    epochs: int
    top: int
    finished: int
    stopped: int
    correlation: float | None
    skipped: bool

    def __str__(self) -> str:
        found = f"too few to say ({FEW})" if self.correlation is None else f"{self.correlation:.2f}"
        return (
            f"rung of {self.epochs} epochs: {self.stopped} networks stopped; rank correlation with "
            f"{self.top} epochs, over {self.finished} that finished: {found}"
            f"{'; misleading, skipped' if self.skipped else ''}"
        )


class RungPruner:
    """rungs: epochs, ascending, below `top`; none means that everyone trains to the top."""

    def __init__(self, rungs: Sequence[int], top: int) -> None:
        if list(rungs) != sorted(set(rungs)) or (rungs and rungs[-1] >= top):
            raise UserError(
                f"rungs: must ascend and stay below the {top} epochs of a full training, "
                f"got {list(rungs)}"
            )
        self.rungs, self.top = tuple(rungs), top
        self.skipped: set[int] = set()
        self._front = Front()
        self._pairs: dict[int, list[tuple[float, float]]] = {rung: [] for rung in rungs}
        self._stopped = dict.fromkeys(rungs, 0)

    def thresholds(self, index: int, known: StaticMetrics) -> tuple[tuple[int, float], ...]:
        """(epochs, accuracy at or below which it stops there) for a candidate to come."""
        above = [
            e.metrics["accuracy"]
            for e in self._front
            if e.metrics["params"] <= known["params"] and e.metrics["fps"] >= known["fps"]
        ]
        spared = index % AUDIT == 0 or not above
        return tuple(
            (rung, NEVER if spared else max(NEVER, max(above) - self._gain(rung, OPTIMISM)))
            for rung in self.rungs
            if rung not in self.skipped
        )

    def learn(self, evaluation: Evaluation) -> list[str]:
        """Take in an evaluation. Returns what is to be said: a rung that misleads is skipped."""
        if evaluation.status == "stopped" and evaluation.fidelity.epochs in self._stopped:
            self._stopped[evaluation.fidelity.epochs] += 1
        if not evaluation.ok:
            return []
        self._front.add(evaluation)
        news = []
        for rung, pairs in self._pairs.items():
            if str(rung) not in evaluation.learning_curve:
                continue
            pairs.append((evaluation.learning_curve[str(rung)], evaluation.metrics["accuracy"]))
            found = self._correlation(rung)
            if found is not None and found < MISLEADING and rung not in self.skipped:
                self.skipped.add(rung)
                news.append(str(self._rung(rung)))
        return news

    def expected(self, evaluation: Evaluation) -> Evaluation:
        """For the optimizer: one that stopped counts as finished, with the median gain."""
        if evaluation.status != "stopped":
            return evaluation
        gain = self._gain(evaluation.fidelity.epochs, 0.5)
        gain = gain if np.isfinite(gain) else 0.0
        accuracy = min(1.0, evaluation.metrics["accuracy"] + gain)
        metrics = {**evaluation.metrics, "accuracy": accuracy}
        return dataclasses.replace(evaluation, status="ok", metrics=metrics)

    def report(self) -> list[Rung]:
        return [self._rung(rung) for rung in self.rungs]

    def _rung(self, rung: int) -> Rung:
        finished, skipped = len(self._pairs[rung]), rung in self.skipped
        found = self._correlation(rung)
        return Rung(rung, self.top, finished, self._stopped[rung], found, skipped)

    def _gain(self, rung: int, quantile: float) -> float:
        """Infinite while few have finished: nobody stops."""
        pairs: Any = np.array(self._pairs.get(rung, []))
        if len(pairs) < FEW:
            return float("inf")
        return float(np.quantile(pairs[:, 1] - pairs[:, 0], quantile))

    def _correlation(self, rung: int) -> float | None:
        from scipy.stats import spearmanr

        pairs: Any = np.array(self._pairs[rung])
        if len(pairs) < FEW or not (np.ptp(pairs, axis=0) > 0).all():
            return None
        return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
