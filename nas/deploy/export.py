"""A trained network as ONNX, float32 and int8, each compared with torch."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.arch.onnx import to_onnx
from nas.common.environment import environment
from nas.common.errors import UserError
from nas.common.files import make_folder, replace_file
from nas.data import Dataset
from nas.deploy.checkpoint import TrainedModel, open_with_data
from nas.deploy.latency import FpsModel, read_calibration
from nas.deploy.preprocessing import ModelInfo
from nas.deploy.probes import FLOAT_LIMIT, Probes
from nas.deploy.quantise import quantise
from nas.deploy.reports import REPORT, retrained
from nas.deploy.runtime import OnnxModel, open_model, time_in_turns
from nas.report.card import model_card
from nas.training.predict import EVALUATION_BATCH, Subset, logits, views_of

PARITY_IMAGES = 512
TOLERANCE = 1e-3  # largest difference that rounding explains, of a logit of 1 or the largest
CALIBRATION_IMAGES = 512
FLOAT, INT8 = "model.onnx", "model.int8.onnx"


@dataclass(frozen=True)
class Parity:
    """ONNX Runtime against torch: largest logit difference, share of equal labels."""

    images: int
    max_difference: float
    largest_logit: float
    same_labels: float


def export_onnx(
    genome: Genome, model: nn.Module, dataset: Dataset, subset: Subset, path: Path
) -> Parity:
    """Write float32 ONNX with the preprocessing in its metadata; RuntimeError if torch differs.

    dataset: what the model was trained on. subset: images on which the two are compared.
    """
    write_onnx(TrainedModel.on(dataset, genome, model), path)
    found = check_parity(genome, model, subset, path)
    limit = TOLERANCE * max(1.0, found.largest_logit)
    if not found.max_difference <= limit:
        raise RuntimeError(
            f"{path}: ONNX differs from torch by {found.max_difference:.2g}, more than {limit:.2g}"
        )
    return found


def write_onnx(trained: TrainedModel, path: Path) -> None:
    """float32, any batch size; preprocessing and probes, answered by torch, in the metadata."""
    state = trained.model.state_dict()
    weights = {name: value.detach().cpu().numpy() for name, value in state.items()}
    # A copy: `cpu()` moves the module itself, and the caller goes on with it on its device.
    model, p = copy.deepcopy(trained.model).cpu().eval(), trained.info

    @torch.no_grad()
    def forward(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        y: npt.NDArray[np.float32] = model(torch.from_numpy(p.normalise(images))).numpy()
        return y

    probes = Probes.of(forward, *p.shape, FLOAT_LIMIT)
    proto = to_onnx(trained.genome, weights, p.to_metadata() | probes.to_metadata())
    replace_file(path, proto.SerializeToString())


def check_parity(genome: Genome, model: nn.Module, subset: Subset, path: Path) -> Parity:
    """Compare the file with the torch model on (the first of) a subset's images, on the CPU."""
    cpu = Subset(subset.images.cpu(), subset.labels.cpu(), subset.rows[:PARITY_IMAGES].cpu())
    ours = logits(copy.deepcopy(model).cpu(), genome, cpu).numpy()
    theirs = _logits(open_model(path), cpu)
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    difference, largest = np.abs(ours - theirs).max(), np.abs(ours).max()
    return Parity(len(ours), float(difference), float(largest), same)


def export(
    model: str | Path,
    data: Dataset | str | Path | None = None,
    out: str | Path | None = None,
    *,
    run: str | Path | None = None,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """A network's ONNX files, float32 and int8, beside export.json and MODEL_CARD.md.

    model: a folder of nas.retrain, or its model.safetensors. data: calibrates and scores; None:
    what the network was trained on. out: None: the network's own folder. run: the search whose fps
    model is compared; None: the run that holds the folder, if any. Returns what export.json holds.
    """
    path, trained, dataset = open_with_data(model, data, "export: model")
    folder = path.parent if out is None else Path(out)
    for split in ("train", "validation"):
        if not len(dataset.indices(split)):
            raise UserError(f"data set {dataset.name}: no {split} images; expected some")
    machine = _machine_file(path, run)
    fps_model = read_calibration(machine).model if machine else None
    found = export_trained(trained, dataset, make_folder(folder), fps_model)
    found["environment"] = environment([*command])
    replace_file(folder / "export.json", json.dumps(found, indent=1) + "\n")
    if (path.parent / REPORT).is_file():
        with retrained(path.parent / REPORT) as report:
            replace_file(folder / "MODEL_CARD.md", model_card(report, found))
    return found


def export_trained(
    trained: TrainedModel, dataset: Dataset, out: Path, fps_model: FpsModel | None = None
) -> dict[str, Any]:
    """Write the files into `out`, check, score and time each; plain data.

    dataset: its training images calibrate the int8 ranges, its validation images score. Accuracy
    is of single views, fps of batch 1 on one thread; the files take turns in the timing.
    """
    p = trained.info
    write_onnx(trained, out / FLOAT)
    subset = Subset.of(dataset, "validation")
    rows = dataset.indices("train")
    chosen = np.random.default_rng(0).permutation(rows)[:CALIBRATION_IMAGES]
    quantise(out / FLOAT, out / INT8, _batches(subset.at(chosen), p))
    models = [open_model(out / FLOAT), open_model(out / INT8)]
    labels = subset.labels[subset.rows].numpy()
    ours = logits(trained.model.cpu(), trained.genome, subset).numpy().argmax(1)
    image = np.zeros((1, *p.shape), np.float32)
    milliseconds = time_in_turns([partial(m.run, image) for m in models], rounds=9, runs=20)
    files = []
    for model, ms in zip(models, milliseconds, strict=True):
        answers = _logits(model, subset).argmax(1)
        check = model.check()
        assert check is not None
        files.append({
            "file": model.path.name, "bytes": model.path.stat().st_size, "fps": 1000 / ms,
            "accuracy": float((answers == labels).mean()),
            "same_labels": float((answers == ours).mean()),
            "probe_difference": check.difference, "probe_limit": check.limit,
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


def _machine_file(weights: Path, run: str | Path | None) -> Path | None:
    """Where the fps model lies: in the run given, or RUN of RUN/retrain/ID/model.safetensors."""
    if run:
        return Path(run) / "machine.json"
    beside = weights.absolute().parent.parent.parent / "machine.json"
    return beside if beside.is_file() else None


def _logits(model: OnnxModel, subset: Subset) -> npt.NDArray[np.float32]:
    """Logits (rows, classes) of a subset's images, single views."""
    return np.concatenate([model.run(pixels) for pixels in _batches(subset, model.info)])


def _batches(subset: Subset, p: ModelInfo) -> Iterator[npt.NDArray[np.float32]]:
    """A subset's images as a file takes them: cropped to the input, normalised, float32."""
    for rows in torch.split(subset.rows, EVALUATION_BATCH):
        yield p.normalise(views_of(subset.images[rows], p.height, p.width, "single")[0].numpy())
