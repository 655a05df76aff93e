"""Mixup and CutMix: batches whose images, and labels, are mixtures of two."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.training.recipe import Recipe


def mix(x: Tensor, y: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019), one share a batch.

    x: images (N, C, H, W). y: class shares (N, classes). Where a recipe has both, each batch takes
    one of them at random.
    """
    other = torch.randperm(len(x), generator=generator, device=x.device)
    coin = float(torch.rand((), generator=generator, device=x.device))
    if recipe.mixup_alpha and (not recipe.cutmix_alpha or coin < 0.5):
        share = _beta(recipe.mixup_alpha, generator, x.device)
        x = share * x + (1 - share) * x[other]
    else:
        x, share = _cut(x, x[other], _beta(recipe.cutmix_alpha, generator, x.device), generator)
    return x, share * y + (1 - share) * y[other]


def _cut(
    x: Tensor, other: Tensor, share: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Paste one rectangle of `other`; returns the share of `x` that is left."""
    height, width = x.shape[2:]
    side = (1 - share).sqrt()
    centre = torch.rand(2, generator=generator, device=x.device)
    y = torch.arange(height, device=x.device) + 0.5
    z = torch.arange(width, device=x.device) + 0.5
    rows = (y - centre[0] * height).abs() < side * height / 2
    columns = (z - centre[1] * width).abs() < side * width / 2
    cut = rows[:, None] & columns[None, :]
    return torch.where(cut, other, x), 1 - cut.float().mean()


def _beta(alpha: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """A draw of Beta(alpha, alpha), by two gamma draws."""
    gamma = torch._standard_gamma(torch.full((2,), alpha, device=device), generator=generator)
    return (gamma[0] / gamma.sum()).clamp(0, 1)
