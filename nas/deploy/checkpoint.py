"""A trained network as safetensors: its weights, with genome and preprocessing in the metadata."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from nas.arch.genome import Genome
from nas.arch.module import build
from nas.common.errors import UserError, first_line
from nas.common.files import parse_json
from nas.common.schema import is_name
from nas.data import Dataset
from nas.deploy.preprocessing import Preprocessing


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, the names of its classes and of what it was trained on.

    margin: round a detected face, as its training images had it.
    """

    genome: Genome
    model: nn.Module
    classes: tuple[str, ...]
    training_data: str
    margin: float = 0.0

    @classmethod
    def on(cls, dataset: Dataset, genome: Genome, model: nn.Module) -> TrainedModel:
        """A model that was trained on this data set."""
        margin = float(dataset.provenance.get("margin", 0.0))
        return cls(genome, model, tuple(dataset.classes), dataset.name, margin)

    @property
    def preprocessing(self) -> Preprocessing:
        size = self.genome.input
        return Preprocessing(
            size.channels, size.height, size.width, self.classes, margin=self.margin,
            training_data=self.training_data, genome_id=self.genome.id,
        )  # fmt: skip


def save_weights(genome: Genome, model: nn.Module, dataset: Dataset, path: Path) -> None:
    """The state dict as safetensors; genome, classes, data and margin travel in its metadata."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    trained = TrainedModel.on(dataset, genome, model)
    metadata = {
        "genome": genome.to_json(),
        "classes": json.dumps(trained.classes),
        "training_data": trained.training_data,
        "margin": str(trained.margin),
    }
    partial = path.with_suffix(".partial")
    save_file(state, partial, metadata=metadata)
    os.replace(partial, path)


def open_trained(path: Path) -> TrainedModel:
    """Read what `save_weights` wrote. UserError when it is something else; never unpickles."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a readable safetensors file: {first_line(error)}") from None
    if not {"genome", "classes", "training_data"} <= set(metadata):
        raise UserError(f"{path}: no genome in its metadata; expected one written by nas.retrain")
    genome = Genome.from_json(metadata["genome"], f"{path}: genome")
    classes = parse_json(metadata["classes"], f"{path}: classes")
    if (
        not isinstance(classes, list)
        or len(classes) != genome.num_classes
        or not all(is_name(name) for name in classes)
    ):
        raise UserError(f"{path}: classes: expected {genome.num_classes} names")
    if not is_name(metadata["training_data"]):
        raise UserError(f"{path}: training_data: expected a name of 1 to 100 characters")
    try:
        margin = float(metadata.get("margin", "0"))
    except ValueError:
        raise UserError(f"{path}: margin: expected a number, got {metadata['margin']!r}") from None
    model = load_weights(genome, path).eval()
    return TrainedModel(genome, model, tuple(classes), metadata["training_data"], margin)


def load_weights(genome: Genome, path: Path) -> nn.Module:
    """The genome's model with the weights of a safetensors file; never unpickles."""
    model = build(genome)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: no weights of genome {genome.id}: {first_line(error)}") from None
    return model
