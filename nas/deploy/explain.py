"""Which pixels a network's answers rest on: gradient maps, Grad-CAM, and a check of them.

Pictures show right and wrong answers of every class.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.arch.genome import Genome
from nas.arch.lowering import lower
from nas.common.errors import UserError
from nas.common.files import make_folder, replace_file
from nas.common.pixels import normalise
from nas.deploy.checkpoint import open_with_data
from nas.deploy.evaluate import caution
from nas.report.plots import saliency_png
from nas.training.predict import Subset, logits, views_of

DELETED = 0.2  # of the pixels, in the check
CHECKED = 128  # images in the check
NOISE, SAMPLES = 0.15, 16  # of SmoothGrad: in normalised pixels, and how many
LEAST_SIDE = 3  # a coarser map would tell no place


def explain(
    name: str | Path, data: str | None, split: str, method: str, per_class: int, out: Path
) -> dict[str, Any]:
    """Write CLASS.png for every class, overview.png and explain.json; returns what it holds.

    name: of a trained network, or its folder or file. data: None is what it was trained on. Shown
    are the most confident right answers and the most confident wrong ones of a class's images; a
    map explains the answer that was given. split: ALL takes every image.
    """
    _, trained, dataset = open_with_data(name, data, "--model")
    subset, rows = Subset.of(dataset, split), dataset.indices(split)
    if not len(rows):
        raise UserError(f"data set {dataset.name}, split {split}: no images")
    caution(split)
    make_folder(out)
    genome, model = trained.genome, trained.model
    probabilities = torch.softmax(logits(model, genome, subset), 1).numpy()
    size = genome.input
    images = normalise(subset.images[subset.rows].float())
    x = views_of(images, size.height, size.width, "single")[0]
    answers, labels = probabilities.argmax(1), dataset.labels[rows].astype(np.int64)

    def maps_of(chosen: npt.NDArray[np.int64]) -> Tensor:
        return saliency(genome, model, x[chosen], torch.tensor(answers[chosen]), method)

    classes, overview = [], []
    for label, name in enumerate(dataset.classes):
        shown = {}
        for kind, match in (("right", answers == labels), ("wrong", answers != labels)):
            mine = np.flatnonzero(match & (labels == label))
            mine = mine[np.argsort(-probabilities[mine].max(1), kind="stable")][:per_class]
            shown[kind] = [
                {"row": int(rows[i]), "answer": dataset.classes[answers[i]],
                 "probability": float(probabilities[i].max()), "image": x[i, 0].numpy(),
                 "map": found.numpy()}
                for i, found in zip(mine, maps_of(mine) if len(mine) else (), strict=True)
            ]  # fmt: skip
        picture = out / f"{name}.png"
        saliency_png(picture, shown, f"{name}: {method}, {dataset.name} {split}")
        overview.append((name, shown["right"][:4] + shown["wrong"][:4]))
        classes.append({
            "class": name, "right": len(shown["right"]), "wrong": len(shown["wrong"]),
            "picture": str(picture),
            "images": {kind: [{k: v for k, v in item.items() if k not in ("image", "map")}
                              for item in items] for kind, items in shown.items()},
        })  # fmt: skip
    whole = out / f"{_overview(dataset.classes)}.png"
    saliency_png(whole, dict(overview), f"{method}: four right, four wrong answers")
    check = np.flatnonzero(answers == labels)[:CHECKED]
    target = torch.tensor(answers[check])
    salient, by_chance = (
        deletion(model, x[check], target, maps_of(check)) if len(check) else (None, None)
    )
    summary = {
        "genome": genome.id, "data": dataset.name, "split": split, "images": len(rows),
        "data_images": len(dataset), "method": method,
        "classes": classes, "overview": str(whole),
        "deletion": {"share": DELETED, "images": len(check), "salient": salient,
                     "random": by_chance},
    }  # fmt: skip
    replace_file(out / "explain.json", json.dumps(summary, indent=1))
    return summary


def _overview(classes: Sequence[str]) -> str:
    """The name of the picture of all classes, which is none of theirs."""
    name = "overview"
    while name in classes:
        name += "_"
    return name


def saliency(genome: Genome, model: nn.Module, x: Tensor, target: Tensor, method: str) -> Tensor:
    """x: normalised (N, C, H, W), target: classes (N,) -> maps (N, H, W) in 0..1.

    gradient: SmoothGrad (Smilkov et al. 2017), the mean absolute gradient over noisy copies.
    gradcam: Selvaraju et al. 2017, at the last feature map of at least 3x3.
    """
    model.eval()
    maps = (
        _gradient(model, x, target) if method == "gradient" else _grad_cam(genome, model, x, target)
    )
    low = maps.amin((1, 2), keepdim=True)
    spread = (maps.amax((1, 2), keepdim=True) - low).clamp(min=1e-12)
    return (maps - low) / spread


def _gradient(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(x.shape[0], *x.shape[2:])
    for _ in range(SAMPLES):
        noisy = x + NOISE * torch.randn(x.shape, generator=generator)
        noisy.requires_grad_()
        chosen = model(noisy).gather(1, target[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, noisy)
        total += gradient.abs().sum(1)
    return total / SAMPLES


def _grad_cam(genome: Genome, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    kept: list[Tensor] = []
    layer = model.get_submodule(feature_layer(genome))
    hook = layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    try:
        chosen = model(x).gather(1, target[:, None]).sum()
    finally:
        hook.remove()
    (features,) = kept  # (N, channels, h, w)
    (gradient,) = torch.autograd.grad(chosen, features)
    found = F.relu((gradient.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True))
    return F.interpolate(found.detach(), x.shape[2:], mode="bilinear")[:, 0]


def feature_layer(genome: Genome) -> str:
    """The name of the last unit whose output still has places."""
    for unit in reversed(lower(genome)):
        if min(unit.out_shape[1:]) >= LEAST_SIDE:
            return unit.name
    raise UserError(f"genome {genome.id}: no feature map of {LEAST_SIDE}x{LEAST_SIDE} or more")


@torch.no_grad()
def deletion(model: nn.Module, x: Tensor, target: Tensor, maps: Tensor) -> tuple[float, float]:
    """How much the target's probability falls when pixels are blurred away (0..1).

    (by the share DELETED that is most salient, by as many random pixels): a map that means
    something has a first number well above the second.
    """
    generator = torch.Generator().manual_seed(0)
    before = _probability(model, x, target)
    falls = []
    for order in (maps, torch.rand(maps.shape, generator=generator)):
        flat = order.flatten(1)
        count = max(1, round(DELETED * flat.shape[1]))
        chosen = torch.zeros_like(flat).scatter_(1, flat.topk(count, 1).indices, 1.0)
        mask = chosen.view_as(order)[:, None]
        blurred = F.avg_pool2d(x, 15, 1, 7, count_include_pad=False)
        erased = x * (1 - mask) + blurred * mask
        falls.append(float((before - _probability(model, erased, target)).mean()))
    return falls[0], falls[1]


def _probability(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    return torch.softmax(model(x), 1).gather(1, target[:, None])[:, 0]
