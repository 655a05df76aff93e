"""Batched augmentation on the training device: one affine warp, erasing, noise, mixup."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.training.recipe import Augment


def augment(images: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    """images: float (N, C, H, W), pixels 0..255 -> the same shape, changed at random."""
    n, device = len(images), images.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=generator, device=device)

    if settings.geometric:
        images = _warp(images, settings, uniform(4), uniform(3), uniform(2))
    elif settings.flip > 0 or settings.vertical_flip > 0:
        images = _flip(images, settings, uniform(2))
    if settings.erase > 0:
        images = _erase(images, settings.erase, uniform(5), generator)
    if settings.noise > 0:
        noise = torch.randn(images.shape, generator=generator, device=device)
        images = (images + noise * settings.noise).clamp(0, 255)
    return images


def _flip(images: Tensor, settings: Augment, chance: Tensor) -> Tensor:
    wide = (chance[:, 0] < settings.flip).view(-1, 1, 1, 1)
    images = torch.where(wide, images.flip(3), images)
    tall = (chance[:, 1] < settings.vertical_flip).view(-1, 1, 1, 1)
    return torch.where(tall, images.flip(2), images)


def _warp(
    images: Tensor, settings: Augment, amount: Tensor, apply: Tensor, mirror: Tensor
) -> Tensor:
    """One bilinear resampling for flip, shift, scale and rotation; the border is repeated."""
    signed = 2 * amount - 1
    on = (apply < settings.probability).to(images.dtype)
    angle = signed[:, 0] * on[:, 0] * (settings.rotate * torch.pi / 180)
    zoom = 1 + signed[:, 1] * on[:, 1] * settings.scale
    shift = 2 * settings.shift * signed[:, 2:] * on[:, 2:]  # grid coordinates span 2
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    sign_x = torch.where(mirror[:, 0] < settings.flip, -1.0, 1.0)
    sign_y = torch.where(mirror[:, 1] < settings.vertical_flip, -1.0, 1.0)
    rows = [  # rotation and zoom, then the mirror: its signs belong to whole columns
        torch.stack([cos * sign_x, -sin * sign_y, shift[:, 0]], 1),
        torch.stack([sin * sign_x, cos * sign_y, shift[:, 1]], 1),
    ]
    theta = torch.stack(rows, 1).to(images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _erase(
    images: Tensor, probability: float, chance: Tensor, generator: torch.Generator
) -> Tensor:
    """Zhong et al. 2017: a rectangle of 2 to 25 % of the image becomes random grey."""
    n, _, height, width = images.shape
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
