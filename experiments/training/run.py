"""Training throughput of the proposed model: our loop against a plain PyTorch loop, in one run.

    python experiments/training/run.py [--rounds 5] [--batches 20]

The plain loop is what most FER repositories use: a DataLoader, per-image augmentation with OpenCV,
float32, contiguous tensors. Both do the same augmentation (flip, shift, scale, rotation), the same
model, optimizer and batch. They take turns; medians are reported. The share of the machine's GEMM
peak counts three forward passes' multiply-accumulates for an image (forward, two backward).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.arch.module import build
from nas.common.resources import PROPOSED
from nas.training.precision import fastest_mode
from nas.training.predict import Precision, Subset
from nas.training.recipe import Augment, Recipe
from nas.training.state import Training

BATCH = 64
AUGMENT = Augment()


class PlainDataset(Dataset[tuple[torch.Tensor, int]]):
    """One image at a time, augmented with OpenCV."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = self._augment(self.images[index, 0])
        pixels = (torch.from_numpy(image).float().unsqueeze(0) - 127.5) / 63.75
        return pixels, int(self.labels[index])

    def _augment(self, image: np.ndarray) -> np.ndarray:
        rng, settings = self.rng, AUGMENT
        on = rng.random(3) < settings.probability
        side = image.shape[0]
        angle = float(on[0]) * rng.uniform(-1, 1) * settings.rotate
        zoom = 1 + float(on[1]) * rng.uniform(-1, 1) * settings.scale
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), angle, zoom)
        matrix[:, 2] += float(on[2]) * rng.uniform(-1, 1, 2) * settings.shift * side
        image = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
        return cv2.flip(image, 1) if rng.random() < settings.flip else image


class PlainLoop:
    """float32, contiguous, DataLoader."""

    def __init__(self, genome: Genome, images: np.ndarray, labels: np.ndarray) -> None:
        self.model = build(genome)
        self.loader = DataLoader(
            PlainDataset(images, labels), batch_size=BATCH, shuffle=True, drop_last=True
        )
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4
        )

    def epoch(self) -> None:
        self.model.train()
        for x, y in self.loader:
            loss = F.cross_entropy(self.model(x), y, label_smoothing=0.1)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()


class OurLoop:
    def __init__(
        self, genome: Genome, images: np.ndarray, labels: np.ndarray, mode: Precision
    ) -> None:
        part = Subset(torch.tensor(images), torch.tensor(labels), torch.arange(len(images)))
        self.run = Training(
            genome,
            part,
            Recipe(batch_size=BATCH, optimizer="nesterov", lr=0.01, augment=AUGMENT),
            0,
            mode,
        )

    def epoch(self) -> None:
        self.run.train_epoch()


def gemm_peak(dtype: torch.dtype, size: int = 2048, repeats: int = 8) -> float:
    """Multiply-accumulates a second of the best of some square products."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    best = 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        torch.mm(a, b)
        best = max(best, size**3 / (time.perf_counter() - started))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    genome = Genome.load(PROPOSED)
    rng = np.random.default_rng(0)
    n = args.batches * BATCH
    images = rng.integers(0, 256, (n, 1, 48, 48), dtype=np.uint8)
    labels = rng.integers(0, 7, n)
    mode = fastest_mode(torch.device("cpu"), [genome], BATCH)
    loops: dict[str, PlainLoop | OurLoop] = {
        "plain": PlainLoop(genome, images, labels),
        "ours float32": OurLoop(genome, images, labels, Precision(False, True)),
        "ours": OurLoop(genome, images, labels, mode),
    }
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for round_ in range(args.rounds + 1):
        for name, loop in loops.items():
            started = time.perf_counter()
            loop.epoch()
            if round_:  # the first is a warm-up
                rates[name].append(n / (time.perf_counter() - started))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    peaks = {"float32": gemm_peak(torch.float32), "bfloat16": gemm_peak(torch.bfloat16)}
    peak = peaks["bfloat16" if mode.bf16 else "float32"]
    result: dict[str, Any] = {
        "threads": args.threads,
        "mode": {"bf16": mode.bf16, "channels_last": mode.channels_last},
        "images_per_second": medians,
        "rounds": rates,
        "ratio_to_plain": medians["ours"] / medians["plain"],
        "gemm_peak_macs_per_second": peaks,
        "share_of_gemm_peak": 3 * cost(genome).macs * medians["ours"] / peak,
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
