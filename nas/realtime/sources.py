"""Where frames come from: a camera, a video, a picture, a folder of pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nas.errors import UserError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MAX_PICTURE_BYTES = 50 << 20
MAX_SIDE = 8192


@dataclass(frozen=True)
class Frame:
    """pixels: uint8 (H, W, 3) BGR. seconds: since the start of the source."""

    source: str
    index: int
    seconds: float
    pixels: Any


@dataclass(frozen=True)
class Source:
    """An iterable of frames. fps is None for pictures."""

    frames: Iterator[Frame]
    fps: float | None
    inputs: frozenset[Path]


def open_source(text: str) -> Source:
    """`0` is the first camera; else a video, a picture or a folder. UserError in one line."""
    if text.isdigit():
        return _camera(int(text))
    path = Path(text)
    if path.is_dir():
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
        if not pictures:
            raise UserError(f"{path}: no pictures in this folder; expected {', '.join(PICTURES)}")
        return Source(_pictures(pictures), None, frozenset(p.resolve() for p in pictures))
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder; expected a camera number or a path")
    if path.suffix.lower() in PICTURES:
        return Source(iter([_picture(path, 0)]), None, frozenset({path.resolve()}))
    return _video(path)


def _camera(number: int) -> Source:
    with _Quiet():
        capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise UserError(f"camera {number}: cannot be opened; is one plugged in and free?")
    return Source(_captured(capture, f"camera{number}", True), 30.0, frozenset())


def _video(path: Path) -> Source:
    with _Quiet():
        capture = cv2.VideoCapture(str(path))
    width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if not capture.isOpened() or not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise UserError(f"{path}: not a readable video or picture of at most {MAX_SIDE} pixels")
    fps = capture.get(cv2.CAP_PROP_FPS)
    fps = fps if np.isfinite(fps) and 0 < fps <= 1000 else 25.0
    return Source(_captured(capture, path.name, False, fps), fps, frozenset({path.resolve()}))


def _captured(capture: Any, name: str, live: bool, fps: float = 30.0) -> Iterator[Frame]:
    started, index = cv2.getTickCount(), 0
    try:
        while True:
            ok, pixels = capture.read()
            if not ok:
                return
            since = (cv2.getTickCount() - started) / cv2.getTickFrequency()
            yield Frame(name, index, since if live else index / fps, pixels)
            index += 1
    finally:
        capture.release()


def _pictures(paths: list[Path]) -> Iterator[Frame]:
    for index, path in enumerate(paths):
        yield _picture(path, index)


def _picture(path: Path, index: int) -> Frame:
    if path.stat().st_size > MAX_PICTURE_BYTES:
        raise UserError(f"{path}: larger than {MAX_PICTURE_BYTES >> 20} MiB")
    with _Quiet():
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None or max(pixels.shape) > MAX_SIDE:
        raise UserError(f"{path}: not a readable picture of at most {MAX_SIDE} pixels a side")
    return Frame(path.name, index, 0.0, pixels)


class _Quiet:
    """OpenCV and FFmpeg print their own complaints on stderr; ours is the one line to show."""

    def __enter__(self) -> None:
        self.stderr = os.dup(2)
        self.nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(self.nowhere, 2)

    def __exit__(self, *_: object) -> None:
        os.dup2(self.stderr, 2)
        os.close(self.stderr)
        os.close(self.nowhere)
