"""Batched augmentation on the training device: one affine warp, erasing, mixup, CutMix.

Nothing here waits for the device, so that a step can be recorded as a CUDA graph.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.training.recipe import Augment, Recipe


def augment(images: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    """images: float (N, C, H, W), pixels 0..255 -> the same shape, changed at random."""
    moved = move(images, settings, draw(len(images), generator))
    return erase(moved, settings.erase, generator)


# The second was a vertical mirror's: stored soft labels (teacher.py) hold on to the others' places.
DRAWS = 9


def draw(n: int, generator: torch.Generator) -> Tensor:
    """The random numbers (N, DRAWS) in 0..1 that decide how `move` changes each of N images."""
    return torch.rand(n, DRAWS, generator=generator, device=generator.device)


def move(images: Tensor, settings: Augment, draws: Tensor) -> Tensor:
    """Mirror, shift, zoom and rotate: float (N, C, H, W), draws (N, DRAWS) -> (N, C, H, W)."""
    mirrored = draws[:, 0] < settings.flip
    if settings.geometric:
        return _warp(images, settings, mirrored, draws[:, 2:6], draws[:, 6:9])
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)


def _warp(
    images: Tensor, settings: Augment, mirrored: Tensor, amount: Tensor, apply: Tensor
) -> Tensor:
    """One bilinear resampling for flip, shift, scale and rotation; the border is repeated."""
    signed = 2 * amount - 1
    on = (apply < settings.probability).to(images.dtype)
    angle = signed[:, 0] * on[:, 0] * (settings.rotate * torch.pi / 180)
    zoom = 1 + signed[:, 1] * on[:, 1] * settings.scale
    shift = 2 * settings.shift * signed[:, 2:] * on[:, 2:]  # grid coordinates span 2
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    sign = torch.where(mirrored, -1.0, 1.0)
    rows = [  # rotation and zoom, then the mirror: its sign belongs to a whole column
        torch.stack([cos * sign, -sin, shift[:, 0]], 1),
        torch.stack([sin * sign, cos, shift[:, 1]], 1),
    ]
    theta = torch.stack(rows, 1).to(images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def erase(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Zhong et al. 2017: a rectangle of 2 to 25 % of the image becomes random grey.

    images: float (N, C, H, W), pixels 0..255 -> the same shape.
    """
    if probability == 0:
        return images
    n, _, height, width = images.shape
    chance = torch.rand(n, 5, generator=generator, device=images.device)
    area = 0.02 + 0.23 * chance[:, 1]
    ratio = torch.exp((2 * chance[:, 2] - 1) * 1.0986)  # 1:3 to 3:1
    h = (area * ratio).sqrt().clamp(max=1.0) * height
    w = (area / ratio).sqrt().clamp(max=1.0) * width
    top, left = chance[:, 3] * (height - h), chance[:, 4] * (width - w)
    y = torch.arange(height, device=images.device).view(1, -1, 1)
    x = torch.arange(width, device=images.device).view(1, 1, -1)
    inside_y = (y >= top.view(-1, 1, 1)) & (y < (top + h).view(-1, 1, 1))
    inside_x = (x >= left.view(-1, 1, 1)) & (x < (left + w).view(-1, 1, 1))
    chosen = (chance[:, 0] < probability).view(-1, 1, 1)
    grey = torch.rand(n, 1, 1, 1, generator=generator, device=images.device) * 255
    return torch.where((inside_y & inside_x & chosen).unsqueeze(1), grey.to(images.dtype), images)


def random_crop(images: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) -> (N, C, height, width), each image at its own place."""
    n, channels, full_h, full_w = images.shape
    device = images.device
    top = torch.randint(full_h - height + 1, (n, 1), generator=generator, device=device)
    left = torch.randint(full_w - width + 1, (n, 1), generator=generator, device=device)
    rows = (top + torch.arange(height, device=device)).view(n, 1, height, 1)
    columns = (left + torch.arange(width, device=device)).view(n, 1, 1, width)
    batch = torch.arange(n, device=device).view(n, 1, 1, 1)
    plane = torch.arange(channels, device=device).view(1, channels, 1, 1)
    return images[batch, plane, rows, columns]


def centre_crop(images: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) -> (N, C, height, width) around the centre."""
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


def mix(x: Tensor, y: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019), one share a batch.

    x: images (N, C, H, W). y: class shares (N, classes). Where a recipe has both, each batch takes
    one of them at random.
    """
    other_x, other_y = x.roll(1, 0), y.roll(1, 0)  # the batch is in random order already
    if not recipe.cutmix_alpha:
        x, share = _blend(x, other_x, _beta(recipe.mixup_alpha, generator, x.device))
    else:
        cut = _beta(recipe.cutmix_alpha, generator, x.device)
        mixed, share = _cut(x, other_x, cut, generator)
        if recipe.mixup_alpha:
            heads = torch.rand((), generator=generator, device=x.device) < 0.5
            blend = _blend(x, other_x, _beta(recipe.mixup_alpha, generator, x.device))
            mixed, share = torch.where(heads, blend[0], mixed), torch.where(heads, blend[1], share)
        x = mixed
    return x, share * y + (1 - share) * other_y


def _blend(x: Tensor, other: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    return share * x + (1 - share) * other, share


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
