"""What a search wants: objectives, and one penalised fitness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from nas.common.schema import Float

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Objective:
    """A metric's name and direction."""

    name: str
    maximise: bool


OBJECTIVES = (Objective("accuracy", True), Objective("params", False), Objective("fps", True))


@dataclass(frozen=True)
class Fitness:
    """`accuracy - a*max(0, params/limit - 1) - b*max(0, 1 - fps/target)`, one scalar."""

    params_limit: Annotated[float, Float(1, 1e12)] = 500_000
    fps_target: Annotated[float, Float(0.001, 1e9)] = 1000
    params_weight: Annotated[float, Float(0, 1000)] = 0.1
    fps_weight: Annotated[float, Float(0, 1000)] = 0.1

    def __call__(self, metrics: Metrics) -> float:
        too_big = max(0.0, metrics["params"] / self.params_limit - 1)
        too_slow = max(0.0, 1 - metrics["fps"] / self.fps_target)
        penalty = self.params_weight * too_big + self.fps_weight * too_slow
        return metrics["accuracy"] - penalty


FitnessFunction = Callable[[Metrics], float]  # of an evaluation's metrics; more is better
