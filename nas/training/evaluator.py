"""An evaluator maps a task (genome, fidelity, seed) to raw metrics; here by short training."""

from __future__ import annotations

import dataclasses
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.data import SearchData
from nas.deploy.latency import FpsModel
from nas.search.archive import Evaluation, Fidelity, check_metrics
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.training.predict import Subset

MAX_ERROR_TEXT = 2000


class Evaluator(Protocol):
    """What a worker runs: a task -> its metrics. An exception is the candidate's failure, never the
    search's.
    """

    def __call__(self, task: Task) -> dict[str, float]: ...


@dataclass(frozen=True)
class Task:
    """One evaluation to make. Plain data: it crosses process boundaries.

    attempt: counts from 1, and up when the worker that holds the task dies.
    """

    index: int
    genome: Genome
    fidelity: Fidelity
    seed: int
    attempt: int = 1


class TrainingEvaluator:
    """Trains for a short while on the fit rows and scores the held-out rows.

    mode: (bf16, channels_last), measured once by the driver. device: a torch device name; auto is
    the GPU where this process sees one, since workers of one search may sit on unlike machines.
    """

    def __init__(
        self,
        data: SearchData,
        recipe: Recipe,
        fps_model: FpsModel,
        mode: tuple[bool, bool],
        device: str = "auto",
    ) -> None:
        import torch

        from nas.training.predict import Precision, Subset

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.recipe, self.fps_model, self.mode = recipe, fps_model, Precision(*mode)
        # A copy: arrays that come from Ray's store are read-only.
        images = torch.tensor(np.ascontiguousarray(data.images), device=device)
        labels = torch.tensor(np.asarray(data.labels, dtype=np.int64), device=device)
        self.fit, self.held_out = (
            Subset(images, labels, torch.tensor(np.asarray(rows, dtype=np.int64), device=device))
            for rows in (data.fit, data.held_out)
        )

    def __call__(self, task: Task) -> dict[str, float]:
        """Metrics accuracy (0..1), params, macs, activations, fps (predicted)."""
        from nas.training.trainer import train

        result = train(
            task.genome, self._part(task.fidelity.fraction), self.held_out,
            dataclasses.replace(self.recipe, epochs=task.fidelity.epochs),
            seed=task.seed, mode=self.mode, read_at=(),
        )  # fmt: skip
        accuracy = result.history[-1]["validation_accuracy"]
        return {"accuracy": accuracy, **known_metrics(task.genome, self.fps_model)}

    def _part(self, fraction: float) -> Subset:
        if fraction == 1:
            return self.fit
        count = max(self.recipe.batch_size, round(fraction * len(self.fit)))
        # The same part for every genome.
        keep = np.sort(np.random.default_rng(0).permutation(len(self.fit))[:count])
        return dataclasses.replace(self.fit, rows=self.fit.rows[keep])


def known_metrics(genome: Genome, fps_model: FpsModel) -> dict[str, float]:
    """The metrics that need no training."""
    return {**dataclasses.asdict(cost(genome)), "fps": fps_model.predict(genome)}


def run_task(evaluator: Evaluator, task: Task) -> Evaluation:
    """Evaluate; whatever goes wrong becomes an evaluation with status failed."""
    started = time.time()
    clock = time.perf_counter()
    metrics, status, error = dict[str, float](), "ok", ""
    try:
        metrics = evaluator(task)
        check_metrics(metrics)
    except Exception as problem:
        metrics, status = {}, "failed"
        error = f"{type(problem).__name__}: {problem}"[:MAX_ERROR_TEXT]
        if not error.strip(": "):
            error = traceback.format_exc(limit=-3)[-MAX_ERROR_TEXT:]
    seconds = time.perf_counter() - clock
    return Evaluation(
        task.index, task.genome, task.fidelity, task.seed, status, metrics, error, seconds, started
    )


def failed(task: Task, error: str, seconds: float = 0.0) -> Evaluation:
    """The evaluation of a task whose worker never answered."""
    return Evaluation(
        task.index, task.genome, task.fidelity, task.seed, "failed", {}, error[:MAX_ERROR_TEXT],
        seconds, time.time() - seconds,
    )  # fmt: skip
