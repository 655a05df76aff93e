"""Trained networks' files as teachers: at once, or as soft labels that are kept."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.arch.genome import Genome
from nas.common.aliases import current_names
from nas.common.errors import UserError
from nas.common.files import check_writable, open_regular
from nas.common.resources import WEIGHTS, find_model
from nas.data import DATA, Dataset, open_dataset, search_split
from nas.deploy.checkpoint import open_trained
from nas.deploy.reports import REPORT, retrained
from nas.training.precision import torch_device
from nas.training.predict import Subset
from nas.training.recipe import Augment, Recipe
from nas.training.teacher import SoftLabels, stored_teacher, teach


def teach_from(
    models: Sequence[str],
    data: str,
    out: str | None,
    *,
    variants: int,
    augment: Augment,
    seed: int,
    part: str,
    device: str,
) -> dict[str, Any]:
    """Write the averaged answers of trained networks, by name, folder or file, to `out`.

    out: None is data/<name>.teacher.safetensors. Only training images are labelled, by networks
    that saw no others: their report.json says on what they were trained. part: train, or fit, what
    a search trains on; then the networks must have been trained on that alone. Returns what is
    written about it, and the agreement with the labels.
    """
    dataset = open_dataset(data)
    target = Path(out) if out else DATA / f"{dataset.name}.teacher.safetensors"
    files = [find_model(given, "--models", WEIGHTS) for given in models]
    networks = [(path, open_trained(path)) for path in files]
    allowed = ("fit",) if part == "fit" else ("train", "fit")
    for path, trained in networks:
        trained.check_fit(dataset, str(path))
        if trained.genome.input.shape != dataset.shape:
            taken, own = (
                "x".join(map(str, s)) for s in (trained.genome.input.shape, dataset.shape)
            )
            raise UserError(f"{path}: takes {taken} pixels; expected the data set's own {own}")
        part_of_it = trained_on(path)
        if part_of_it not in allowed:
            raise UserError(
                f"{path}: trained on {part_of_it}; to label {part} expected train_on "
                f"{' or '.join(allowed)}"
            )
    place = torch_device(device)
    check_writable(target)
    rows = search_split(dataset)[0] if part == "fit" else dataset.indices("train")
    subset = Subset.of(dataset, "train", place).at(np.sort(rows))
    origin = {
        "data": dataset.name, "fingerprint": dataset.fingerprint, "part": part,
        "networks": [
            {"genome": trained.genome.id, "sha256": _sha256(path)} for path, trained in networks
        ],
    }  # fmt: skip
    geometric = dataclasses.replace(augment, erase=0.0)
    labels = teach(
        [trained.model.to(place) for _, trained in networks], subset, variants=variants,
        augment=geometric, seed=seed, origin=origin,
    )  # fmt: skip
    labels.save(target)
    right = labels.probabilities.float().mean(0).argmax(1) == subset.labels[subset.rows].cpu()
    return {**origin, "images": len(subset), "variants": variants, "seed": seed,
            "agreement": float(right.float().mean()), "file": str(target)}  # fmt: skip


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def trained_on(path: Path) -> str:
    """What the network of a model.safetensors was trained on, from the report beside it."""
    report = path.parent / REPORT
    if not report.is_file():
        raise UserError(f"{report}: not found; it says what the network was trained on")
    with retrained(report) as found:
        recipe = current_names("Recipe", found.get("recipe", {}))
        return str(recipe.get("train_on", "unknown"))


class _Teachers(nn.Module):
    """The mean logits of several networks, which see the student's own pixels."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([model(x) for model in self.models]).mean(0)


def teacher_of(
    files: Sequence[Path], student: Genome, dataset: Dataset, device: torch.device, recipe: Recipe
) -> nn.Module | SoftLabels | None:
    """The networks of `files` (model.safetensors), else the recipe's own soft labels, if any."""
    if not files:
        return stored_teacher(recipe, dataset.fingerprint)
    if not recipe.distill:
        raise UserError("--teacher: the recipe's distill is 0; expected a share above it")
    networks = [(path, open_trained(path)) for path in files]
    for path, trained in networks:
        if trained.genome.input != student.input:
            raise UserError(f"{path}: another input than genome {student.id}")
        trained.check_fit(dataset, str(path))
    return _Teachers([trained.model for _, trained in networks]).eval().to(device)
