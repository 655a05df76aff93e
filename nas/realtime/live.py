"""Frames as they come, from a camera or a network stream."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from nas.common.errors import UserError
from nas.realtime.capture import open_camera, open_url, usable
from nas.realtime.frames import Frame, Source
from nas.realtime.video import open_remote_video

log = logging.getLogger(__name__)

RETRIES, RETRY_SECONDS = 5, 1.0  # of a live source that stopped giving frames
LIVE_FPS = 30.0  # of a recording, where the camera does not say


def camera(where: int | str) -> Source:
    """By number, or by the path of its device file. UserError where it cannot be opened."""
    name = f"camera {where}" if isinstance(where, int) else where
    return _live(name, lambda: open_camera(where), "is one plugged in and free?")


def network(url: str) -> Source:
    """A stream without an end is live; a file behind a URL is read like a file."""
    name = re.sub(r"//[^/@]*@", "//", url)  # a password must not reach a log or a table
    capture = open_url(url)
    if usable(capture) and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
        return open_remote_video(capture, name)
    opened = iter([capture])
    hint = "is it up, and a video? (playlists are not read)"
    return _live(name, lambda: next(opened, None) or open_url(url), hint)


def _live(name: str, connect: Callable[[], cv2.VideoCapture], hint: str) -> Source:
    capture = connect()
    if not usable(capture):
        capture.release()
        raise UserError(f"{name}: cannot be opened; {hint}")
    fps = capture.get(cv2.CAP_PROP_FPS)
    fps = fps if np.isfinite(fps) and 1 <= fps <= 240 else LIVE_FPS
    return Source(_read(capture, name, connect), fps, frozenset(), live=True)


def _read(
    capture: cv2.VideoCapture, name: str, connect: Callable[[], cv2.VideoCapture]
) -> Iterator[Frame]:
    """A source that vanishes is opened again, RETRIES times in a row."""
    began, index, failed = time.perf_counter(), 0, 0
    try:
        while True:
            started = time.perf_counter()
            ok, pixels = capture.read()
            if ok:
                yield Frame(name, index, started - began, np.asarray(pixels, np.uint8), started)
                index, failed = index + 1, 0
                continue
            capture.release()
            failed += 1
            if failed > RETRIES:
                log.warning("%s: gave no more frames; ended", name)
                return
            log.warning("%s: no frame; trying again (%d/%d)", name, failed, RETRIES)
            time.sleep(RETRY_SECONDS)
            capture = connect()
    finally:
        capture.release()
