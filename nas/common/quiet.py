"""Keep OpenCV and FFmpeg from printing on stderr."""

from __future__ import annotations

import os


class Quiet:
    """`with Quiet():` their own complaints are not shown; ours is the one line."""

    def __enter__(self) -> None:
        self.stderr = os.dup(2)
        self.nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(self.nowhere, 2)

    def __exit__(self, *_: object) -> None:
        os.dup2(self.stderr, 2)
        os.close(self.stderr)
        os.close(self.nowhere)
