"""Frames of a video file, at the times that its container gives them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from nas.common.errors import UserError
from nas.realtime.capture import open_file, usable
from nas.realtime.containers import missing_bytes
from nas.realtime.frames import MAX_SIDE, Frame, Source, report

DEFAULT_FPS = 25.0  # where the container does not say
SHORT = 0.9  # share of its length below which a file from the network ended too early


def open_video(path: Path) -> Source:
    """UserError where it is none; a file that is cut short gives what there is and says so."""
    capture = open_file(path)
    missing = missing_bytes(path)
    if not usable(capture):
        cut = f"; it is cut short, {missing:,} bytes are missing" if missing else ""
        raise UserError(
            f"{path}: not a readable video or picture of at most {MAX_SIDE} pixels{cut}"
        )

    def complaint(frames: int, seconds: float) -> str | None:
        if not missing:
            return None
        return (
            f"{path.name}: the file is cut short, {missing:,} bytes are missing; it gave {frames} "
            f"frames, up to second {seconds:.1f}"
        )

    return _source(capture, path.name, frozenset({path.resolve()}), complaint)


def open_remote_video(capture: cv2.VideoCapture, name: str) -> Source:
    """A file behind a URL, opened already."""
    length = capture.get(cv2.CAP_PROP_FRAME_COUNT) / frame_rate(capture)

    def complaint(frames: int, seconds: float) -> str | None:
        if seconds >= SHORT * length - 1:
            return None
        return f"{name}: ended at second {seconds:.1f} of {length:.1f}, after {frames} frames"

    return _source(capture, name, frozenset(), complaint)


def frame_rate(capture: cv2.VideoCapture) -> float:
    """Frames a second, as far as the container can be believed."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if np.isfinite(fps) and 0 < fps <= 1000 else DEFAULT_FPS


def _source(
    capture: cv2.VideoCapture, name: str, inputs: frozenset[Path],
    complaint: Callable[[int, float], str | None],
) -> Source:  # fmt: skip
    fps, problems = frame_rate(capture), list[str]()

    def frames() -> Iterator[Frame]:
        frame = None
        for frame in _read_all(capture, name, fps):
            yield frame
        count, seconds = (0, 0.0) if frame is None else (frame.index + 1, frame.seconds)
        if line := complaint(count, seconds) or (None if count else f"{name}: gave no frame"):
            report(problems, line)

    return Source(frames(), fps, inputs, problems=problems)


def _read_all(capture: cv2.VideoCapture, name: str, fps: float) -> Iterator[Frame]:
    """Times start at 0 and grow; where the container has none, the frame rate makes them."""
    index, first, seconds = 0, 0.0, 0.0
    try:
        while True:
            started = time.perf_counter()
            ok, pixels = capture.read()
            if not ok:
                return
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index == 0:
                first = stamp
            elif np.isfinite(stamp) and stamp - first > seconds:
                seconds = stamp - first
            else:
                seconds += 1 / fps
            yield Frame(name, index, seconds, np.asarray(pixels, np.uint8), started)
            index += 1
    finally:
        capture.release()
