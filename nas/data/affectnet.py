"""AffectNet as delivered: `train_set` and `val_set` with annotations, or two lists with boxes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from nas.common.errors import UserError, shown
from nas.common.expressions import folded
from nas.data.files import File, Source
from nas.data.labelled import (
    SPLIT_FOLDERS,
    Box,
    Labelled,
    Picture,
    listed_codes,
    read_list,
    read_number,
)

ANNOTATION = re.compile(r"(?P<number>\d+)_exp\.npy")
CODES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
NO_EXPRESSION = ("none", "uncertain", "no face")  # the codes after those
LISTS = {"training.csv": 0, "validation.csv": 1}  # the second comes without the header line
COLUMNS = ["subDirectory_filePath", "face_x", "face_y", "face_width", "face_height",
           "facial_landmarks", "expression", "valence", "arousal"]  # fmt: skip
MAX_LIST = 1 << 30  # bytes; theirs have a kilobyte of landmarks a picture
MAX_PIXELS = 1 << 16  # of a box


def affectnet(source: Source, pictures: Sequence[File], others: Sequence[File]) -> Labelled | None:
    lists = [file for file in others if folded(file.parts[-1]) in LISTS]
    if any(COLUMNS[0].encode() in file.read(1024) for file in lists):
        return _by_lists(source, pictures, lists)
    return _by_annotations(source, pictures, others)


def _by_lists(source: Source, pictures: Sequence[File], lists: Sequence[File]) -> Labelled:
    """`689/7f.jpg,x,y,width,height,landmarks,code,...` of whole photos, cut to the face's box."""
    by_path: dict[tuple[str, ...], File] = {}
    for file in pictures:
        if by_path.setdefault(file.parts[-2:], file) is not file:
            source.left_out["of the same name as another"].append(file.name)
    labelled, missing = [], 0
    for file in lists:
        for where, row in _rows(file, source):
            picture = by_path.pop(tuple(row[0].split("/")[-2:]), None)
            if picture is None:
                missing += 1
                continue
            label = _class(row[6], where)
            if label in NO_EXPRESSION:
                source.left_out[f"labelled {label}"].append(picture.name)
                continue
            split = LISTS[folded(file.parts[-1])]
            labelled.append(Picture(picture, label, split, _box(row[1:5], where)))
    source.left_out["in no list"] += [file.name for file in by_path.values()]
    note = f"{missing} pictures of the lists are missing"
    return Labelled("AffectNet, lists", tuple(labelled), (note,) if missing else ())


def _rows(file: File, source: Source) -> Iterator[tuple[str, list[str]]]:
    """Where it stands, and the columns."""
    rows = csv.reader(io.StringIO(read_list(file, source, MAX_LIST)))
    try:
        for row in rows:
            where = f"{source.path}: {file.name}:{rows.line_num}"
            if row and len(row) != len(COLUMNS):
                raise UserError(f"{where}: expected columns {', '.join(COLUMNS)}")
            if row and row != COLUMNS:
                yield where, row
    except csv.Error as error:
        raise UserError(f"{source.path}: {file.name}:{rows.line_num}: no CSV: {error}") from None


def _class(code: str, where: str) -> str:
    names = CODES + NO_EXPRESSION
    if code.isascii() and code.isdigit() and len(code) < 3 and int(code) < len(names):
        return names[int(code)]
    raise UserError(f"{where}: expression: found {shown(code)}; expected {listed_codes(names)}")


def _box(numbers: Sequence[str], where: str) -> Box:
    try:
        x, y, width, height = (int(number) for number in numbers)
    except ValueError:
        x, y, width, height = 0, 0, 0, 0
    if min(width, height) > 0 and max(map(abs, (x, y, width, height))) < MAX_PIXELS:
        return x, y, width, height
    raise UserError(f"{where}: face_x to face_height: found {shown(','.join(numbers))}")


def _by_annotations(
    source: Source, pictures: Sequence[File], others: Sequence[File]
) -> Labelled | None:
    """`train_set/images/1.jpg` with `train_set/annotations/1_exp.npy`."""
    codes = {
        (*file.parts[:-2], match["number"]): file
        for file in others
        if (match := ANNOTATION.fullmatch(file.parts[-1]))
    }
    if not codes:
        return None
    labelled = []
    for file in pictures:
        number = file.parts[-1].rpartition(".")[0]
        annotation = codes.get((*file.parts[:-2], number))
        split = SPLIT_FOLDERS.get(folded(file.parts[-3:][0]))
        if annotation is None or split is None:
            source.left_out["no annotation"].append(file.name)
        else:
            labelled.append(Picture(file, read_number(annotation, source, CODES), split))
    return Labelled("AffectNet", tuple(labelled))
