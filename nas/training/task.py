"""What a worker is asked: one genome, at one fidelity. Plain data that crosses processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from nas.arch.genome import Genome, GenomeRule
from nas.common.options import setting
from nas.common.schema import SEED, Float, Int, Map, Numbers, Plain, Text

Change = dict[str, Any]  # of one gene: the operator, the gene, its value before and after
# A metric's predicted mean, and it less and plus one standard deviation of a reading of it: the
# scale of the process is not the metric's, so that the two arms differ.
Prediction = tuple[float, float, float]

Index = Annotated[int, Int(0, 10**9)]
Seed = Annotated[int, SEED]
Stored = Annotated[Genome, GenomeRule()]
Parents = tuple[Annotated[str, Text(64)], ...]
Changes = tuple[Annotated[Change, Map(Plain())], ...]
Predicted = Annotated[Mapping[str, Prediction], Map(Numbers(3))]
Time = Annotated[float, Float(0.0, 1e12)]  # s


@dataclass(frozen=True)
class Fidelity:
    """How much training an evaluation gets: epochs over a fraction of the training part."""

    epochs: Annotated[int, Int(1, 10_000)] = setting(3, "of each candidate's training", fixed=True)
    fraction: Annotated[float, Float(0.001, 1.0)] = setting(
        1.0, "of the training part used", fixed=True
    )


@dataclass(frozen=True)
class Task:
    """One evaluation to make.

    attempt: counts from 1, and up when the worker that holds the task dies. seconds: that are left
    of the search's time when a worker is given it; None: no limit. parents: ids of the genomes that
    it was bred from; changes: what the operators did. predicted: of each metric that the search
    foretold, the mean, and it less and plus one standard deviation.
    """

    index: Index
    genome: Stored
    fidelity: Fidelity
    seed: Seed
    attempt: Annotated[int, Int(1, 1000)] = 1
    seconds: Time | None = None
    parents: Parents = ()
    changes: Changes = ()
    predicted: Predicted = field(default_factory=dict)


class Evaluator(Protocol):
    """What a worker runs: a task -> its metrics.

    An exception is the candidate's failure, never the search's. One with a `learning_curve`,
    pairs of epochs and metrics, has something to show for a training that is broken off.
    """

    def __call__(self, task: Task) -> dict[str, float]: ...
