"""Which arithmetic trains fastest on a device: float32 or bfloat16, contiguous or channels-last."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from nas.arch.genome import Genome
from nas.common.errors import UserError, first_line
from nas.training.predict import Precision, Subset
from nas.training.recipe import Recipe
from nas.training.state import Training

TIMED_STEPS = 4


def fastest_mode(device: torch.device, genomes: Sequence[Genome], batch: int) -> Precision:
    """Time training steps of some genomes in every mode on this device; the fastest wins.

    The modes take turns and the quickest of their steps count, so that a slow moment of a shared
    machine does not decide.
    """
    modes = [Precision(b, c) for b in (False, True) for c in (False, True)]
    total = dict.fromkeys(modes, 0.0)
    for genome in genomes:
        part, recipe = _blank(genome, batch, device), Recipe(batch_size=batch)
        runs = {mode: Training(genome, part, recipe, 0, mode) for mode in modes}
        seconds: dict[Precision, list[float]] = {mode: [] for mode in modes}
        for _ in range(TIMED_STEPS):
            for mode, run in runs.items():
                started = time.perf_counter()
                run.train_epoch()
                seconds[mode].append(time.perf_counter() - started)
        for mode in modes:
            total[mode] += min(seconds[mode])
    return min(modes, key=lambda mode: total[mode])


def torch_device(name: str) -> torch.device:
    """A usable device; auto is CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device: cannot use {name!r}: {first_line(error)}") from None


def _blank(genome: Genome, batch: int, device: torch.device) -> Subset:
    size = genome.input
    shape = (batch, size.channels, size.height, size.width)
    return Subset(
        torch.zeros(shape, dtype=torch.uint8, device=device),
        torch.zeros(batch, dtype=torch.long, device=device),
        torch.arange(batch, device=device),
    )
