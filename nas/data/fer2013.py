"""FER2013 (Goodfellow et al., 2013) from any of the forms in which people hold it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import struct
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from nas.common.errors import UserError, one_of
from nas.common.expressions import CLASSES, canonical
from nas.common.files import lines_of, open_regular
from nas.data.dataset import SPLITS, USAGES, Bytes, Dataset, Indices, check
from nas.data.files import BROKEN_ZIP, open_files
from nas.data.intake import Intake
from nas.data.labelled import Picture
from nas.data.layouts import label_pictures
from nas.data.pictures import read_pixels

COUNTS = (  # official, per split and class
    (3995, 436, 4097, 7215, 4830, 3171, 4965),
    (467, 56, 496, 895, 653, 415, 607),
    (491, 55, 528, 879, 594, 416, 626),
)
SIDE = 48
PACKED = ("", ".gz", ".zip")  # what may stand behind the name of its CSV
MAX_ROWS = 100_000  # FER2013 has 35,887
MAX_LINE = 1 << 16  # a row has at most 9.3 kB
Stream = IO[bytes] | gzip.GzipFile
PIXELS = {str(value): value for value in range(256)}
FORMS = "fer2013.csv (plain, .gz or in a .zip), a folder with one, or train/ and test/"
BROKEN = (*BROKEN_ZIP, struct.error)


def prepare_fer2013(source: Path, check_counts: bool = True) -> Dataset:
    """Read FER2013. UserError names file and line of the first malformed row.

    `source` is a CSV `emotion,pixels,Usage`, packed or not, a folder that holds one, or a folder or
    .zip of train/CLASS and test/CLASS images. `check_counts` insists on the official counts.
    """
    if source.is_dir():
        csv_file = _csv_in(source)
        dataset = _from_csv(csv_file) if csv_file else _from_pictures(source)
    elif source.is_file():
        dataset = _from_pictures(source) if _is_zip_of_pictures(source) else _from_csv(source)
    else:
        raise UserError(f"{source}: no such file or folder; expected {FORMS}")
    if check_counts:
        official = dataset.provenance["official_splits"]
        _check_counts(dataset, str(source), COUNTS if official else _mixed_counts(dataset))
    return check(dataset, str(source))


def _csv_in(folder: Path) -> Path | None:
    names = [f"{n}.csv{packed}" for n in ("fer2013", "icml_face_data") for packed in PACKED]
    places = [place / name for name in names for place in (folder, folder / name.split(".")[0])]
    return next(filter(Path.is_file, [*places, folder / "fer2013.zip"]), None)


def _is_zip_of_pictures(path: Path) -> bool:
    """Kaggle packs its pictures and its CSV alike."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.lower() for name in archive.namelist()]
    except BROKEN:
        return False  # reading it as a CSV says what is wrong
    return not any(name.endswith(".csv") for name in names) and len(names) > 1


def _from_csv(path: Path) -> Dataset:
    digest = hashlib.sha256()
    try:
        with ExitStack() as stack:
            stream = _open(path, stack)
            images, labels, split = _parse(_lines(stream, path, digest), path)
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{path}: cannot read: {error or 'truncated'}; expected {FORMS}") from None
    provenance = {
        "source": path.name,
        "sha256": digest.hexdigest(),  # of the CSV, however it was packed
        "official_splits": True,
        **Intake(len(images)).to_provenance(),
        "synthetic": False,
    }
    return Dataset("fer2013", images, labels, split, CLASSES, provenance)


def _open(path: Path, stack: ExitStack) -> Stream:
    """The CSV as a binary stream, unpacked on the fly: nothing is written or held whole."""
    name, file = path.name.lower(), stack.enter_context(open_regular(path))
    if name.endswith(".zip"):
        archive = stack.enter_context(zipfile.ZipFile(file))
        members = [m for m in archive.namelist() if m.lower().endswith(".csv")]
        return stack.enter_context(archive.open(_pick(members, path)))
    if name.endswith(".gz"):
        return stack.enter_context(gzip.open(file))
    return file


def _pick(members: list[str], path: Path) -> str:
    """The CSV with all the splits: Kaggle's archive holds others beside it."""
    for wanted in ("fer2013.csv", "icml_face_data.csv"):
        for member in members:
            if member.rsplit("/", 1)[-1].lower() == wanted:
                return member
    if len(members) != 1:
        raise UserError(f"{path}: found CSV files {members[:8]}; expected fer2013.csv")
    return members[0]


def _lines(stream: Stream, path: Path, digest: Any) -> Iterator[str]:
    """Lines of bounded length, so that a bomb without line ends does not fill the memory."""
    for number, raw in enumerate(lines_of(stream, path, MAX_LINE), 1):
        if number > MAX_ROWS + 1:
            raise UserError(f"{path}:{number}: more than {MAX_ROWS} rows")
        digest.update(raw)
        try:
            yield raw.decode("ascii" if number > 1 else "utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{path}:{number}: found non-ASCII bytes; expected {FORMS}") from None


def _parse(lines: Iterator[str], path: Path) -> tuple[Bytes, Bytes, Bytes]:
    """Images (N, 1, 48, 48), labels and splits (N,)."""
    reader = csv.reader(lines)
    pixels, labels, split = bytearray(), bytearray(), bytearray()
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        columns = _columns(header, path)
        for row in reader:
            if not row:
                continue
            where = f"{path}:{reader.line_num}"
            if len(row) != len(header):
                raise UserError(f"{where}: found {len(row)} columns; expected {len(header)}")
            emotion, image, usage = (row[column].strip() for column in columns)
            if len(emotion) != 1 or emotion not in "0123456":
                raise UserError(f"{where}: emotion: found {emotion[:20]!r}; allowed 0 to 6")
            if usage not in USAGES:
                raise one_of(where, usage[:20], USAGES, "Usage")
            labels.append(int(emotion))
            split.append(USAGES[usage])
            pixels += _pixels(image, where)
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not a CSV: {error}") from None
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 1, SIDE, SIDE)
    return images, np.frombuffer(labels, np.uint8), np.frombuffer(split, np.uint8)


def _columns(header: list[str], path: Path) -> list[int]:
    wanted = ("emotion", "pixels", "usage")
    if not all(name in header for name in wanted):
        found = ", ".join(header)[:80]
        raise UserError(
            f"{path}:1: found columns {found!r}; expected emotion, pixels, Usage "
            "(Kaggle's train.csv and test.csv lack Usage: take fer2013.csv or icml_face_data.csv)"
        )
    return [header.index(name) for name in wanted]


def _pixels(text: str, where: str) -> bytes:
    try:
        values = bytes(map(PIXELS.__getitem__, text.split()))
    except KeyError as error:
        found = str(error.args[0])[:20]
        raise UserError(f"{where}: pixels: found {found!r}; allowed 0 to 255") from None
    if len(values) != SIDE * SIDE:
        raise UserError(f"{where}: pixels: found {len(values)} values; expected {SIDE * SIDE}")
    return values


def _from_pictures(source: Path) -> Dataset:
    """Kaggle's image layout. Its test folder mixes PublicTest and PrivateTest for good.

    So it is halved: within each class by the order of the pixels' hashes, which anyone can repeat.
    """
    with open_files(source) as files:
        labelled = label_pictures(files)
        if {picture.split for picture in labelled.pictures} != {0, 2}:
            raise UserError(f"{source}: found no train and test folders; expected {FORMS}")
        labels = np.array(
            [_label(picture.label, source) for picture in labelled.pictures], np.uint8
        )
        images = np.stack([_pixels_of(picture) for picture in labelled.pictures])
    split = np.array([picture.split for picture in labelled.pictures], np.uint8)
    test = split == 2
    split[test] = _halves(images[test], labels[test])
    provenance = {
        "source": source.name,
        "sha256": hashlib.sha256(images.data).hexdigest(),
        "official_splits": False,
        **Intake.of(len(images), files.left_out, labelled.notes).to_provenance(),
        "note": "the source mixes PublicTest and PrivateTest; validation and test are halves of "
        "them by hash order within each class, so scores do not compare with published ones",
        "synthetic": False,
    }
    return Dataset("fer2013", images[:, None], labels, split, CLASSES, provenance)


def _label(name: str, source: Path) -> int:
    if canonical(name) not in CLASSES:
        raise one_of(str(source), name, CLASSES, "class folder")
    return CLASSES.index(canonical(name))


def _pixels_of(picture: Picture) -> Bytes:
    image = read_pixels(picture.file, colour=False)
    if image.shape != (SIDE, SIDE):
        raise UserError(f"{picture.file.name}: found {image.shape} pixels; expected {SIDE}x{SIDE}")
    return image


def _halves(images: Bytes, labels: Bytes) -> Bytes:
    """1 (validation) or 2 (test) for each image; copies of one image stay together but at a cut."""
    hashes = np.array([hashlib.sha256(image.data).hexdigest() for image in images])
    order: Indices = np.lexsort((hashes, labels))
    split = np.full(len(images), 2, np.uint8)
    spare = 0  # odd classes take turns, so that the halves are equal
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        split[mine[: (len(mine) + spare) // 2]] = 1
        spare ^= len(mine) % 2
    return split


def _mixed_counts(dataset: Dataset) -> tuple[tuple[int, ...], ...]:
    """What the image layout must hold: only the sum of the two test splits is known."""
    validation = dataset.labels[dataset.indices("validation")]
    found = np.bincount(validation, minlength=len(CLASSES))
    rest = np.array(COUNTS[1]) + np.array(COUNTS[2]) - found
    return COUNTS[0], tuple(found.tolist()), tuple(rest.tolist())


def _check_counts(dataset: Dataset, where: str, expected: tuple[tuple[int, ...], ...]) -> None:
    for name, row in zip(SPLITS, expected, strict=True):
        for (label, found), official in zip(dataset.counts()[name].items(), row, strict=True):
            if found != official:
                raise UserError(
                    f"{where}: {name}/{label}: found {found} images; FER2013 has {official} "
                    "(--allow-counts takes it as it is)"
                )
