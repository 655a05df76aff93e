"""What a training runs on: the device, and the arithmetic that is the fastest there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nas.arch.genome import Genome
from nas.common.errors import UserError, first_line
from nas.training.predict import Precision, Subset, logits
from nas.training.recipe import Recipe
from nas.training.state import Training

TIMED_STEPS = 4
FLOAT32 = Precision()
# Largest difference from float32's logits that rounding to bfloat16 explains, of the largest of
# them or 1.
TOLERANCE = 0.1

log = logging.getLogger(__name__)


def torch_device(name: str) -> torch.device:
    """A usable device; auto is CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device: cannot use {name!r}: {first_line(error)}") from None


def step_seconds(run: Training) -> float:
    """Time one step; of a training whose images are one batch an epoch is one."""
    started = time.perf_counter()
    run.train_epoch()
    return time.perf_counter() - started


def fastest_precision(
    device: torch.device, genomes: Sequence[Genome], batch: int,
    seconds: Callable[[Training], float] = step_seconds,
) -> Precision:  # fmt: skip
    """Train some genomes for some steps in every precision on this device; the fastest wins.

    float32 or bfloat16, contiguous or channels-last. They take turns, and the quickest of their
    steps count, so that a slow moment of a shared machine does not decide. One that fails here, or
    whose answers are not float32's, is never chosen.
    """
    precisions = [Precision(b, c) for b in (False, True) for c in (False, True)]
    total = dict.fromkeys(precisions, 0.0)
    for genome in genomes:
        subset, recipe = _noise(genome, batch, device), Recipe(batch_size=batch)
        runs = {p: Training(genome, subset, recipe, 0, p) for p in total}
        right = logits(runs[FLOAT32].model, genome, subset)
        steps: dict[Precision, list[float]] = {precision: [] for precision in total}
        for turn in range(TIMED_STEPS):
            for precision in list(total):
                run = runs[precision]
                try:
                    if turn == 0:
                        _check(logits(run.model, genome, subset, precision), right)
                    steps[precision].append(seconds(run))
                except RuntimeError as error:
                    if precision == FLOAT32:
                        raise
                    log.info("%s is not used: %s", precision, first_line(error))
                    del total[precision]
        for precision in total:
            total[precision] += min(steps[precision])
    return min(total, key=lambda precision: total[precision])


def _check(found: Tensor, right: Tensor) -> None:
    limit = TOLERANCE * max(1.0, float(right.abs().max()))
    difference = float((found - right).abs().max())
    if not difference <= limit:
        raise RuntimeError(f"its logits differ by {difference:.2g} from those of float32")


def _noise(genome: Genome, batch: int, device: torch.device) -> Subset:
    """One batch of random pixels."""
    generator, shape = torch.Generator().manual_seed(0), (batch, *genome.input.shape)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    rows = torch.arange(batch, device=device)
    return Subset(images.to(device), torch.zeros_like(rows), rows)
