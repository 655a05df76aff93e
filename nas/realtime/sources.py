"""Where frames come from: a camera, a network stream, a video, a picture, a folder of pictures."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nas.common.errors import UserError
from nas.common.quiet import Quiet

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
URL = re.compile(r"(rtsp|rtsps|http|https)://", re.IGNORECASE)
MAX_PICTURE_BYTES = 50 << 20
MAX_SIDE = 8192
TIMEOUT_MS = 5000  # of a network stream, to open and for a frame
RETRIES, RETRY_SECONDS = 5, 1.0  # of a live source that stopped giving frames
LIVE_FPS = 30.0  # of a recording, where the camera does not say


@dataclass(frozen=True)
class Frame:
    """pixels: uint8 (H, W, 3) BGR. seconds: since the start of the source.

    started: `time.perf_counter()` when reading it began.
    """

    source: str
    index: int
    seconds: float
    pixels: Any
    started: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Source:
    """An iterable of frames. fps is None for pictures. live: frames come whether read or not."""

    frames: Iterator[Frame]
    fps: float | None
    inputs: frozenset[Path]
    live: bool = False


def open_source(text: str) -> Source:
    """`0` is the first camera; else a URL, video, picture or folder. UserError in one line."""
    if text.isdigit():
        return _live(f"camera {text}", lambda: _capture(int(text)), "is one plugged in and free?")
    if URL.match(text):
        return _network(text)
    path = Path(text)
    if path.is_dir():
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
        if not pictures:
            raise UserError(f"{path}: no pictures in this folder; expected {', '.join(PICTURES)}")
        return Source(_pictures(pictures), None, frozenset(p.resolve() for p in pictures))
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder; expected a camera number, URL or path")
    if path.suffix.lower() in PICTURES:
        return Source(iter([_picture(path, 0)]), None, frozenset({path.resolve()}))
    capture = _capture(str(path))
    if not _readable(capture):
        raise UserError(f"{path}: not a readable video or picture of at most {MAX_SIDE} pixels")
    return _video(capture, path.name, frozenset({path.resolve()}))


def transformed(source: Source, mirror: bool, flip: bool, downscale: float) -> Source:
    """Every frame mirrored (left to right), flipped (upside down), divided in size."""
    code = {(True, False): 1, (False, True): 0, (True, True): -1}.get((mirror, flip))

    def change(frame: Frame) -> Frame:
        pixels = frame.pixels
        if code is not None:
            pixels = cv2.flip(pixels, code)
        if downscale != 1:
            size = [max(1, round(side / downscale)) for side in pixels.shape[1::-1]]
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return replace(frame, pixels=pixels)

    return replace(source, frames=map(change, source.frames))


def _capture(where: int | str) -> Any:
    with Quiet():
        if isinstance(where, str) and URL.match(where):
            wait = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS,
                    cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]  # fmt: skip
            return cv2.VideoCapture(where, cv2.CAP_FFMPEG, wait)
        return cv2.VideoCapture(where)


def _readable(capture: Any) -> bool:
    sides = (capture.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return capture.isOpened() and all(0 < side <= MAX_SIDE for side in sides)


def _network(url: str) -> Source:
    """A stream without an end is live; a file behind a URL is read like a file."""
    name = re.sub(r"//[^/@]*@", "//", url)  # a password must not reach a log or a table
    capture = _capture(url)
    if _readable(capture) and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
        return _video(capture, name, frozenset())
    opened = iter([capture])
    return _live(name, lambda: next(opened, None) or _capture(url), "is it up, and a video?")


def _video(capture: Any, name: str, inputs: frozenset[Path]) -> Source:
    fps = capture.get(cv2.CAP_PROP_FPS)
    fps = fps if np.isfinite(fps) and 0 < fps <= 1000 else 25.0
    return Source(_read_all(capture, name, fps), fps, inputs)


def _read_all(capture: Any, name: str, fps: float) -> Iterator[Frame]:
    index = 0
    try:
        while True:
            started = time.perf_counter()
            ok, pixels = capture.read()
            if not ok:
                return
            yield Frame(name, index, index / fps, pixels, started)
            index += 1
    finally:
        capture.release()


def _live(name: str, connect: Callable[[], Any], hint: str) -> Source:
    capture = connect()
    if not _readable(capture):
        capture.release()
        raise UserError(f"{name}: cannot be opened; {hint}")
    fps = capture.get(cv2.CAP_PROP_FPS)
    fps = fps if np.isfinite(fps) and 1 <= fps <= 240 else LIVE_FPS
    return Source(_read_live(capture, name, connect), fps, frozenset(), live=True)


def _read_live(capture: Any, name: str, connect: Callable[[], Any]) -> Iterator[Frame]:
    """Frames as they come; a source that vanishes is opened again, RETRIES times in a row."""
    began, index, failed = time.perf_counter(), 0, 0
    try:
        while True:
            started = time.perf_counter()
            ok, pixels = capture.read()
            if ok:
                yield Frame(name, index, started - began, pixels, started)
                index, failed = index + 1, 0
                continue
            capture.release()
            failed += 1
            if failed > RETRIES:
                print(f"{name}: gave no more frames; ended", file=sys.stderr)
                return
            print(f"{name}: no frame; trying again ({failed}/{RETRIES})", file=sys.stderr)
            time.sleep(RETRY_SECONDS)
            capture = connect()
    finally:
        capture.release()


def _pictures(paths: list[Path]) -> Iterator[Frame]:
    for index, path in enumerate(paths):
        yield _picture(path, index)


def _picture(path: Path, index: int) -> Frame:
    started = time.perf_counter()
    try:
        size, raw = path.stat().st_size, b""
        if size <= MAX_PICTURE_BYTES:
            raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None
    if size > MAX_PICTURE_BYTES:
        raise UserError(f"{path}: larger than {MAX_PICTURE_BYTES >> 20} MiB")
    pixels = None
    if raw:
        # cv2.error: more pixels than OpenCV's own limit (nas/__init__.py).
        with Quiet(), contextlib.suppress(cv2.error):
            pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None or max(pixels.shape) > MAX_SIDE:
        raise UserError(f"{path}: not a readable picture of at most {MAX_SIDE} pixels a side")
    return Frame(path.name, index, 0.0, pixels, started)
