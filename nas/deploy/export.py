"""A trained network as ONNX (float32, int8) and torch program, each compared with torch."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.arch.onnx import to_onnx
from nas.data import Dataset
from nas.deploy.checkpoint import TrainedModel
from nas.deploy.latency import FpsModel, time_in_turns
from nas.deploy.preprocessing import Preprocessing
from nas.deploy.quantise import quantise
from nas.deploy.runtime import open_model
from nas.training.predict import EVALUATION_BATCH, Subset, logits, views_of

PARITY_IMAGES = 512
TOLERANCE = 1e-3  # largest difference that rounding explains, of a logit of 1 or the largest
CALIBRATION_IMAGES = 512
FLOAT, INT8, TORCH = "model.onnx", "model.int8.onnx", "model.pt2"
Classifier = Callable[[Any], Any]  # float32 (N, C, height, width), normalised -> logits


@dataclass(frozen=True)
class Parity:
    """ONNX Runtime against torch: largest logit difference, share of equal labels."""

    images: int
    max_difference: float
    largest_logit: float
    same_labels: float


def export_onnx(
    genome: Genome, model: nn.Module, dataset: Dataset, part: Subset, path: Path
) -> Parity:
    """Write float32 ONNX with the preprocessing in its metadata; RuntimeError if torch differs.

    dataset: what the model was trained on. part: images on which the two are compared.
    """
    write_onnx(TrainedModel.on(dataset, genome, model), path)
    found = check_parity(genome, model, part, path)
    limit = TOLERANCE * max(1.0, found.largest_logit)
    if not found.max_difference <= limit:
        raise RuntimeError(
            f"{path}: ONNX differs from torch by {found.max_difference:.2g}, more than {limit:.2g}"
        )
    return found


def write_onnx(trained: TrainedModel, path: Path) -> None:
    """float32, any batch size, preprocessing in the metadata."""
    state = trained.model.state_dict()
    weights = {name: value.detach().cpu().numpy() for name, value in state.items()}
    proto = to_onnx(trained.genome, weights, trained.preprocessing.to_metadata())
    unfinished = path.with_suffix(".partial")
    unfinished.write_bytes(proto.SerializeToString())
    os.replace(unfinished, path)


def check_parity(genome: Genome, model: nn.Module, part: Subset, path: Path) -> Parity:
    """Compare the file with the torch model on (the first of) a part's images, on the CPU."""
    cpu = Subset(part.images.cpu(), part.labels.cpu(), part.rows[:PARITY_IMAGES].cpu())
    # A copy: `cpu()` moves the module itself, and the caller goes on with it on its device.
    ours = logits(copy.deepcopy(model).cpu(), genome, cpu).numpy()
    theirs = _logits(*_open(path), cpu)
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    difference, largest = np.abs(ours - theirs).max(), np.abs(ours).max()
    return Parity(len(ours), float(difference), float(largest), same)


def export(
    trained: TrainedModel, dataset: Dataset, out: Path, *, torch_program: bool = False,
    fps_model: FpsModel | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write the files into `out`, score and time each; plain data.

    dataset: its Training images calibrate the int8 ranges, its validation images score. Accuracy
    is of single views, fps of batch 1 on one thread; the files take turns in the timing.
    """
    p = trained.preprocessing
    write_onnx(trained, out / FLOAT)
    rows = dataset.indices("train")
    chosen = np.random.default_rng(0).permutation(rows)[:CALIBRATION_IMAGES]
    quantise(out / FLOAT, out / INT8, _batches(_part(dataset, chosen), p))
    classifiers = {path: _open(path)[0] for path in (out / FLOAT, out / INT8)}
    if torch_program:
        write_torch_program(trained, out / TORCH)
        classifiers[out / TORCH] = _open_torch_program(out / TORCH)
    part = _part(dataset, dataset.indices("validation"))
    labels = part.labels[part.rows].numpy()
    ours = logits(trained.model.cpu(), trained.genome, part).numpy().argmax(1)
    fps = _frame_rates(list(classifiers.values()), p)
    files = []
    for (path, classifier), each in zip(classifiers.items(), fps, strict=True):
        answers = _logits(classifier, p, part).argmax(1)
        files.append({
            "file": path.name, "bytes": path.stat().st_size, "fps": each,
            "accuracy": float((answers == labels).mean()),
            "same_labels": float((answers == ours).mean()),
        })  # fmt: skip
    return {
        "genome": trained.genome.id,
        "params": cost(trained.genome).params,
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "calibration_images": len(chosen),
        "validation_images": len(labels),
        "torch_accuracy": float((ours == labels).mean()),
        "files": files,
        "predicted_fps": None if fps_model is None else fps_model.predict(trained.genome),
    }


def write_torch_program(trained: TrainedModel, path: Path) -> None:
    """What `torch.export.load(path).module()` runs without our code; any batch size."""
    size = trained.genome.input
    example = torch.zeros(2, size.channels, size.height, size.width)
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    program = torch.export.export(
        trained.model.cpu().eval(), (example,), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, path)


def _part(dataset: Dataset, rows: Any) -> Subset:
    labels = torch.tensor(np.asarray(dataset.labels, dtype=np.int64))
    return Subset(torch.tensor(dataset.images), labels, torch.tensor(rows))


def _open(path: Path) -> tuple[Classifier, Preprocessing]:
    """An ONNX file, read as the demo reads it."""
    runtime, p = open_model(path)
    return lambda pixels: runtime.run(None, {"image": pixels})[0], p


def _open_torch_program(path: Path) -> Classifier:
    module = torch.export.load(path).module()

    def classify(pixels: Any) -> Any:
        with torch.no_grad():
            return module(torch.from_numpy(pixels)).numpy()

    return classify


def _logits(classifier: Classifier, p: Preprocessing, part: Subset) -> Any:
    """Logits (rows, classes) of a part's images, single views."""
    return np.concatenate([classifier(pixels) for pixels in _batches(part, p)])


def _batches(part: Subset, p: Preprocessing) -> Iterator[Any]:
    """A part's images as a file takes them: cropped to the input, normalised, float32."""
    for rows in torch.split(part.rows, EVALUATION_BATCH):
        yield p.normalise(views_of(part.images[rows], p.height, p.width, "single")[0].numpy())


def _frame_rates(classifiers: Sequence[Classifier], p: Preprocessing) -> list[float]:
    """Frames per second, batch 1, one thread, in turns."""
    image = np.zeros((1, p.channels, p.height, p.width), np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    milliseconds = time_in_turns([partial(c, image) for c in classifiers], rounds=9, runs=20)
    torch.set_num_threads(threads)
    return [1000 / ms for ms in milliseconds]
