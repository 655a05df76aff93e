"""Where results go: an annotated video or pictures, CSV, JSON Lines."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import IO, Any, Protocol

import cv2

from nas.common.errors import UserError
from nas.realtime.recognizer import Face
from nas.realtime.sources import PICTURES, Frame, Source

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
MAX_REPEATS = 300  # of one frame, to bridge a gap in a live recording


class Sink(Protocol):
    """Takes every frame's results. `close` leaves a complete file, whatever happened before.

    pictured: it wants the annotated picture, which costs time to draw.
    """

    pictured: bool

    def write(self, frame: Frame, faces: list[Face], picture: Any) -> None: ...

    def close(self) -> None: ...


class Pictures:
    """Annotated pictures: one, or a folder of them."""

    pictured = True

    def __init__(self, path: Path, inputs: frozenset[Path]) -> None:
        _not_an_input(path, inputs)
        if path.suffix and path.suffix.lower() not in PICTURES:
            raise UserError(f"{path}: expected a picture ending in {', '.join(PICTURES)}, a folder")
        self.path = path
        self._names: dict[str, str] = {}  # stem -> the picture that took it
        if not path.suffix and any(p.parent == path.resolve() for p in inputs):
            raise UserError(f"{path}: is the input folder; expected another for --out")
        make_folder(path.parent if path.suffix else path)

    def write(self, frame: Frame, faces: list[Face], picture: Any) -> None:
        write_picture(self.path if self.path.suffix else self._target(frame.source), picture)

    def _target(self, source: str) -> Path:
        """a.jpg -> a.png; where that is taken, as by an a.png beside it, a.jpg.png."""
        name = Path(source).name
        stem = Path(source).stem
        if self._names.setdefault(stem, name) != name:
            stem = name
        return self.path / f"{stem}.png"

    def close(self) -> None:
        pass


class Video:
    """An annotated video that plays at the source's own pace, also where frames were missed."""

    pictured = True

    def __init__(self, path: Path, fps: float, inputs: frozenset[Path]) -> None:
        _not_an_input(path, inputs)
        if path.suffix.lower() not in CODECS:
            raise UserError(f"{path}: expected a video ending in {' or '.join(CODECS)}")
        make_folder(path.parent)
        self.path, self.fps = path, fps
        self._writer: Any = None
        self._size = (0, 0)
        self._written = 0

    def write(self, frame: Frame, faces: list[Face], picture: Any) -> None:
        if self._writer is None:
            self._size = (picture.shape[1], picture.shape[0])
            code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
            self._writer = cv2.VideoWriter(str(self.path), code, self.fps, self._size)
            if not self._writer.isOpened():
                raise UserError(f"{self.path}: cannot write a video there")
        if picture.shape[1::-1] != self._size:  # a live source may come back in another size
            picture = cv2.resize(picture, self._size)
        due = round(frame.seconds * self.fps) + 1 - self._written
        for _ in range(min(due, MAX_REPEATS)):
            self._writer.write(picture)
        self._written += max(due, 0)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()


class Csv:
    """One row for every face of every frame."""

    pictured = False

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        self._file = _open(path)
        self._rows = csv.writer(self._file)
        header = ["source", "frame", "timestamp_s", "track", "x", "y", "w", "h", "label"]
        self._rows.writerow([*header, *classes])

    def write(self, frame: Frame, faces: list[Face], picture: Any) -> None:
        for face in faces:
            probabilities = [f"{p:.5f}" for p in face.probabilities]
            where = [frame.source, frame.index, f"{frame.seconds:.4f}", face.track, *face.box]
            self._rows.writerow([*where, face.label, *probabilities])

    def close(self) -> None:
        self._file.close()


class JsonLines:
    """One object for every frame, also where it shows nobody."""

    pictured = False

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        self._file, self.classes = _open(path), classes

    def write(self, frame: Frame, faces: list[Face], picture: Any) -> None:
        found = [
            {
                "track": face.track,
                "box": face.box,
                "label": face.label,
                "probabilities": {
                    name: round(p, 5)
                    for name, p in zip(self.classes, face.probabilities, strict=True)
                },
            }
            for face in faces
        ]
        line = {"source": frame.source, "frame": frame.index,
                "timestamp_s": round(frame.seconds, 4), "faces": found}  # fmt: skip
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._file.close()


def open_sinks(
    source: Source, classes: tuple[str, ...], out: str | None, table: str | None, lines: str | None
) -> list[Sink]:
    """The sinks asked for. UserError where one cannot be written."""
    sinks: list[Sink] = []
    if out:
        path = Path(out)
        inputs = source.inputs
        sinks.append(Video(path, source.fps, inputs) if source.fps else Pictures(path, inputs))
    if table:
        sinks.append(Csv(Path(table), classes))
    if lines:
        sinks.append(JsonLines(Path(lines), classes))
    return sinks


def write_picture(path: Path, picture: Any) -> None:
    """UserError where it cannot be written."""
    if not cv2.imwrite(str(path), picture):
        raise UserError(f"{path}: cannot write this picture")


def _open(path: Path) -> IO[str]:
    make_folder(path.parent)
    try:
        return open(path, "w", newline="", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error.strerror}") from None


def make_folder(path: Path) -> None:
    """With its parents. UserError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot create: {error.strerror}") from None


def _not_an_input(path: Path, inputs: frozenset[Path]) -> None:
    if path.resolve() in inputs:
        raise UserError(f"{path}: is the input; expected another file for --out")
