"""Soft labels that cost nothing: an ensemble's answers to stored augmentations of each image.

Fast knowledge distillation (Shen and Xing 2022): the teacher looks at `variants` augmented copies
of every training image once; students replay the same copies with the stored answers (consistent
teaching, Beyer et al. 2022), for the price of a training without a teacher.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from nas.common.errors import UserError, first_line, shown
from nas.common.files import check_file, parse_json, replace_file
from nas.common.pixels import normalise
from nas.common.schema import SEED, read
from nas.training.augment import DRAWS, draw, move
from nas.training.predict import Precision, Subset, autocast
from nas.training.recipe import Augment, Recipe, teacher_file

log = logging.getLogger(__name__)

FORMAT = "fer-nas soft labels 1"
MAX_VARIANTS = 256
MAX_FILE = 1 << 30
MAX_ABOUT = 1 << 20  # characters
MAX_DRAWS = 1 << 30  # random numbers of all variants: 4 GiB
BATCH = 512
ABSENT = -1  # of a row: not among the images
LEVELS = 255  # probabilities are stored as bytes


@dataclass(frozen=True)
class Lessons:
    """A teacher's answers for the rows of one subset, on its device."""

    augment: Augment
    draws: Tensor  # (variants, n, DRAWS)
    probabilities: Tensor  # uint8 (variants, n, classes)
    position: Tensor  # of a data set's row among the n

    def draw(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One stored variant of each of B rows, at random.

        How the images are moved (B, DRAWS), and the answers to them, probabilities (B, classes).
        """
        variants = len(self.draws)
        which = torch.randint(variants, rows.shape, generator=generator, device=rows.device)
        place = self.position[rows]
        answers = self.probabilities[which, place].float()
        return self.draws[which, place], answers / answers.sum(1, keepdim=True)


@dataclass(frozen=True)
class SoftLabels:
    """An ensemble's answers, and all that is needed to see the images as it saw them.

    probabilities: uint8 (variants, n, classes), in steps of 1/255. rows: int64 (n,), of the data
    set. seed: of the variants' random numbers. origin: networks, data set and figures, for reports.
    """

    probabilities: Tensor
    rows: Tensor
    augment: Augment
    seed: int
    origin: dict[str, Any]

    @cached_property
    def draws(self) -> Tensor:
        """(variants, n, DRAWS); drawn on the CPU, so that they are the same everywhere."""
        variants, n = self.probabilities.shape[:2]
        return torch.stack([_draws(self.seed, k, n) for k in range(variants)])

    def lessons(self, fit: Subset, classes: int) -> Lessons:
        """For the rows of `fit`. UserError where the teacher has not seen one of them."""
        if self.probabilities.shape[2] != classes:
            raise UserError(
                f"teacher: knows {self.probabilities.shape[2]} classes; the network has {classes}"
            )
        device = fit.images.device
        position = _positions(self.rows, len(fit.images))
        missing = int((position[fit.rows.cpu()] < 0).sum())
        if missing:
            raise UserError(
                f"teacher: has no labels for {missing} of {len(fit)} training images; expected "
                "the file that nas.teach made of this data set and this part of it"
            )
        return Lessons(
            self.augment, self.draws.to(device), self.probabilities.to(device), position.to(device)
        )

    def among(self, origin: Tensor) -> SoftLabels:
        """For a set of images of its own, which are the rows `origin` of the data set."""
        position = _positions(origin, int(origin.max()) + 1)
        known = self.rows < len(position)
        rows = torch.where(known, position[self.rows.where(known, 0)], ABSENT)
        return dataclasses.replace(self, rows=rows)

    def save(self, path: Path) -> None:
        """A safetensors file: two tensors, the rest as JSON in its metadata."""
        about = {"augment": asdict(self.augment), "seed": self.seed, "origin": self.origin}
        content = save(
            {"probabilities": self.probabilities.contiguous(), "rows": self.rows},
            {"format": FORMAT, "about": json.dumps(about)},
        )
        replace_file(path, content)

    @classmethod
    def load(cls, path: Path) -> SoftLabels:
        """UserError names the part of a file that does not fit."""
        check_file(path, MAX_FILE, "a file of nas.teach")
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: not a safetensors file: {first_line(error)}") from None
        if metadata.get("format") != FORMAT or set(tensors) != {"probabilities", "rows"}:
            raise UserError(f"{path}: format {shown(metadata.get('format'))}; expected {FORMAT!r}")
        text = metadata.get("about", "")
        if len(text) > MAX_ABOUT:
            raise UserError(f"{path}: about has {len(text)} characters; allowed {MAX_ABOUT}")
        about = parse_json(text, f"{path}: about")
        if not isinstance(about, dict) or set(about) != {"augment", "seed", "origin"}:
            raise UserError(f"{path}: about: expected augment, seed and origin")
        probabilities, rows = tensors["probabilities"], tensors["rows"]
        _check(path, probabilities, rows, about)
        augment = read(Augment, about["augment"], f"{path}: augment")
        return cls(probabilities, rows, augment, about["seed"], about["origin"])


def _positions(rows: Tensor, count: int) -> Tensor:
    """Of each of the numbers 0 to `count`, its place among the rows; ABSENT where it has none."""
    found = torch.full((count,), ABSENT)
    known = (rows >= 0) & (rows < count)
    found[rows[known]] = torch.arange(len(rows))[known]
    return found


def _check(path: Path, probabilities: Tensor, rows: Tensor, about: dict[str, Any]) -> None:
    fits = (
        probabilities.dtype == torch.uint8
        and probabilities.ndim == 3
        and 1 <= len(probabilities) <= MAX_VARIANTS
        and probabilities.shape[0] * probabilities.shape[1] * DRAWS <= MAX_DRAWS
        and rows.dtype == torch.int64
        and rows.shape == probabilities.shape[1:2]
        and rows.numel() > 0
        and int(rows.min()) >= 0
        and len(torch.unique(rows)) == len(rows)
        and bool((probabilities.sum(2, dtype=torch.int64) > 0).all())
    )
    if not fits:
        raise UserError(
            f"{path}: expected probabilities uint8 (variants, n, classes), none of them all zero, "
            "and rows int64 (n,)"
        )
    SEED.read(about["seed"], f"{path}: about: seed")
    if not isinstance(about["origin"], dict):
        raise UserError(f"{path}: about: origin: expected a mapping")


def stored_teacher(recipe: Recipe, fingerprint: str | None = None) -> SoftLabels | None:
    """What the recipe's `teacher` names; UserError where the recipe would not listen to it.

    fingerprint: of the student's data set, where it is known; the teacher saw the same.
    """
    if recipe.teacher is None:
        return None
    if not recipe.distill:
        raise UserError("recipe: teacher is set and distill is 0; expected a share above it")
    found = SoftLabels.load(teacher_file(recipe.teacher, "recipe"))
    seen = found.origin.get("fingerprint")
    if None not in (seen, fingerprint) and seen != fingerprint:
        raise UserError(
            f"{recipe.teacher}: made of data set {shown(found.origin.get('data'))} (fingerprint "
            f"{shown(seen)}); expected one of this data set ({fingerprint})"
        )
    return found


def teacher_of_a_part(recipe: Recipe, fingerprint: str) -> SoftLabels | None:
    """`stored_teacher` for a training that is scored on what a search holds out of train.

    Warns where the teacher's networks may have been trained on all of train, and on what is scored.
    """
    found = stored_teacher(recipe, fingerprint)
    if found is not None and found.origin.get("part") == "train":
        log.warning(
            "%s: its networks may know the images that are held out here, which raises the "
            "accuracy; nas.teach --part fit makes one of networks that do not", recipe.teacher,
        )  # fmt: skip
    return found


@torch.no_grad()
def teach(
    models: Sequence[nn.Module],
    fit: Subset,
    *,
    variants: int,
    augment: Augment,
    seed: int = 0,
    precision: Precision | None = None,
    origin: dict[str, Any] | None = None,
) -> SoftLabels:
    """The averaged probabilities of `models` for `variants` moved copies of each row of `fit`.

    models: normalised pixels (N, C, H, W) -> logits, of the images' own size. augment: its
    geometric part is stored and replayed; erasing stays the student's own.
    """
    precision = precision or Precision()
    for model in models:
        model.eval()
    device, found = fit.images.device, []
    for variant in range(variants):
        draws = _draws(seed, variant, len(fit)).to(device)
        answers = []
        for rows, drawn in zip(
            torch.split(fit.rows, BATCH), torch.split(draws, BATCH), strict=True
        ):
            x = normalise(move(fit.images[rows].float(), augment, drawn))
            if precision.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            with autocast(device, precision):
                logits = [model(x).float() for model in models]
            answers.append(torch.stack([torch.softmax(y, 1) for y in logits]).mean(0))
        found.append((torch.cat(answers) * LEVELS).round().byte().cpu())
        log.info("variant %d of %d", variant + 1, variants)
    return SoftLabels(torch.stack(found), fit.rows.cpu(), augment, seed, origin or {})


def _draws(seed: int, variant: int, n: int) -> Tensor:
    return draw(n, torch.Generator().manual_seed(seed * MAX_VARIANTS + variant))
