"""The optimizer that the settings ask for. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from nas.arch.genome import Genome
from nas.evolution.optimizer import Optimizer
from nas.evolution.predictor import StaticMetrics
from nas.search.settings import Settings
from nas.space.space import SearchSpace


def make_optimizer(
    space: SearchSpace, settings: Settings, initial: Sequence[Genome],
    static_metrics: StaticMetrics | None,
) -> Optimizer:  # fmt: skip
    """Before anything is told."""
    algorithm = settings.algorithm
    if static_metrics is None:  # nothing to screen by
        algorithm = algorithm.removesuffix("+gp")
    return Optimizer(
        space, settings.objectives, algorithm=algorithm, seed=settings.seed,
        population=settings.population, initial=initial, fitness=settings.fitness,
        constraints=settings.constraints, static_metrics=static_metrics,
    )  # fmt: skip
