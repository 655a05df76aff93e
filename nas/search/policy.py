"""What the settings make of a search: its optimizer, and the network that it chooses. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from nas.arch.genome import Genome
from nas.evolution.denoise import Member
from nas.evolution.optimizer import Optimizer
from nas.evolution.predictor import StaticMetrics
from nas.search.archive import Evaluation
from nas.search.settings import Settings
from nas.space.space import SearchSpace


def make_optimizer(
    space: SearchSpace, settings: Settings, initial: Sequence[Genome],
    static_metrics: StaticMetrics | None,
) -> Optimizer:  # fmt: skip
    """The optimizer that the settings ask for, before anything is told."""
    algorithm = settings.algorithm
    if static_metrics is None:  # nothing to screen by
        algorithm = algorithm.removesuffix("+gp")
    return Optimizer(
        space, settings.objectives, algorithm=algorithm, seed=settings.seed,
        population=settings.population, initial=initial, fitness=settings.fitness,
        constraints=settings.constraints, static_metrics=static_metrics,
    )  # fmt: skip


def choose(results: Sequence[Member[Evaluation]], settings: Settings) -> Member[Evaluation] | None:
    """Of a front, by the fitness; by the first objective where the fitness knows too little."""
    first, fitness = settings.objectives[0], settings.fitness

    def worth(member: Member[Evaluation]) -> float:
        known, value = fitness.known(member.metrics), member.metrics[first.name]
        if known is not None:
            return known
        return value if first.maximise else -value

    return max(results, key=worth, default=None)
