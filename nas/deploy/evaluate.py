"""Score trained networks, alone and together, on any prepared data set.

Classes are matched by name, so that a network can be scored on a data set with other classes: only
those that all have count, and probabilities are renormalised over them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from torch import Tensor

from nas.arch.genome import Genome
from nas.arch.layers import Cost
from nas.arch.lowering import cost
from nas.common.errors import UserError, quoted
from nas.common.expressions import canonical
from nas.common.files import check_writable, replace_file
from nas.common.pixels import normalise
from nas.common.resources import ONNX, WEIGHTS, find_model
from nas.data import Dataset, check_name, copies_of_train, open_dataset
from nas.data.dataset import ALL
from nas.deploy.checkpoint import open_trained
from nas.deploy.preprocessing import ModelInfo
from nas.deploy.reports import REPORT, retrained
from nas.deploy.runtime import open_model as open_onnx
from nas.report.card import validation_trained_on
from nas.report.metrics import classification_report
from nas.report.plots import confusion_figure, write_figure
from nas.training.predict import EVALUATION_BATCH, views_of

log = logging.getLogger(__name__)
ENSEMBLE = "ensemble"
EVALUATION = "evaluation.json"
CAUTIONS = {  # of a split, told before its figures are there
    "test": "the test split: whoever chooses a model by these figures has none left to report",
    ALL: "all images: of its own data a network knows many, and the test split is among them",
}
LARGEST_CROP = 4 / 3  # sides of image and input: crops leave margins out (48 and 40), not faces


@dataclass(frozen=True)
class Classifier:
    """A network to score. forward: normalised pixels (N, C, height, width) -> logits (N, classes).

    cost: None where the file does not tell. splits, fingerprint: of its data set, what it was
    trained on, and which it was, where a report beside the file tells.
    """

    name: str
    info: ModelInfo
    forward: Callable[[Tensor], Tensor]
    cost: Cost | None = None
    splits: tuple[str, ...] = ("train",)
    fingerprint: str | None = None


def score(
    models: Sequence[str | Path], data: str | None, split: str, views: str, out: Path | None
) -> dict[str, Any]:
    """`evaluate` of networks by name, folder or file, and with `out` what it says as files there.

    data: None is what all of them were trained on. UserError before any work for nothing.
    """
    opened = [open_model(given) for given in models]
    dataset = open_dataset(data or training_data(opened))
    if out:
        check_writable(out / EVALUATION)
    caution(split)
    for model in opened:
        if dataset.name == model.info.training_data:
            _caution_of(model, dataset, split)
    found = evaluate(opened, dataset, split, views)
    if out:
        _write(out, found)
    return found


def caution(split: str) -> None:
    """Warns of what a look at this split means."""
    if split in CAUTIONS:
        log.warning("%s", CAUTIONS[split])


def _caution_of(model: Classifier, dataset: Dataset, split: str) -> None:
    """Warns where a network has seen, or may have seen, images of the split in its training."""
    if model.fingerprint not in (None, dataset.fingerprint):
        log.warning(
            "%s: was trained on another data set of the name %s (fingerprint %s, now %s): it may "
            "know images of this split", model.name, dataset.name, model.fingerprint,
            dataset.fingerprint,
        )  # fmt: skip
    elif split != "train" and split in model.splits:
        log.warning("%s: was trained on the %s images, too: its figures say nothing of new ones",
                    model.name, split)  # fmt: skip


def training_data(models: Sequence[Classifier]) -> str:
    """The name of the data set that all of them were trained on. UserError where they differ."""
    names = sorted({model.info.training_data for model in models})
    if len(names) > 1:
        raise UserError(f"--data: the models were trained on {', '.join(names)}; name one data set")
    return check_name(names[0])


def open_model(given: str | Path) -> Classifier:
    """A trained network by name, folder or file; of a folder's files the weights."""
    path = find_model(given, "--model", WEIGHTS, ONNX)
    return _open_onnx(path) if path.suffix == ONNX else _open_weights(path)


def evaluate(
    models: Sequence[Classifier], dataset: Dataset, split: str, views: str = "single"
) -> dict[str, Any]:
    """Figures of every model, and of their averaged probabilities where there are several.

    split: ALL takes every image. Each on the whole split, and again without the exact copies of
    training images where the split has some. Plain data: see report.metrics.classification_report.
    """
    classes = shared_classes(models, dataset)
    ours = [canonical(name) for name in dataset.classes]
    rows = dataset.indices(split)
    known = np.isin(dataset.labels[rows], [ours.index(c) for c in classes])
    dropped = int((~known).sum())
    rows = rows[known]
    if not len(rows):
        raise UserError(f"data set {dataset.name}, split {split}: no images of {quoted(classes)}")
    labels = np.array([classes.index(ours[label]) for label in dataset.labels[rows]])
    scored = [
        (m.name, m.cost, _probabilities(m, dataset.images, rows, views, classes)) for m in models
    ]
    if len(models) > 1:
        together = np.mean([p for *_, p in scored], axis=0)
        scored.append((ENSEMBLE, _total(models), together))
    seen = [dataset.indices(name) for name in {name for m in models for name in m.splits}]
    fresh = ~copies_of_train(dataset, np.concatenate(seen))[rows]
    subsets = {"all": np.ones(len(rows), bool)}
    if split != ALL and fresh.any() and not fresh.all():
        subsets["without copies"] = fresh
    results = [
        {"model": name, "subset": subset, **_cost(cost),
         **classification_report(labels[chosen], p[chosen], classes)}
        for subset, chosen in subsets.items()
        for name, cost, p in scored
    ]  # fmt: skip
    return {
        "data": dataset.name,
        "split": split,
        "data_images": len(dataset),
        "views": views,
        "classes": list(classes),
        "images_dropped": dropped,
        "classes_dropped": sorted({*ours, *(canonical(c) for m in models for c in m.info.classes)}
                                  - set(classes)),
        "results": results,
    }  # fmt: skip


def _canonical(classes: Sequence[str], where: str) -> list[str]:
    found = [canonical(name) for name in classes]
    for name in found:
        if found.count(name) > 1:
            raise UserError(f"{where}: two classes mean {name!r}; expected one name for each")
    return found


def shared_classes(models: Sequence[Classifier], dataset: Dataset) -> tuple[str, ...]:
    """Canonical names of the classes that the data set and every model have."""
    found = _canonical(dataset.classes, f"data set {dataset.name}")
    for model in models:
        theirs = _canonical(model.info.classes, model.name)
        found = [name for name in found if name in theirs]
    if len(found) < 2:
        raise UserError(
            f"data set {dataset.name} ({quoted(dataset.classes)}) and the models share "
            f"{len(found)} classes; expected two or more"
        )
    return tuple(found)


def _probabilities(
    model: Classifier,
    images: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    views: str,
    classes: tuple[str, ...],
) -> npt.NDArray[np.float64]:
    """(rows, classes), float64, over the shared classes only."""
    p = model.info
    if images.shape[1] != p.channels:
        raise UserError(
            f"{model.name}: takes {p.channels} channels; the images have {images.shape[1]}"
        )
    side = max(images.shape[2] / p.height, images.shape[3] / p.width)
    if side > LARGEST_CROP:
        raise UserError(
            f"{model.name}: takes {p.height}x{p.width} pixels; of images of "
            f"{images.shape[2]}x{images.shape[3]} that is less than a face; prepare the data set "
            f"with --size {max(p.height, p.width)}"
        )
    theirs = [canonical(name) for name in model.info.classes]
    columns = [theirs.index(name) for name in classes]
    out = []
    for start in range(0, len(rows), EVALUATION_BATCH):
        pixels = torch.tensor(images[rows[start : start + EVALUATION_BATCH]]).float()
        x = normalise(pixels, p.mean, p.std)
        logits = [model.forward(v) for v in views_of(x, p.height, p.width, views)]
        out.append(torch.stack(logits).mean(0)[:, columns].numpy())
    return np.asarray(softmax(np.concatenate(out).astype(np.float64), axis=1))


def _cost(cost: Cost | None) -> dict[str, int | None]:
    return {"params": cost.params if cost else None, "macs": cost.macs if cost else None}


def _total(models: Sequence[Classifier]) -> Cost | None:
    """What an ensemble costs: the sum, unless one of them is unknown."""
    costs = [m.cost for m in models if m.cost is not None]
    return sum(costs, Cost()) if len(costs) == len(models) else None


def _open_weights(path: Path) -> Classifier:
    found = open_trained(path)

    def forward(x: Tensor) -> Tensor:
        with torch.no_grad():
            y: Tensor = found.model(x)
        return y

    return Classifier(str(path), found.info, forward, cost(found.genome), **_training_of(path))


def _open_onnx(path: Path) -> Classifier:
    opened = open_onnx(path, threads=torch.get_num_threads())
    check = opened.check()
    if check is not None and not check.ok:
        log.warning("%s: its figures are those of this machine alone", check)

    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy(opened.run(x.numpy()))

    known = _cost_of_onnx(path, opened.info)
    return Classifier(str(path), opened.info, forward, known, **_training_of(path))


def _cost_of_onnx(path: Path, info: ModelInfo) -> Cost | None:
    beside = path.parent / "genome.json"  # files of version 0.1 do not hold it
    if info.genome is not None:
        return cost(Genome.from_dict(info.genome, f"{path}: genome"))
    if beside.is_file() and (genome := Genome.load(beside)).id == info.genome_id:
        return cost(genome)
    return None


def _training_of(path: Path) -> dict[str, Any]:
    """Fields of Classifier that a report beside the file tells."""
    if not (path.parent / REPORT).is_file():
        return {}
    with retrained(path.parent / REPORT) as report:
        splits = ("train", "validation") if validation_trained_on(report) else ("train",)
        return {"splits": splits, "fingerprint": report.get("data", {}).get("fingerprint")}


def _write(out: Path, found: dict[str, Any]) -> None:
    replace_file(out / EVALUATION, json.dumps(found, indent=1))
    for i, result in enumerate(r for r in found["results"] if r["subset"] == "all"):
        title = f"{result['model']}, {found['data']} {found['split']}: {result['accuracy']:.2%}"
        figure = confusion_figure(result["confusion"], tuple(found["classes"]), title[-90:])
        write_figure(out / f"confusion_{i}.png", figure)
