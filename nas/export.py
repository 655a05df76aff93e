"""A trained model as ONNX, checked against torch on real images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from nas.data import Dataset
from nas.errors import UserError, first_line
from nas.genome import Genome
from nas.model import build
from nas.onnx_graph import to_onnx
from nas.onnx_session import session
from nas.predict import Part, logits
from nas.preprocess import Preprocessing

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


def save_weights(genome: Genome, model: nn.Module, path: Path) -> None:
    """The state dict as safetensors; the genome id travels in its metadata."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    partial = path.with_suffix(".partial")
    save_file(state, partial, metadata={"genome": genome.id})
    os.replace(partial, path)


def load_weights(genome: Genome, path: Path) -> nn.Module:
    """The genome's model with the weights of a safetensors file; never unpickles."""
    model = build(genome)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: no weights of genome {genome.id}: {first_line(error)}") from None
    return model
