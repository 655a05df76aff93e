"""An annotated video that plays at the source's own pace, and that is known to be whole."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import cv2
import numpy as np

from nas.common.errors import UserError
from nas.common.files import make_folder
from nas.common.quiet import Quiet
from nas.realtime.capture import open_file, usable, utf8_name
from nas.realtime.containers import missing_bytes
from nas.realtime.frames import Frame, Pixels
from nas.realtime.recognizer import Face

# Matroska is readable up to where a power cut or a kill ended it, and so is AVI, for the most part;
# an MP4 has its index at the end and is lost without it.
CODECS = {".mkv": "mp4v", ".mp4": "mp4v", ".avi": "MJPG"}
MAX_REPEATS = 300  # of one frame, to bridge a gap in a live recording
MPEG4_TICKS = 65535  # a second, at most, as a fraction over a power of ten
RESERVE = 8 << 20  # bytes of the disk below which a recording ends while it can still be closed
CHECK = 1.0  # seconds between two looks at the disk


class Video:
    """Sink of every frame's annotated picture. OSError where the disk does not take it."""

    pictured = True

    def __init__(self, path: Path, fps: float, inputs: frozenset[Path]) -> None:
        if path.suffix.lower() not in CODECS:
            raise UserError(f"{path}: expected a video ending in {', '.join(CODECS)}")
        if path.resolve() in inputs:
            raise UserError(f"{path}: is the input; expected another file for --out")
        make_folder(path.parent)
        self.path, self.fps = path, writable_rate(fps)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._past = 0  # frames of the video whose time is over; a long gap is cut short
        self._written = 0
        self._checked = time.monotonic()

    def write(self, frame: Frame, faces: list[Face], picture: Pixels) -> None:
        """Again where frames were missed; not at all where the next is due at the same time."""
        if self._writer is None:
            self._size = (picture.shape[1], picture.shape[0])
            self._writer = self._open()
        if picture.shape[1::-1] != self._size:  # a live source may come back in another size
            picture = np.asarray(cv2.resize(picture, self._size), np.uint8)
        due = round(frame.seconds * self.fps) + 1 - self._past
        self._past += max(due, 0)
        for _ in range(min(due, MAX_REPEATS)):
            self._writer.write(picture)
            self._written += 1
        if time.monotonic() - self._checked > CHECK:
            self._checked = time.monotonic()
            free = shutil.disk_usage(self.path.parent).free
            if free < RESERVE:
                raise OSError(
                    f"{self.path}: the disk is full ({free:,} bytes are left); the recording ends "
                    f"at second {frame.seconds:.1f}"
                )

    def close(self) -> None:
        """FFmpeg is silent about what the disk did not take: look at what is there."""
        if self._writer is None:
            return
        with Quiet():
            self._writer.release()
        capture = open_file(self.path)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # of a file that was not closed, nonsense
        whole = usable(capture) and abs(count - self._written) <= 1 + self._written / 100
        capture.release()
        if not whole or missing_bytes(self.path):
            size = self.path.stat().st_size
            raise OSError(
                f"{self.path}: the recording is not complete: the disk took {size:,} bytes of it"
            )

    def _open(self) -> cv2.VideoWriter:
        code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        with utf8_name(self.path) as name, Quiet():
            writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, code, self.fps, self._size)
        if not writer.isOpened():
            raise UserError(f"{self.path}: cannot write a video there")
        return writer


def writable_rate(fps: float) -> float:
    """The nearest rate that MPEG-4 can count: OpenCV writes it over 1, 10, 100 or 1000."""
    digits = next(n for n in (3, 2, 1, 0) if fps * 10**n <= MPEG4_TICKS)
    return max(round(fps, digits), 10.0**-digits)
