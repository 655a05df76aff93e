"""Pictures as frames: one, or all of a folder, told by their content."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from nas.common.errors import UserError
from nas.common.files import open_regular
from nas.common.images import HEAD, MAX_FILE, is_picture, picture_format, read_picture
from nas.realtime.frames import Frame, Source, log, report

ANIMATED = re.compile(rb"\x21\xf9\x04.{5}[\x2c\x21]", re.DOTALL)  # of a GIF: once for each frame
SHOWN = 3  # names of a list in a message


def is_still(path: Path) -> bool:
    """Whether a file is meant as a picture; an animated GIF is a video."""
    with open_regular(path) as file:
        head = file.read(HEAD)
        animated = picture_format(head) == "GIF" and len(ANIMATED.findall(file.read(MAX_FILE))) > 1
    return is_picture(path.name, head) and not animated


def open_pictures(path: Path) -> Source:
    """A picture file. UserError where it is broken."""
    return Source(iter([_frame(path, 0)]), None, frozenset({path.resolve()}))


def open_folder(folder: Path) -> Source:
    """Every picture of a folder, by name. A broken one is named, and the others go on."""
    try:
        files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: cannot read: {error.strerror}") from None
    pictures = [path for path in files if _is_picture_file(path)]
    others = [path.name for path in files if path not in pictures]
    if not pictures:
        raise UserError(f"{folder}: no pictures in this folder; {_listed(others) or 'it is empty'}")
    if others:
        log.info("%s: %d pictures; left out: %s", folder, len(pictures), _listed(others))
    problems: list[str] = []

    def frames() -> Iterator[Frame]:
        for index, path in enumerate(pictures):
            try:
                frame = _frame(path, index)
            except UserError as error:
                report(problems, str(error))
                continue
            yield frame

    return Source(frames(), None, frozenset(p.resolve() for p in pictures), problems=problems)


def _is_picture_file(path: Path) -> bool:
    try:
        return is_still(path)
    except UserError:  # a folder, a pipe, or not ours to read
        return path.is_file() and is_picture(path.name, b"")  # then reading it says why


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _frame(path: Path, index: int) -> Frame:
    started = time.perf_counter()
    return Frame(path.name, index, 0.0, read_picture(path), started)
