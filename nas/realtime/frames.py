"""What a source gives: frames with their times, and what was wrong with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)

MAX_SIDE = 8192  # pixels of a frame
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """pixels: uint8 (H, W, 3) BGR. seconds: since the start of the source.

    started, decoded: `time.perf_counter()` when reading it began, and when its pixels were there.
    """

    source: str
    index: int
    seconds: float
    pixels: Pixels
    started: float = field(default_factory=time.perf_counter)
    decoded: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Source:
    """An iterable of frames. fps is None for pictures. live: frames come whether read or not.

    problems: what could not be read, a line each, complete once the frames are at their end.
    """

    frames: Iterator[Frame]
    fps: float | None
    inputs: frozenset[Path]
    live: bool = False
    problems: list[str] = field(default_factory=list)


def report(problems: list[str], line: str) -> None:
    """Log it now, and keep it for whoever must say at the end that not all went well."""
    log.warning("%s", line)
    problems.append(line)


def transformed(source: Source, mirror: bool, flip: bool, downscale: float) -> Source:
    """Every frame mirrored (left to right), flipped (upside down), divided in size."""
    code = {(True, False): 1, (False, True): 0, (True, True): -1}.get((mirror, flip))

    def change(frame: Frame) -> Frame:
        pixels = frame.pixels
        if code is not None:
            pixels = np.asarray(cv2.flip(pixels, code), np.uint8)
        if downscale != 1:
            size = [max(1, round(side / downscale)) for side in pixels.shape[1::-1]]
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        return replace(frame, pixels=pixels)

    return replace(source, frames=map(change, source.frames))
