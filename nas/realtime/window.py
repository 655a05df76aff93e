"""A window on the screen, and the snapshots saved from it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import cv2

from nas.common.errors import UserError
from nas.realtime.sinks import make_folder, write_picture
from nas.realtime.sources import Frame

TITLE = "fer-nas (s snapshot, q quits)"


class Window:
    """A window on the screen; `show` returns the key that was pressed, or an empty string."""

    def __init__(self, snapshots: Path = Path(".")) -> None:
        # OpenCV's GUI wheel aborts the whole process where there is no display: ask first.
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not display:
            raise UserError(
                "no display to show a window on; use --headless with --out FILE or --csv FILE"
            )
        if "GUI:                           NONE" in cv2.getBuildInformation():
            raise UserError(
                "this OpenCV build has no windows; use --headless with --out FILE or --csv FILE"
            )
        self.snapshots = snapshots

    def show(self, picture: Any, wait_ms: int) -> str:
        cv2.imshow(TITLE, picture)
        key = cv2.waitKey(wait_ms) & 0xFF
        closed = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        return "q" if closed or key in (ord("q"), 27) else chr(key) if key < 255 else ""

    def close(self) -> None:
        cv2.destroyAllWindows()


def snapshot(folder: Path, frame: Frame, picture: Any) -> Path:
    """Save the annotated frame in the folder; the path it got."""
    make_folder(folder)
    name = re.sub(r"[^A-Za-z0-9]+", "_", Path(frame.source).stem).strip("_")
    path = folder / f"{name}_{frame.index:06d}.png"
    write_picture(path, picture)
    return path
