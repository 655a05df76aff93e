"""What a full training is given, checked before anything is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.arch.genome import Genome
from nas.common.aliases import present
from nas.common.errors import UserError
from nas.common.files import make_folder, read_json, replace_file
from nas.common.schema import read
from nas.data import SPLITS, Dataset, check_fit, search_split
from nas.deploy.checkpoint import load_weights
from nas.deploy.teach import teacher_of
from nas.training.precision import fastest_precision, torch_device
from nas.training.predict import Precision, Subset
from nas.training.recipe import Recipe
from nas.training.teacher import SoftLabels


@dataclass(frozen=True)
class Setup:
    """What a training is given.

    subsets: the splits, and `fit`, what is trained on. initial: weights, None: random ones. origin:
    of weights and teachers, as reports say it.
    """

    genome: Genome
    dataset: Dataset
    recipe: Recipe
    subsets: dict[str, Subset]
    initial: dict[str, Tensor] | None
    teacher: nn.Module | SoftLabels | None
    origin: dict[str, Any]


def set_up(
    genome: Genome, dataset: Dataset, recipe: Recipe, initial: Path | None,
    teachers: Sequence[Path], device: str,
) -> Setup:  # fmt: skip
    """Everything that can be wrong is found here, before a folder is made."""
    check_fit(genome, dataset)
    if recipe.train_on == "train+validation" and (
        recipe.early_stopping or recipe.schedule == "plateau"
    ):
        raise UserError(
            f"recipe: early_stopping and schedule plateau watch validation images, which train_on "
            f"{recipe.train_on} trains on; expected early_stopping 0 and another schedule"
        )
    subsets = _subsets(dataset, torch_device(device), recipe)
    start = None if initial is None else load_weights(genome, initial).state_dict()
    teacher = teacher_of(teachers, genome, dataset, subsets["train"].images.device, recipe)
    origin = {
        "initial": str(initial) if initial else None,
        "teachers": [str(path) for path in teachers],
    }
    return Setup(genome, dataset, recipe, subsets, start, teacher, origin)


def _subsets(dataset: Dataset, device: torch.device, recipe: Recipe) -> dict[str, Subset]:
    """The splits, and `fit`: what is trained on."""
    train = Subset.of(dataset, "train", device, recipe.soft_labels)
    subsets = {name: train.at(dataset.indices(name)) for name in SPLITS}
    for name, subset in subsets.items():
        if not len(subset):
            raise UserError(f"data set {dataset.name}: no {name} images; retraining needs some")
    rows = subsets["train"].rows
    if recipe.train_on == "train+validation":
        rows = torch.cat([rows, subsets["validation"].rows])
    elif recipe.train_on == "fit":
        rows = torch.tensor(search_split(dataset)[0])
    subsets["fit"] = train.at(rows)
    return subsets


def precision_of(setup: Setup, out: Path) -> Precision:
    """Measured once for a folder: a resumed training must not change its arithmetic."""
    path = present(out / "precision.json")
    if path.exists():
        return read(Precision, read_json(path), str(path))
    device = setup.subsets["train"].images.device
    precision = fastest_precision(device, [setup.genome], setup.recipe.batch_size)
    make_folder(out)
    replace_file(path, json.dumps(asdict(precision)))
    return precision
