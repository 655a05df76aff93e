"""The optimizer that the settings ask for, and the front that a search returns. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from nas.arch.genome import Genome
from nas.evolution.denoise import denoised_front
from nas.evolution.optimizer import Optimizer
from nas.evolution.pareto import Member
from nas.evolution.predictor import StaticMetrics
from nas.search.archive import Archive, Evaluation, as_measured
from nas.search.settings import STATIC, Settings
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


def returned_front(archive: Archive, space: SearchSpace) -> list[Member[Evaluation]]:
    """By what is believed of each network, see evolution.denoise."""
    front = archive.front
    found = denoised_front(space, archive.evaluations, STATIC, front.objectives, front.constraints)
    return found or as_measured(archive.results())
