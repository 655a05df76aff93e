"""Keep libraries from printing on stderr."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


class Quiet:
    """`with Quiet():` OpenCV's and FFmpeg's complaints are not shown; ours is the one line."""

    def __enter__(self) -> None:
        self.stderr = os.dup(2)
        self.nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(self.nowhere, 2)

    def __exit__(self, *_: object) -> None:
        os.dup2(self.stderr, 2)
        os.close(self.stderr)
        os.close(self.nowhere)


@contextmanager
def errors_alone(library: str) -> Iterator[None]:
    """In the block the library's logger tells errors alone; then it is as it was."""
    log = logging.getLogger(library)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
