"""The built-in evaluator: a short training, scored on what the search holds out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Container

import numpy as np
import torch

from nas.data import SearchData
from nas.training.precision import torch_device
from nas.training.predict import Precision, Subset
from nas.training.recipe import Recipe
from nas.training.task import Task
from nas.training.teacher import stored_teacher
from nas.training.trainer import train

SCORES = ("accuracy", "macro_f1", "balanced_accuracy", "loss")
NEAR = 2.0  # times its longest training: the end of the search's time is so near


class TrainingEvaluator:
    """Trains for a short while on the fit rows and scores the held-out rows.

    precision: measured once by the driver. device: of torch; auto is the GPU
    where this process sees one, since workers of one search may sit on unlike machines.
    learning_curve: (epochs, metrics) of the training that runs, wherever it was scored on its way.
    """

    def __init__(
        self, data: SearchData, recipe: Recipe, precision: Precision, device: str = "auto"
    ) -> None:
        place = torch_device(device)
        self.recipe, self.precision = recipe, precision
        self.learning_curve: list[tuple[int, dict[str, float]]] = []
        self._longest = 0.0  # seconds of a training
        # A copy: arrays that come from Ray's store are read-only.
        images = torch.tensor(np.ascontiguousarray(data.images), device=place)
        labels = torch.tensor(np.asarray(data.labels, dtype=np.int64), device=place)
        self.fit, self.held_out = (
            Subset(images, labels, torch.tensor(np.asarray(rows, dtype=np.int64), device=place))
            for rows in (data.fit, data.held_out)
        )
        teacher = stored_teacher(recipe)
        self.teacher = teacher and teacher.among(torch.tensor(data.origin))

    def __call__(self, task: Task) -> dict[str, float]:
        """accuracy, macro_f1, balanced_accuracy (0..1), loss (nats), after the task's epochs."""
        self.learning_curve, started = [], time.perf_counter()
        train(
            task.genome, self._part(task.fidelity.fraction), self.held_out,
            dataclasses.replace(self.recipe, epochs=task.fidelity.epochs),
            seed=task.seed, precision=self.precision, teacher=self.teacher, on_epoch=self._note,
            score_at=self._scored(task),
        )  # fmt: skip
        self._longest = max(self._longest, time.perf_counter() - started)
        return self.learning_curve[-1][1]

    def _scored(self, task: Task) -> Container[int] | None:
        """Every epoch where the training may be broken off; else the last alone, which costs less.

        How long one takes is not known before the first has ended. Scoring draws nothing at random:
        the training is the same.
        """
        left, longest = task.seconds, self._longest
        near = left is not None and (not longest or left < NEAR * max(longest, 30.0))
        return None if near else ()

    def _note(self, row: dict[str, float]) -> None:
        if "validation_accuracy" in row:
            metrics = {name: row[f"validation_{name}"] for name in SCORES}
            self.learning_curve.append((int(row["epoch"]), metrics))

    def _part(self, fraction: float) -> Subset:
        if fraction == 1:
            return self.fit
        count = max(self.recipe.batch_size, round(fraction * len(self.fit)))
        # The same part for every genome.
        keep = np.sort(np.random.default_rng(0).permutation(len(self.fit))[:count])
        return dataclasses.replace(self.fit, rows=self.fit.rows[keep])
