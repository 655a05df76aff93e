"""The one training loop: search, tuning and retraining all use it."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from nas.arch.genome import Genome
from nas.training.predict import Precision, Subset, score
from nas.training.recipe import Recipe
from nas.training.resume import load_checkpoint, save_checkpoint
from nas.training.state import Training
from nas.training.teacher import SoftLabels


@dataclass
class TrainingResult:
    """What training gives: weights of the chosen epoch, and one history row an epoch."""

    model: nn.Module
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "finished"


def train(
    genome: Genome,
    fit: Subset,
    held_out: Subset,
    recipe: Recipe,
    *,
    seed: int,
    precision: Precision | None = None,
    keep_best: bool = False,
    initial: dict[str, Tensor] | None = None,
    teacher: nn.Module | SoftLabels | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    score_at: Container[int] | None = None,
) -> TrainingResult:
    """Train a genome from scratch, or from `checkpoint` where that file exists.

    keep_best: return the weights of the epoch with the highest held-out accuracy instead of the
    last. initial: weights to start from. teacher: a module, normalised pixels -> logits, or stored
    answers, to learn from by the recipe's `distill`. score_at: epochs after which the held-out part
    is scored; None is all, and the last one always is. DivergedError when the loss is not finite.
    """
    run = Training(genome, fit, recipe, seed, precision or Precision(), initial, teacher)
    if checkpoint is not None and checkpoint.exists():
        load_checkpoint(run, checkpoint)
    while run.epoch < recipe.epochs and not run.stalled():
        started, processor = time.perf_counter(), time.process_time()
        loss = run.train_epoch()
        row: dict[str, float] = {"epoch": run.epoch, "train_loss": loss, "lr": run.lr}
        if score_at is None or run.epoch in score_at or run.epoch == recipe.epochs:
            found = score(run.averaged, genome, held_out, run.precision, recipe.views)
            row |= {f"validation_{name}": value for name, value in found.items()}
            run.note(found["accuracy"], keep_best)
        row["seconds"] = time.perf_counter() - started
        # What a busy machine does not inflate; of all threads, and without a GPU's share.
        row["cpu_seconds"] = time.process_time() - processor
        run.history.append(row)
        if checkpoint is not None:
            save_checkpoint(run, checkpoint)
        if on_epoch is not None:
            on_epoch(row)
    if keep_best and run.best_state is not None:
        run.averaged.load_state_dict(run.best_state)
    stopped = "finished" if run.epoch == recipe.epochs else "no progress"
    return TrainingResult(
        run.averaged, run.history, run.best_epoch if keep_best else run.epoch, stopped
    )
