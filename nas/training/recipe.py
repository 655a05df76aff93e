"""How a model is trained: one recipe for search, tuning and retraining. YAML; no torch here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from nas.common.errors import UserError
from nas.common.files import read_yaml
from nas.common.resources import RECIPES
from nas.common.schema import Choice, Flag, Float, Int, Text, checked_fields, read

OPTIMIZERS = (
    "sgd", "nesterov", "asgd", "adam", "amsgrad", "adamw", "adadelta", "adagrad", "muon"
)  # fmt: skip
SCHEDULES = ("constant", "plateau", "cosine", "cosine_restarts", "one_cycle", "step")

VIEWS = ("single", "flip", "ten_crop")
FIT_ON = ("train", "train+validation", "fit")

Share = Annotated[float, Float(0.0, 1.0)]


@dataclass(frozen=True)
class Augment:
    """What nas/training/augment.py does to training images.

    Each geometric change happens to an image with probability `probability`. flip: probability of
    mirroring. shift: largest share of the side. scale: the part shown is 1 - scale to 1 + scale of
    the side. rotate: degrees. erase: probability of erasing one rectangle. Khaireddin and Chen use
    shift 0.2, scale 0.2, rotate 10, probability 0.5, erase 0.5.
    """

    flip: Share = 0.5
    probability: Share = 0.7
    shift: Share = 0.08
    scale: Share = 0.12
    rotate: Annotated[float, Float(0.0, 180.0)] = 10.0
    erase: Share = 0.0

    def __post_init__(self) -> None:
        checked_fields(self)

    @property
    def geometric(self) -> bool:
        return self.probability > 0 and (self.shift > 0 or self.scale > 0 or self.rotate > 0)


@dataclass(frozen=True)
class Recipe:
    """Training settings. The defaults are those of the search's short trainings.

    There AdamW was ahead of Nesterov momentum for each of seven networks of fer.yaml (1350 faces,
    3 epochs, batch 32).

    adamw_lr: with muon, the rate of AdamW for what is no matrix, on the same schedule.
    asgd keeps the mean of the weights since the first epoch, unless ema is on. mixup, cutmix: alpha
    of the Beta distribution, 0 is off. teacher: a file of nas.teach, soft labels for the training
    images; a relative path starts at the current folder, wherever the recipe stands. distill: the
    teachers' share of the loss, at `temperature`; without a teacher it is nothing. soft_labels:
    train on the votes of the data set (FERPlus).
    train_on: with train+validation the last epoch is taken, since nothing is left to choose one on;
    fit is the part of train that a search trains on, for a search's own teacher.
    views, train_views: see nas/training/predict.py; an image's logits are their mean.
    """

    epochs: Annotated[int, Int(1, 10_000)] = 3
    batch_size: Annotated[int, Int(2, 8192)] = 32
    optimizer: Annotated[str, Choice(OPTIMIZERS, "optimizer")] = "adamw"
    lr: Annotated[float, Float(1e-7, 10.0)] = 0.003
    momentum: Annotated[float, Float(0.0, 0.999)] = 0.9
    adamw_lr: Annotated[float, Float(1e-7, 1.0)] = 0.003
    weight_decay: Annotated[float, Float(0.0, 1.0)] = 5e-4
    schedule: Annotated[str, Choice(SCHEDULES, "schedule")] = "one_cycle"
    plateau_factor: Annotated[float, Float(0.01, 0.99)] = 0.75
    plateau_patience: Annotated[int, Int(0, 1000)] = 5
    restart_epochs: Annotated[int, Int(1, 10_000)] = 10
    step_epochs: Annotated[int, Int(1, 10_000)] = 30
    step_factor: Annotated[float, Float(0.01, 0.99)] = 0.1
    label_smoothing: Annotated[float, Float(0.0, 0.9)] = 0.1
    mixup_alpha: Annotated[float, Float(0.0, 10.0)] = 0.0
    ema_decay: Annotated[float, Float(0.0, 0.99999)] = 0.0
    clip_grad_norm: Annotated[float, Float(0.0, 1e6)] = 5.0
    early_stopping: Annotated[int, Int(0, 10_000)] = 0
    cutmix_alpha: Annotated[float, Float(0.0, 10.0)] = 0.0
    soft_labels: Annotated[bool, Flag()] = False
    train_on: Annotated[str, Choice(FIT_ON, "part")] = "train"
    teacher: Annotated[str, Text()] | None = None
    distill: Share = 0.0
    temperature: Annotated[float, Float(0.5, 20.0)] = 2.0
    train_views: Annotated[str, Choice(("single", "ten_crop"), "views")] = "single"
    views: Annotated[str, Choice(VIEWS, "views")] = "single"
    augment: Augment = Augment()

    def __post_init__(self) -> None:
        checked_fields(self)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def changed(self, settings: Mapping[str, Any], where: str = "recipe") -> Recipe:
        """With some settings given by name, those of `augment` too. UserError names a wrong one."""
        plain = self.to_dict()
        for name, given in settings.items():
            value = asdict(given) if isinstance(given, Augment) else given
            nested = isinstance(value, Mapping) and isinstance(plain.get(name), dict)
            plain[name] = {**plain[name], **value} if nested else value
        return read(Recipe, plain, where)

    @classmethod
    def load(cls, name: str | Path) -> Recipe:
        """A recipe by name (`modern`), or a recipe file; a missing key keeps its default.

        UserError names what is wrong.
        """
        path = RECIPES.find(name)
        data = read_yaml(path)
        if data is None:
            raise UserError(f"{path}: empty; expected at least one setting")
        recipe = read(cls, data, str(path))
        if recipe.teacher is not None:
            teacher_file(recipe.teacher, str(path))
        return recipe


def teacher_file(given: str, where: str) -> Path:
    """A recipe's `teacher`. UserError where there is no such file."""
    if not os.path.exists(given):
        raise UserError(
            f"{where}: teacher: no file {os.path.abspath(given)}; a relative path starts at the "
            "current folder"
        )
    return Path(given)
