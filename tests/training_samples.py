"""A network, a recipe and images that train in a moment."""

import numpy as np
import torch

from nas.arch.genome import Conv, Dense, Genome, Head, Input, Stage
from nas.training.predict import Subset
from nas.training.recipe import Augment, Recipe

PLAIN = Augment(flip=0.0, probability=0.0)
TINY = Genome(
    Input(1, 12, 12), 3, (Stage((Conv(6, 3, 2), Conv(8, 3))),), Head("avg", 0.1, (Dense(8, True),))
)
BASE = Recipe(
    epochs=4, batch_size=16, optimizer="nesterov", lr=0.05, label_smoothing=0.0, augment=PLAIN
)  # fmt: skip


def stripes(n, seed=0, side=12):
    """Three classes that a small network can tell: bars across, bars down, noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    images = rng.integers(0, 60, (n, 1, side, side))
    thresholds = (np.arange(side) % 4 < 2) * 150
    images[labels == 0] += thresholds[None, None, :, None]
    images[labels == 1] += thresholds[None, None, None, :]
    rows = torch.arange(n)
    return Subset(torch.tensor(images.astype(np.uint8)), torch.tensor(labels), rows)
