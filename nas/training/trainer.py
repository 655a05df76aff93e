"""The one training loop: search, tuning and retraining all use it.

Images stay on the device as uint8; every batch is cropped, augmented and normalised there.
"""

from __future__ import annotations

import copy
import dataclasses
import io
import math
import time
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.arch.genome import Genome
from nas.arch.module import build
from nas.common.errors import UserError, first_line
from nas.common.files import replace_file
from nas.deploy.preprocessing import MEAN, STD
from nas.training.augment import augment, random_crop
from nas.training.mixing import mix
from nas.training.optim import learning_rate, optimizer
from nas.training.predict import DivergedError, Precision, Subset, autocast, score, views_of
from nas.training.recipe import Augment, Recipe

CHECKPOINT_VERSION = 2


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
    mode: Precision | None = None,
    keep_best: bool = False,
    initial: dict[str, Tensor] | None = None,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    read_at: Container[int] | None = None,
) -> TrainingResult:
    """Train a genome from scratch, or from `checkpoint` where that file exists.

    keep_best: return the weights of the epoch with the highest held-out accuracy instead of the
    last. initial: weights to start from. teacher: a module, normalised pixels -> logits to learn
    from, by the recipe's `distill`. read_at: epochs after which the held-out part is scored; None
    is all, and the last one always is. DivergedError when the loss is not finite.
    """
    run = Training(genome, fit, recipe, seed, mode or Precision(), initial, teacher)
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint)
    while run.epoch < recipe.epochs and not run.stalled():
        started, processor = time.perf_counter(), time.process_time()
        loss = run.train_epoch()
        row: dict[str, float] = {"epoch": run.epoch, "train_loss": loss, "lr": run.lr}
        if read_at is None or run.epoch in read_at or run.epoch == recipe.epochs:
            accuracy, validation_loss = score(
                run.averaged, genome, held_out, run.mode, recipe.views
            )
            row |= {"validation_accuracy": accuracy, "validation_loss": validation_loss}
            run.note(accuracy, keep_best)
        row["seconds"] = time.perf_counter() - started
        # What a busy machine does not inflate; of all threads, and without a GPU's share.
        row["cpu_seconds"] = time.process_time() - processor
        run.history.append(row)
        if checkpoint is not None:
            run.save(checkpoint)
        if on_epoch is not None:
            on_epoch(row)
    if keep_best and run.best_state is not None:
        run.averaged.load_state_dict(run.best_state)
    stopped = "finished" if run.epoch == recipe.epochs else "no progress"
    return TrainingResult(
        run.averaged, run.history, run.best_epoch if keep_best else run.epoch, stopped
    )


class Training:
    """The state of one training; everything in it goes into the checkpoint."""

    def __init__(
        self, genome: Genome, fit: Subset, recipe: Recipe, seed: int, mode: Precision,
        initial: dict[str, Tensor] | None = None, teacher: nn.Module | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)  # initial weights and dropout
        self.seed = seed
        self.fit, self.recipe, self.mode = fit, recipe, mode
        self.genome = genome
        self.device = fit.images.device
        self.teacher, self._initial = teacher, initial
        self.model = build(genome)
        if initial is not None:
            self.model.load_state_dict(initial)
        self.model = self.model.to(self.device)
        if mode.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaging = recipe.ema_decay > 0 or recipe.optimizer == "asgd"
        self.averaged = copy.deepcopy(self.model) if self.averaging else self.model
        self.optimizer = optimizer(self.model, recipe)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.epoch = self.step = 0
        self.lr = recipe.lr
        self.plateau_factor, self.plateau_wait = 1.0, 0
        self.best_accuracy, self.best_epoch = -1.0, 0
        self.best_state: dict[str, Tensor] | None = None
        self.history: list[dict[str, float]] = []
        self.steps_per_epoch = max(1, len(fit) // recipe.batch_size)

    def train_epoch(self) -> float:
        """One pass over the training rows; returns the mean loss."""
        self.model.train()
        total = torch.zeros((), device=self.device)
        for rows in self._batches():
            total += self._train_step(rows)
        self.epoch += 1
        loss = float(total) / self.steps_per_epoch
        if not math.isfinite(loss):
            raise DivergedError(f"loss is {loss} in epoch {self.epoch}")
        return loss

    def _batches(self) -> Iterator[Tensor]:
        order = torch.randperm(len(self.fit), generator=self.generator, device=self.device)
        for i in range(self.steps_per_epoch):  # a last smaller batch would unsettle batch norm
            yield self.fit.rows[
                order[i * self.recipe.batch_size : (i + 1) * self.recipe.batch_size]
            ]

    def _train_step(self, rows: Tensor) -> Tensor:
        recipe = self.recipe
        x, y = self._prepare(rows), self._targets(rows)
        if len(x) > len(y):  # ten crops of each image
            y = y.repeat(len(x) // len(y), 1)
        if recipe.mixup_alpha or recipe.cutmix_alpha:
            x, y = mix(x, y, recipe, self.generator)
        self._set_lr()
        with autocast(self.device, self.mode):
            logits = self.model(x)
        loss = self._loss(logits.float(), x, y)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if recipe.clip_grad_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_grad_norm)
        self.optimizer.step()
        self.step += 1
        if self.averaging:
            self._average()
        return loss.detach()

    def _targets(self, rows: Tensor) -> Tensor:
        """Class shares (rows, classes): soft labels where the part has them."""
        if self.fit.targets is not None:
            return self.fit.targets[rows]
        return F.one_hot(self.fit.labels[rows], self.genome.num_classes).to(torch.float32)

    def _loss(self, logits: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Cross entropy, and with a teacher Hinton et al. 2015's distillation."""
        recipe = self.recipe
        loss = F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
        if self.teacher is None or not recipe.distill:
            return loss
        t = recipe.temperature
        with torch.no_grad():
            taught = torch.softmax(self.teacher(x).float() / t, 1)
        soft = F.cross_entropy(logits / t, taught) * t * t
        return (1 - recipe.distill) * loss + recipe.distill * soft

    def _prepare(self, rows: Tensor) -> Tensor:
        """Augmented, cropped and normalised pixels; with ten crops ten times as many."""
        size, settings = self.genome.input, self.recipe.augment
        x = self.fit.images[rows].float()
        if self.recipe.train_views == "ten_crop":
            # Khaireddin and Chen: every crop is erased for itself.
            x = augment(x, dataclasses.replace(settings, erase=0.0), self.generator)
            x = torch.cat(views_of(x, size.height, size.width, "ten_crop"))
            x = augment(x, Augment(flip=0.0, probability=0.0, erase=settings.erase), self.generator)
        else:
            if x.shape[2:] != (size.height, size.width):
                x = random_crop(x, size.height, size.width, self.generator)
            x = augment(x, settings, self.generator)
        x = (x - MEAN) / STD
        return x.contiguous(memory_format=torch.channels_last) if self.mode.channels_last else x

    def _set_lr(self) -> None:
        done = self.step / self.steps_per_epoch
        self.lr = learning_rate(self.recipe, done) * self.plateau_factor
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr

    @torch.no_grad()
    def _average(self) -> None:
        if self.recipe.ema_decay:
            # The warm-up forgets the random start, which a fixed decay would carry for long.
            decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        else:  # asgd, Polyak and Juditsky 1992: the mean of all weights after the first epoch
            decay = 1 - 1 / max(1, self.step - self.steps_per_epoch)
        ours, theirs = self.averaged.state_dict(), self.model.state_dict()
        for name, value in ours.items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1 - decay)
            else:
                value.copy_(theirs[name])

    def note(self, accuracy: float, keep: bool) -> None:
        """Take note of a held-out accuracy: best epoch, plateau, early stopping."""
        if accuracy > self.best_accuracy:
            self.best_accuracy, self.best_epoch, self.plateau_wait = accuracy, self.epoch, 0
            if keep:
                self.best_state = copy.deepcopy(self.averaged.state_dict())
            return
        self.plateau_wait += 1
        if self.recipe.schedule == "plateau" and self.plateau_wait > self.recipe.plateau_patience:
            self.plateau_factor *= self.recipe.plateau_factor
            self.plateau_wait = 0

    def stalled(self) -> bool:
        limit = self.recipe.early_stopping
        return bool(limit) and self.epoch - self.best_epoch >= limit

    _SCALARS = ("epoch", "step", "lr", "plateau_factor", "plateau_wait", "best_accuracy",
                "best_epoch", "history", "best_state")  # fmt: skip

    @cached_property
    def start(self) -> int:
        """A checksum of seed and data, and of what there is of initial weights and a teacher."""
        fit = self.fit
        tensors = [fit.images, fit.labels, fit.rows]
        tensors += [] if fit.targets is None else [fit.targets]
        tensors += list((self._initial or {}).values())
        tensors += [] if self.teacher is None else list(self.teacher.state_dict().values())
        found = self.seed
        for tensor in tensors:
            found = zlib.crc32(tensor.cpu().contiguous().numpy().data, found)
        return found

    def save(self, path: Path) -> None:
        """Everything that a later process needs to go on, replaced atomically."""
        state = {
            "version": CHECKPOINT_VERSION,
            "genome": self.genome.id,
            "recipe": self.recipe.to_dict(),
            "start": self.start,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "global": _global_state(self.device),
            **{name: getattr(self, name) for name in self._SCALARS},
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        replace_file(path, buffer.getvalue())

    def load(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location=self.device)
        except Exception as error:  # torch raises many kinds for a broken file
            raise UserError(f"{path}: not a readable checkpoint: {first_line(error)}") from None
        if not isinstance(state, dict):
            raise UserError(f"{path}: not a checkpoint; remove it")
        if state.get("version") != CHECKPOINT_VERSION or state.get("genome") != self.genome.id:
            raise UserError(f"{path}: a checkpoint of another genome or version; remove it")
        if state.get("recipe") != self.recipe.to_dict():
            raise UserError(f"{path}: a checkpoint of another recipe; remove it or use its recipe")
        if state.get("start") != self.start:
            raise UserError(
                f"{path}: a checkpoint of another data set, seed, teacher or of other initial "
                "weights; remove it"
            )
        try:
            self._restore(state)
        except Exception as error:  # torch raises many kinds where a part does not fit
            raise UserError(f"{path}: a damaged checkpoint: {first_line(error)}") from None

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        _set_global_state(self.device, state["global"])
        for name in self._SCALARS:
            setattr(self, name, state[name])


def _global_state(device: torch.device) -> Tensor:
    """Of the generator that dropout draws from on this device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_global_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state.cpu(), device)
    else:
        torch.set_rng_state(state.cpu())
