"""An evaluator maps a task (genome, fidelity, seed) to raw metrics; here by short training."""

from __future__ import annotations

import dataclasses
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.data import Dataset, search_split
from nas.deploy.latency import FpsModel
from nas.search.archive import Evaluation, Fidelity, check_metrics
from nas.space.space import SearchSpace
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.training.predict import Subset

MAX_ERROR_TEXT = 2000


class Evaluator(Protocol):
    """What a worker runs. An exception is the candidate's failure, never the search's."""

    def __call__(self, task: Task) -> Result: ...


@dataclass(frozen=True)
class WarmStart:
    """A parent's genome and weights (safetensors); epochs: of training in them, all told."""

    genome: Genome
    epochs: int
    weights: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Task:
    """One evaluation to make. Plain data: it crosses process boundaries.

    attempt: counts from 1, and up when the worker that holds the task dies. rungs: epochs after
    which the accuracy is read, and the accuracy at or below which the training stops there.
    heritage: weights to start from. bequeath: send the trained weights back.
    """

    index: int
    genome: Genome
    fidelity: Fidelity
    seed: int
    attempt: int = 1
    rungs: tuple[tuple[int, float], ...] = ()
    heritage: WarmStart | None = None
    bequeath: bool = False


@dataclass(frozen=True)
class Result:
    """What an evaluator found. epochs: trained, fewer than asked for where it stopped early."""

    metrics: dict[str, float]
    epochs: int | None = None
    learning_curve: dict[str, float] = field(default_factory=dict)
    weights: bytes = field(default=b"", repr=False)


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

    def __call__(self, task: Task) -> Result:
        """Metrics accuracy (0..1), params, macs, activations, fps (predicted)."""
        from nas.training.inheritance import inherit, pack, unpack
        from nas.training.trainer import train

        initial = None
        if task.heritage is not None:
            weights = unpack(task.heritage.weights)
            initial = inherit(task.heritage.genome, weights, task.genome, task.seed)
        thresholds = dict(task.rungs)

        def hopeless(row: dict[str, float]) -> bool:
            bar = thresholds.get(int(row["epoch"]))
            return bar is not None and row["validation_accuracy"] <= bar

        result = train(
            task.genome, self._part(task.fidelity.fraction), self.held_out,
            dataclasses.replace(self.recipe, epochs=task.fidelity.epochs),
            seed=task.seed, mode=self.mode, initial=initial, read_at=thresholds,
            stop=hopeless,
        )  # fmt: skip
        *before, last = [row for row in result.history if "validation_accuracy" in row]
        finished = result.stopped == "finished"
        return Result(
            {"accuracy": last["validation_accuracy"], **known_metrics(task.genome, self.fps_model)},
            len(result.history),
            {f"{row['epoch']:g}": row["validation_accuracy"] for row in before},
            pack(result.model.state_dict()) if task.bequeath and finished else b"",
        )

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
    found, status, error = Result({}), "ok", ""
    try:
        found = evaluator(task)
        check_metrics(found.metrics)
    except Exception as problem:
        found, status = Result({}), "failed"
        error = f"{type(problem).__name__}: {problem}"[:MAX_ERROR_TEXT]
        if not error.strip(": "):
            error = traceback.format_exc(limit=-3)[-MAX_ERROR_TEXT:]
    seconds = time.perf_counter() - clock
    epochs = task.fidelity.epochs if found.epochs is None else found.epochs
    if epochs < task.fidelity.epochs:
        status = "stopped"
    fidelity = dataclasses.replace(task.fidelity, epochs=epochs)
    heritage = task.heritage
    return Evaluation(
        task.index, task.genome, fidelity, task.seed, status, found.metrics, error, seconds,
        started, found.learning_curve, heritage.genome.id if heritage else "",
        heritage.epochs if heritage else 0, found.weights,
    )  # fmt: skip


def failed(task: Task, error: str, seconds: float = 0.0) -> Evaluation:
    """The evaluation of a task whose worker never answered."""
    return Evaluation(
        task.index, task.genome, task.fidelity, task.seed, "failed", {}, error[:MAX_ERROR_TEXT],
        seconds, time.time() - seconds,
    )  # fmt: skip
