"""What a model says of images: logits over one or several views of each, and their score."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.arch.genome import Genome
from nas.common.errors import UserError
from nas.common.pixels import normalise
from nas.common.schema import LARGEST, Flag
from nas.data import Dataset
from nas.report.metrics import class_scores
from nas.training.augment import centre_crop

EVALUATION_BATCH = 256
TEN_CROP_SHARE = 40 / 48  # of the side, where images are no larger than the input


class DivergedError(RuntimeError):
    """The loss or a metric is not finite; the candidate failed."""


@dataclass(frozen=True)
class Precision:
    """How tensors are laid out and multiplied; which is fastest depends on the device."""

    bf16: Annotated[bool, Flag()] = False
    channels_last: Annotated[bool, Flag()] = False


@dataclass(frozen=True)
class Subset:
    """Some images of a data set: all images uint8 (N, C, H, W), labels int64 (N,), chosen rows.

    targets: float (N, classes), soft labels to train on instead of the labels.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    targets: Tensor | None = None

    @classmethod
    def of(
        cls, dataset: Dataset, split: str, device: torch.device | str = "cpu",
        soft_labels: bool = False,
    ) -> Subset:  # fmt: skip
        """A split of a data set, on a device."""
        labels = torch.tensor(dataset.labels.astype(np.int64), device=device)
        rows = torch.tensor(dataset.indices(split), device=device)
        targets = torch.tensor(dataset.soft_labels(), device=device) if soft_labels else None
        return cls(torch.tensor(dataset.images, device=device), labels, rows, targets)

    def at(self, rows: npt.ArrayLike | Tensor) -> Subset:
        """Other rows of the same images."""
        return dataclasses.replace(self, rows=torch.as_tensor(rows, device=self.images.device))

    def __len__(self) -> int:
        return len(self.rows)


def views_of(images: Tensor, height: int, width: int, views: str) -> list[Tensor]:
    """Views (N, C, height, width) of images (N, C, H, W), each at least as large.

    single: the centre. flip: also its mirror image. ten_crop: the corners and the centre, each
    mirrored too; images of the input's own size are cropped to 40/48 of it and scaled back.
    """
    full_h, full_w = images.shape[2:]
    if full_h < height or full_w < width:
        raise UserError(
            f"images of {full_h}x{full_w} are smaller than the input {height}x{width}: prepare "
            f"them anew with --size {max(height, width)}"
        )
    if views != "ten_crop":
        x = centre_crop(images, height, width)
        return [x] if views == "single" else [x, x.flip(3)]
    h, w = height, width
    if (full_h, full_w) == (height, width):
        h, w = round(height * TEN_CROP_SHARE), round(width * TEN_CROP_SHARE)
    low, right = full_h - h, full_w - w
    places = [(0, 0), (0, right), (low, 0), (low, right), (low // 2, right // 2)]
    crops = [images[:, :, y : y + h, x : x + w] for y, x in places]
    if (h, w) != (height, width):
        crops = [F.interpolate(c, (height, width), mode="bilinear") for c in crops]
    return crops + [crop.flip(3) for crop in crops]


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    # Weights are used once a step, and a recorded step must not meet a cached cast.
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision.bf16, cache_enabled=False
    )


@torch.no_grad()
def logits(
    model: nn.Module,
    genome: Genome,
    subset: Subset,
    precision: Precision | None = None,
    views: str = "single",
) -> Tensor:
    """Logits (rows, classes), float32, of a subset's images: the mean over their views."""
    precision = precision or Precision()
    model.eval()
    size = genome.input
    out = []
    for rows in torch.split(subset.rows, EVALUATION_BATCH):
        images = normalise(subset.images[rows].float())
        found = [
            _forward(model, x, precision) for x in views_of(images, size.height, size.width, views)
        ]
        out.append(torch.stack(found).mean(0))
    return torch.cat(out)


def _forward(model: nn.Module, x: Tensor, precision: Precision) -> Tensor:
    if precision.channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    with autocast(x.device, precision):
        y: Tensor = model(x)
    return y.float()


def score(
    model: nn.Module, genome: Genome, subset: Subset, precision: Precision, views: str = "single"
) -> dict[str, float]:
    """accuracy, macro_f1, balanced_accuracy (0..1) and loss, the cross entropy in nats.

    A loss beyond what files may hold, infinity too, is cut to that: the accuracy is as good as any.
    DivergedError when the outputs are not finite.
    """
    y = logits(model, genome, subset, precision, views)
    if not bool(torch.isfinite(y).all()):
        raise DivergedError("the model's outputs are not finite")
    labels, classes = subset.labels[subset.rows], y.shape[1]
    pairs = (labels * classes + y.argmax(1)).cpu().numpy()
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    loss = min(float(F.cross_entropy(y, labels)), float(LARGEST))
    return {**class_scores(confusion), "loss": loss}
