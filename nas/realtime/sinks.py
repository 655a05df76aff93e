"""Where results go: annotated pictures or a video, CSV, JSON Lines."""

from __future__ import annotations

import csv
import io
import json
from itertools import chain, count
from pathlib import Path
from typing import IO, Any, Protocol

from nas.common.cli import no_formula
from nas.common.errors import UserError
from nas.common.files import cannot_write, make_folder
from nas.common.images import write_picture
from nas.realtime.frames import Frame, Pixels, Source
from nas.realtime.recognizer import Face
from nas.realtime.recording import Video

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  # that we write


class Sink(Protocol):
    """Takes every frame's results. `close` leaves a complete file, whatever happened before.

    pictured: it wants the annotated picture, which costs time to draw.
    """

    pictured: bool

    def write(self, frame: Frame, faces: list[Face], picture: Pixels) -> None: ...

    def close(self) -> None: ...


class Pictures:
    """Annotated pictures: one, or a folder of them."""

    pictured = True

    def __init__(self, path: Path, inputs: frozenset[Path]) -> None:
        self.path = path
        self._names: dict[str, str] = {}  # stem -> the picture that took it
        self._one = bool(path.suffix) and not path.is_dir()
        if path.resolve() in inputs:
            raise UserError(f"{path}: is the input; expected another file for --out")
        if self._one and path.suffix.lower() not in PICTURES:
            raise UserError(f"{path}: expected a picture ending in {', '.join(PICTURES)}, a folder")
        if self._one and len(inputs) > 1:
            raise UserError(
                f"{path}: one file for {len(inputs)} pictures; expected a folder for --out"
            )
        if not self._one and any(p.parent == path.resolve() for p in inputs):
            raise UserError(f"{path}: is the input folder; expected another for --out")
        make_folder(path.parent if self._one else path)

    def write(self, frame: Frame, faces: list[Face], picture: Pixels) -> None:
        write_picture(self.path if self._one else self._target(frame.source), picture)

    def _target(self, source: str) -> Path:
        """a.jpg -> a.png; where that is taken, as by an a.png beside it, a.jpg.png."""
        name, stem = Path(source).name, Path(source).stem
        stems = chain((stem, name), (f"{name}.{number}" for number in count(2)))
        free = next(s for s in stems if self._names.setdefault(s, name) == name)
        return self.path / f"{free}.png"

    def close(self) -> None:
        pass


class _Table:
    """A text file that has every finished line at once, whatever ends us. UserError: full disk."""

    pictured = False

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        self.path, self.classes = path, classes
        make_folder(path.parent)
        try:
            # buffering=1: by lines. A name that is not UTF-8 is escaped.
            self._file: IO[str] = open(  # noqa: SIM115 - open for the whole run
                path, "w", 1, encoding="utf-8", errors="backslashreplace", newline=""
            )
        except OSError as error:
            raise cannot_write(path, error) from None

    def add(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise cannot_write(self.path, error) from error


class Csv(_Table):
    """One row for every face of every frame."""

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        super().__init__(path, classes)
        header = ["source", "frame", "timestamp_s", "track", "x", "y", "w", "h", "label"]
        self._row([*header, *classes])

    def write(self, frame: Frame, faces: list[Face], picture: Pixels) -> None:
        for face in faces:
            where = [frame.source, frame.index, f"{frame.seconds:.4f}", face.track, *face.box]
            self._row([*where, face.label, *(f"{p:.5f}" for p in face.probabilities)])

    def _row(self, values: list[Any]) -> None:
        text = io.StringIO()
        csv.writer(text).writerow(map(no_formula, values))
        self.add(text.getvalue())


class JsonLines(_Table):
    """One object for every frame, also where it shows nobody."""

    def write(self, frame: Frame, faces: list[Face], picture: Pixels) -> None:
        found = [face.to_dict(self.classes) for face in faces]
        line = {"source": frame.source, "frame": frame.index,
                "timestamp_s": round(frame.seconds, 4), "faces": found}  # fmt: skip
        self.add(json.dumps(line) + "\n")


def open_sinks(
    source: Source, classes: tuple[str, ...], out: str, table: str, lines: str
) -> list[Sink]:
    """The sinks asked for, by path; an empty one is not wanted. UserError: cannot be written."""
    sinks: list[Sink] = []
    if out:
        path, inputs = Path(out), source.inputs
        sinks.append(Video(path, source.fps, inputs) if source.fps else Pictures(path, inputs))
    if table:
        sinks.append(Csv(Path(table), classes))
    if lines:
        sinks.append(JsonLines(Path(lines), classes))
    return sinks
