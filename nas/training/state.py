"""The state of a training, and its steps.

Images stay on the device as uint8; every batch is cropped, augmented and normalised there.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import zlib
from collections.abc import Iterator
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.arch.genome import Genome
from nas.arch.module import build
from nas.common.pixels import normalise
from nas.training.augment import augment, erase, mix, move, random_crop
from nas.training.graph import RecordedStep
from nas.training.optim import Optimizer, flatten, graphable, learning_rate
from nas.training.predict import DivergedError, Precision, Subset, autocast, views_of
from nas.training.recipe import Recipe
from nas.training.teacher import SoftLabels


class Training:
    """The state of one training; everything in it goes into the checkpoint."""

    def __init__(
        self, genome: Genome, fit: Subset, recipe: Recipe, seed: int, precision: Precision,
        initial: dict[str, Tensor] | None = None, teacher: nn.Module | SoftLabels | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)  # initial weights and dropout
        self.seed = seed
        self.fit, self.recipe, self.precision = fit, recipe, precision
        self.genome = genome
        self.device = fit.images.device
        self.teacher, self._initial = teacher, initial
        self._lessons = None
        if isinstance(teacher, SoftLabels):
            self._lessons = teacher.lessons(fit, genome.num_classes)
        self._targets = F.one_hot(fit.labels, genome.num_classes).float()  # (all images, classes)
        if fit.targets is not None:
            self._targets = fit.targets
        self.model = build(genome)
        if initial is not None:
            self.model.load_state_dict(initial)
        self.model = self.model.to(self.device)
        if precision.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaging = recipe.ema_decay > 0 or recipe.optimizer == "asgd"
        self.averaged = copy.deepcopy(self.model) if self.averaging else self.model
        muon = recipe.optimizer == "muon"
        self._state = flatten(self.model, matrices=muon)
        self._average = flatten(self.averaged, matrices=muon).values if self.averaging else None
        self._decay = torch.zeros((), device=self.device)
        self.optimizer = Optimizer(self._state, recipe)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.epoch = self.step = 0
        self.lr = recipe.lr
        self.plateau_factor, self.plateau_wait = 1.0, 0
        self.best_accuracy, self.best_epoch = -1.0, 0
        self.best_state: dict[str, Tensor] | None = None
        self.history: list[dict[str, float]] = []
        self.steps_per_epoch = max(1, len(fit) // recipe.batch_size)
        self._total = torch.zeros((), device=self.device)
        self._rows = fit.rows[: recipe.batch_size].clone()
        recorded = self.device.type == "cuda" and graphable(recipe.optimizer)
        self._run = RecordedStep(self._train_step, self.generator) if recorded else self._train_step

    def train_epoch(self) -> float:
        """One pass over the training rows; returns the mean loss."""
        for _ in self.epoch_steps():
            pass
        return self.end_epoch()

    def epoch_steps(self) -> Iterator[None]:
        """Train batch by batch; on a GPU each is only started, so that trainings may alternate."""
        self.model.train()
        self._total.zero_()
        order = torch.randperm(len(self.fit), generator=self.generator, device=self.device)
        size = self.recipe.batch_size
        for i in range(self.steps_per_epoch):  # a last smaller batch would unsettle batch norm
            self._start_step(self.fit.rows[order[i * size : (i + 1) * size]])
            yield

    def end_epoch(self) -> float:
        """The mean loss of the epoch that `epoch_steps` went through."""
        self.epoch += 1
        loss = float(self._total) / self.steps_per_epoch
        if not math.isfinite(loss):
            raise DivergedError(f"loss is {loss} in epoch {self.epoch}")
        return loss

    def _start_step(self, rows: Tensor) -> None:
        done = self.step / self.steps_per_epoch
        self.lr = learning_rate(self.recipe, done) * self.plateau_factor
        self.optimizer.set_rate(self.lr)
        self.step += 1
        if self.averaging:
            self._decay.fill_(self._average_decay())
        self._rows.copy_(rows)
        self._run()

    def _train_step(self) -> None:
        """One step on the rows `self._rows`; nothing here waits for the device."""
        x, y, taught = self._batch(self._rows)
        with autocast(self.device, self.precision):
            logits = self.model(x)
        loss = self._loss(logits.float(), x, y, taught)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        if self._average is not None:
            self._average.lerp_(self._state.values, 1 - self._decay)
        self._total += loss.detach()

    def _batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Pixels as the model takes them, class shares, and what a stored teacher says."""
        recipe, settings = self.recipe, self.recipe.augment
        y, taught = self._targets[rows], None
        if self._lessons is not None:
            draws, taught = self._lessons.draw(rows, self.generator)
            x = move(self._crop(rows), self._lessons.augment, draws)
            x = erase(x, settings.erase, self.generator)
        elif recipe.train_views == "ten_crop":
            x = self._ten_crops(rows)
            y = y.repeat(len(x) // len(y), 1)  # ten crops of each image
        else:
            x = augment(self._crop(rows), settings, self.generator)
        x = normalise(x)
        if recipe.mixup_alpha or recipe.cutmix_alpha:
            both = y if taught is None else torch.cat([y, taught], 1)
            x, both = mix(x, both, recipe, self.generator)
            y = both[:, : y.shape[1]]
            taught = None if taught is None else both[:, y.shape[1] :]
        if self.precision.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        return x, y, taught

    def _crop(self, rows: Tensor) -> Tensor:
        size, x = self.genome.input, self.fit.images[rows].float()
        if x.shape[2:] != (size.height, size.width):
            x = random_crop(x, size.height, size.width, self.generator)
        return x

    def _ten_crops(self, rows: Tensor) -> Tensor:
        """Khaireddin and Chen: every crop is erased for itself. Ten times as many images."""
        size, settings = self.genome.input, self.recipe.augment
        x = self.fit.images[rows].float()
        x = augment(x, dataclasses.replace(settings, erase=0.0), self.generator)
        x = torch.cat(views_of(x, size.height, size.width, "ten_crop"))
        return erase(x, settings.erase, self.generator)

    def _loss(self, logits: Tensor, x: Tensor, y: Tensor, taught: Tensor | None) -> Tensor:
        """Cross entropy, and with a teacher Hinton et al. 2015's distillation."""
        recipe, t = self.recipe, self.recipe.temperature
        loss = F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
        if self.teacher is None or not recipe.distill:
            return loss
        if taught is None:
            assert isinstance(self.teacher, nn.Module)
            with torch.no_grad(), autocast(self.device, self.precision):
                taught = self.teacher(x).float()
            taught = torch.softmax(taught / t, 1)
        else:
            taught = torch.softmax(taught.clamp(min=1e-4).log() / t, 1)
        soft = F.cross_entropy(logits / t, taught) * t * t
        return (1 - recipe.distill) * loss + recipe.distill * soft

    def _average_decay(self) -> float:
        if self.recipe.ema_decay:
            # The warm-up forgets the random start, which a fixed decay would carry for long.
            return min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        # asgd, Polyak and Juditsky 1992: the mean of all weights after the first epoch
        return 1 - 1 / max(1, self.step - self.steps_per_epoch)

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

    SCALARS = ("epoch", "step", "lr", "plateau_factor", "plateau_wait", "best_accuracy",
               "best_epoch", "history", "best_state")  # fmt: skip

    @cached_property
    def start(self) -> int:
        """A checksum of seed and data, and of what there is of initial weights and a teacher."""
        fit = self.fit
        tensors = [fit.images, fit.labels, fit.rows]
        tensors += [] if fit.targets is None else [fit.targets]
        tensors += list((self._initial or {}).values())
        if isinstance(self.teacher, SoftLabels):
            tensors += [self.teacher.probabilities, self.teacher.rows]
        elif self.teacher is not None:
            tensors += list(self.teacher.state_dict().values())
        found = self.seed
        for tensor in tensors:
            found = zlib.crc32(tensor.cpu().contiguous().numpy().data, found)
        return found
