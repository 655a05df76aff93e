"""A trained model as ONNX, checked against torch on real images."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from nas.data import Dataset
from nas.errors import UserError, first_line, parse_json
from nas.genome import Genome
from nas.model import build
from nas.onnx_graph import to_onnx
from nas.onnx_session import session
from nas.predict import Part, logits
from nas.preprocess import Preprocessing
from nas.schema import is_name

PARITY_IMAGES = 512
TOLERANCE = 1e-3  # largest difference of a logit that rounding explains


@dataclass(frozen=True)
class Parity:
    """ONNX Runtime against torch: largest logit difference, share of equal labels."""

    images: int
    max_difference: float
    same_labels: float


def export_onnx(
    genome: Genome, model: nn.Module, dataset: Dataset, part: Part, path: Path
) -> Parity:
    """Write float32 ONNX with the preprocessing in its metadata; RuntimeError if torch differs.

    part: images on which the two are compared.
    """
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    size = genome.input
    preprocessing = Preprocessing(
        size.channels,
        size.height,
        size.width,
        tuple(dataset.classes),
        margin=float(dataset.provenance.get("margin", 0.0)),
        training_data=dataset.name,
        genome_id=genome.id,
    )
    proto = to_onnx(genome, weights, preprocessing.to_metadata())
    partial = path.with_suffix(".partial")
    partial.write_bytes(proto.SerializeToString())
    os.replace(partial, path)
    found = check_parity(genome, model, part, path)
    if found.max_difference > TOLERANCE:
        raise RuntimeError(
            f"{path}: ONNX differs from torch by {found.max_difference:.2g}, more than {TOLERANCE}"
        )
    return found


def check_parity(genome: Genome, model: nn.Module, part: Part, path: Path) -> Parity:
    """Compare the file with the torch model on (the first of) a part's images, on the CPU."""
    cpu = Part(part.images.cpu(), part.labels.cpu(), part.rows[:PARITY_IMAGES].cpu())
    ours = logits(model.cpu(), genome, cpu).numpy()
    size = genome.input
    pixels = cpu.images[cpu.rows].numpy()
    top, left = (pixels.shape[2] - size.height) // 2, (pixels.shape[3] - size.width) // 2
    pixels = pixels[:, :, top : top + size.height, left : left + size.width]
    runtime = session(str(path))
    preprocessing = Preprocessing.from_metadata(
        runtime.get_modelmeta().custom_metadata_map, str(path)
    )
    theirs = runtime.run(None, {"image": preprocessing.normalise(pixels)})[0]
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    return Parity(len(ours), float(np.abs(ours - theirs).max()), same)


@dataclass(frozen=True)
class Trained:
    """A network with its weights, the names of its classes and of what it was trained on."""

    genome: Genome
    model: nn.Module
    classes: tuple[str, ...]
    training_data: str


def save_weights(genome: Genome, model: nn.Module, dataset: Dataset, path: Path) -> None:
    """The state dict as safetensors; genome, classes and data travel in its metadata."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    metadata = {
        "genome": genome.to_json(),
        "classes": json.dumps(dataset.classes),
        "training_data": dataset.name,
    }
    partial = path.with_suffix(".partial")
    save_file(state, partial, metadata=metadata)
    os.replace(partial, path)


def open_trained(path: Path) -> Trained:
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
    model = load_weights(genome, path).eval()
    return Trained(genome, model, tuple(classes), metadata["training_data"])


def load_weights(genome: Genome, path: Path) -> nn.Module:
    """The genome's model with the weights of a safetensors file; never unpickles."""
    model = build(genome)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: no weights of genome {genome.id}: {first_line(error)}") from None
    return model
