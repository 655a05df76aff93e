"""An evaluator maps (genome, fidelity, seed) to raw metrics; here by short training."""

from __future__ import annotations

import dataclasses
import time
import traceback
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nas.archive import Evaluation, Fidelity, check_metrics
from nas.data import Dataset, search_split
from nas.errors import UserError
from nas.genome import Genome
from nas.latency import FpsModel
from nas.layers import cost
from nas.recipe import Recipe
from nas.space import SearchSpace

MAX_ERROR_TEXT = 2000


class Evaluator(Protocol):
    """What a worker runs. An exception is the candidate's failure, never the search's."""

    def __call__(self, genome: Genome, fidelity: Fidelity, seed: int) -> dict[str, float]: ...


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


@dataclass(frozen=True)
class SearchData:
    """The training part only, split once for the whole search; arrays, no tensors."""

    images: Any  # uint8 (N, C, H, W)
    labels: Any  # integers (N,)
    fit: Any  # rows to train on
    held_out: Any  # rows to score on


def search_data(dataset: Dataset, space: SearchSpace) -> SearchData:
    """The training part, split for the search. UserError when space and data do not fit."""
    channels, height, width = dataset.images.shape[1:]
    size = space.input
    if len(dataset.classes) != space.num_classes:
        raise UserError(
            f"space {space.name}: num_classes {space.num_classes} does not fit data set "
            f"{dataset.name}, which has {len(dataset.classes)} classes"
        )
    if channels != size.channels or height < size.height or width < size.width:
        raise UserError(
            f"space {space.name}: input {size.channels}x{size.height}x{size.width} does not fit "
            f"data set {dataset.name} of {channels}x{height}x{width}"
        )
    fit, held_out = search_split(dataset)
    rows = np.concatenate([fit, held_out])
    return SearchData(
        dataset.images[rows],
        dataset.labels[rows],
        np.arange(len(fit)),
        np.arange(len(fit), len(rows)),
    )


class TrainingEvaluator:
    """Trains for a short while on the fit rows and scores the held-out rows.

    mode: (bf16, channels_last), measured once by the driver. device: a torch device name.
    """

    def __init__(
        self,
        data: SearchData,
        recipe: Recipe,
        fps_model: FpsModel,
        mode: tuple[bool, bool],
        device: str = "cpu",
    ) -> None:
        import torch

        from nas.predict import Mode, Part

        self.recipe, self.fps_model, self.mode = recipe, fps_model, Mode(*mode)
        # A copy: arrays that come from Ray's store are read-only.
        images = torch.tensor(np.ascontiguousarray(data.images), device=device)
        labels = torch.tensor(np.asarray(data.labels, dtype=np.int64), device=device)
        self.fit, self.held_out = (
            Part(images, labels, torch.tensor(np.asarray(rows, dtype=np.int64), device=device))
            for rows in (data.fit, data.held_out)
        )

    def __call__(self, genome: Genome, fidelity: Fidelity, seed: int) -> dict[str, float]:
        """Metrics accuracy (0..1), params, macs, activations, fps (predicted)."""
        from nas.train import train

        recipe = dataclasses.replace(self.recipe, epochs=fidelity.epochs)
        fit = self.fit
        if fidelity.fraction < 1:
            rows = np.random.default_rng(0).permutation(len(fit))  # the same part for every genome
            keep = np.sort(rows[: max(recipe.batch, round(fidelity.fraction * len(fit)))])
            fit = dataclasses.replace(fit, rows=fit.rows[keep])
        result = train(
            genome, fit, self.held_out, recipe,
            seed=seed, mode=self.mode, validate_every_epoch=False,
        )  # fmt: skip
        return {
            "accuracy": result.history[-1]["validation_accuracy"],
            **known_metrics(genome, self.fps_model),
        }


def known_metrics(genome: Genome, fps_model: FpsModel) -> dict[str, float]:
    """The metrics that need no training."""
    return {**dataclasses.asdict(cost(genome)), "fps": fps_model.predict(genome)}


def run_task(evaluator: Evaluator, task: Task) -> Evaluation:
    """Evaluate; whatever goes wrong becomes an evaluation with status failed."""
    started = time.time()
    clock = time.perf_counter()
    metrics: dict[str, float] = {}
    status, error = "ok", ""
    try:
        metrics = evaluator(task.genome, task.fidelity, task.seed)
        check_metrics(metrics)
    except Exception as problem:
        status, metrics = "failed", {}
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
