"""Where results go: an annotated video or pictures, a CSV, a window."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import IO, Any

import cv2

from nas.errors import UserError
from nas.realtime.recognizer import Face
from nas.realtime.sources import PICTURES, Frame

WINDOW = "fer-nas (q quits)"
CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


class Pictures:
    """Annotated frames: a video file, one picture, or a folder of pictures."""

    def __init__(self, path: Path, fps: float | None, inputs: frozenset[Path]) -> None:
        if path.resolve() in inputs:
            raise UserError(f"{path}: is the input; expected another file for --out")
        suffix = path.suffix.lower()
        if fps is not None and suffix not in CODECS:
            raise UserError(f"{path}: expected a video ending in {' or '.join(CODECS)}")
        if fps is None and suffix and suffix not in PICTURES:
            raise UserError(f"{path}: expected a picture ending in {', '.join(PICTURES)}, a folder")
        self.path, self.fps = path, fps
        self._writer: Any = None
        folder = path if fps is None and not suffix else path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot create: {error.strerror}") from None
        if any(p.parent == folder.resolve() and folder == path for p in inputs):
            raise UserError(f"{path}: is the input folder; expected another for --out")

    def write(self, frame: Frame, picture: Any) -> None:
        if self.fps is None:
            target = self.path if self.path.suffix else self.path / f"{Path(frame.source).stem}.png"
            if not cv2.imwrite(str(target), picture):
                raise UserError(f"{target}: cannot write this picture")
            return
        if self._writer is None:
            height, width = picture.shape[:2]
            code = cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])  # type: ignore[attr-defined]
            self._writer = cv2.VideoWriter(str(self.path), code, self.fps, (width, height))
            if not self._writer.isOpened():
                raise UserError(f"{self.path}: cannot write a video there")
        self._writer.write(picture)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()


class Csv:
    """One row for every face of every frame."""

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = open(path, "w", newline="")  # noqa: SIM115 - closed by close
        except OSError as error:
            raise UserError(f"{path}: cannot write: {error.strerror}") from None
        self._rows = csv.writer(self._file)
        header = ["source", "frame", "timestamp_s", "face", "x", "y", "w", "h", "label"]
        self._rows.writerow([*header, *classes])

    def write(self, frame: Frame, faces: list[Face]) -> None:
        for number, face in enumerate(faces):
            probabilities = [f"{p:.5f}" for p in face.probabilities]
            where = [frame.source, frame.index, f"{frame.seconds:.4f}", number, *face.box]
            self._rows.writerow([*where, face.label, *probabilities])

    def close(self) -> None:
        self._file.close()


class Window:
    """A window on the screen; `show` is False once the user quits."""

    def __init__(self) -> None:
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

    def show(self, picture: Any, wait_ms: int) -> bool:
        cv2.imshow(WINDOW, picture)
        return (cv2.waitKey(wait_ms) & 0xFF) not in (ord("q"), 27)

    def close(self) -> None:
        cv2.destroyAllWindows()
