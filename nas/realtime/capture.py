"""OpenCV's VideoCapture, opened so that it can reach no more than it was given."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2

from nas.common.quiet import Quiet
from nas.realtime.containers import DEMUXERS
from nas.realtime.frames import MAX_SIDE

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # ours is the one line on a broken file
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # OpenCV reads it whenever FFmpeg opens something
# Protocols and demuxers of FFmpeg by kind of source. None of them reads a file that a stream names.
PROTOCOLS = {
    "file": "file",
    "http": "http,https,httpproxy,tcp,tls",
    "rtsp": "rtp,srtp,udp,tcp,tls,http,https,httpproxy",
}
TIMEOUT_MS = 5000  # of a network stream, to open and for a frame
URL = re.compile(r"(rtsp|http)s?://", re.IGNORECASE)


def open_file(path: Path) -> cv2.VideoCapture:
    """A capture of one video file; check it with `usable`."""
    with allowed("file", DEMUXERS), utf8_name(path) as name, Quiet():
        return cv2.VideoCapture(name, cv2.CAP_FFMPEG)


def open_url(url: str) -> cv2.VideoCapture:
    """A capture of what a URL gives; check it with `usable`."""
    match = URL.match(url)
    kind = match[1].lower() if match else "http"
    demuxers = ("rtsp", "mpegts", "asf") if kind == "rtsp" else DEMUXERS
    wait = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]  # fmt: skip
    with allowed(kind, demuxers), Quiet():
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, wait)


def open_camera(where: int | str) -> cv2.VideoCapture:
    """A capture of a camera, by number or by its device file; check it with `usable`."""
    with Quiet():
        return cv2.VideoCapture(where, cv2.CAP_ANY if isinstance(where, int) else cv2.CAP_V4L2)


def usable(capture: cv2.VideoCapture) -> bool:
    """Whether it is open and of a size that we take."""
    sides = (capture.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return capture.isOpened() and all(0 < side <= MAX_SIDE for side in sides)


@contextlib.contextmanager
def allowed(kind: str, demuxers: tuple[str, ...]) -> Iterator[None]:
    """FFmpeg refuses whatever needs another protocol or demuxer, whoever asks for it."""
    theirs = os.environ.get(OPTIONS)
    ours = f"protocol_whitelist;{PROTOCOLS[kind]}|format_whitelist;{','.join(demuxers)}"
    # The first is OpenCV's own choice where nobody sets options; the last of a name counts.
    os.environ[OPTIONS] = "|".join(filter(None, ["rtsp_transport;tcp", theirs, ours]))
    try:
        yield
    finally:
        if theirs is None:
            del os.environ[OPTIONS]
        else:
            os.environ[OPTIONS] = theirs


@contextlib.contextmanager
def utf8_name(path: Path) -> Iterator[str]:
    """A name under which OpenCV finds the file: it crashes on one that is not UTF-8."""
    absolute = path.absolute()  # never `http:` or another protocol of FFmpeg's
    try:
        plain = str(absolute).encode() == os.fsencode(absolute)
    except UnicodeEncodeError:
        plain = False
    if plain:
        yield str(absolute)
        return
    suffix = path.suffix if path.suffix.isascii() else ""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"video{suffix}"
        link.symlink_to(absolute)
        yield str(link)
