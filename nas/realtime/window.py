"""A window on the screen, and the snapshots saved from it."""

from __future__ import annotations

import os
import re
import sys
from itertools import chain, count
from pathlib import Path

import cv2

from nas.common.errors import UserError
from nas.common.files import make_folder
from nas.common.images import write_picture
from nas.realtime.frames import Frame, Pixels

TITLE = "fer-nas (s snapshot, q quits)"
POLL_MS = 50  # a signal ends us only between two calls of OpenCV


class Window:
    """`show` returns the key that was pressed, or an empty string."""

    def __init__(self, snapshots: Path = Path(".")) -> None:
        # OpenCV's GUI wheel aborts the whole process where there is no display: ask first.
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        lack = ""
        if sys.platform.startswith("linux") and not display:
            lack = "no display to show a window on"
        elif "GUI:                           NONE" in cv2.getBuildInformation():
            lack = "this OpenCV build has no windows"
        if lack:
            raise UserError(f"{lack}; use --headless with --out FILE or --csv FILE")
        self.snapshots = snapshots

    def show(self, picture: Pixels, wait_ms: int) -> str:
        """wait_ms: for a key, at most; 0: until there is one, or the window is closed."""
        cv2.imshow(TITLE, picture)
        while True:
            key = cv2.waitKey(min(wait_ms or POLL_MS, POLL_MS)) & 0xFF
            closed = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
            if closed or key in (ord("q"), 27):
                return "q"
            if key < 255:
                return chr(key)
            if wait_ms:
                wait_ms = max(0, wait_ms - POLL_MS)
                if not wait_ms:
                    return ""

    def close(self) -> None:
        cv2.destroyAllWindows()


def snapshot(folder: Path, frame: Frame, picture: Pixels) -> Path:
    """Save the annotated frame in the folder, beside what is there; the path it got."""
    make_folder(folder)
    name = re.sub(r"[^A-Za-z0-9]+", "_", Path(frame.source).stem).strip("_")
    stem = f"{name}_{frame.index:06d}"  # a camera's frames begin at 0 again another day
    paths = (folder / f"{stem}{more}.png" for more in chain([""], (f"_{n}" for n in count(2))))
    path = next(path for path in paths if not path.exists())
    write_picture(path, picture)
    return path
