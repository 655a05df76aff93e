"""The scale on which every network sees pixels; training, export and demo share it. No torch."""

from __future__ import annotations

from typing import Any, TypeVar

MEAN, STD = 127.5, 63.75  # of pixels 0..255

Pixels = TypeVar("Pixels", bound=Any)


def normalise(pixels: Pixels, mean: float = MEAN, std: float = STD) -> Pixels:
    """float32 pixels 0..255 of any shape, numpy's or torch's, as a network takes them."""
    scaled: Pixels = (pixels - mean) / std
    return scaled
