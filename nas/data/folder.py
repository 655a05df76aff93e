"""Pictures in a folder or zip -> a data set, and what was taken and left out, by reason."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nas.common.errors import UserError
from nas.common.text import unknown_letters
from nas.data.dataset import MAX_BYTES, MAX_SIDE, SPLITS, Bytes, Dataset, Indices, check
from nas.data.files import Source, open_files
from nas.data.intake import Intake, listed
from nas.data.labelled import Labelled, Picture
from nas.data.layouts import label_pictures, subject_of
from nas.data.pictures import is_colour, read_pixels, square
from nas.data.splits import duplicate_groups, stratified_parts

SHARES = (0.8, 0.1, 0.1)
SMALLEST = 8  # pixels a side
SIDE = 48  # of pictures that have no common size of their own
OWN_SIDE = 96  # up to which they keep it
LOOKED_AT = 64  # pictures that decide on size and colour
FEW = 10  # training pictures of a class
IN_ONE_LINE = 5  # broken pictures that an error names itself

log = logging.getLogger(__name__)


def prepare_folder(
    source: Path, name: str, size: int | None = None, colour: bool | None = None,
    skip_broken: bool = False,
) -> Dataset:  # fmt: skip
    """Read the pictures of a folder or zip in one of the layouts of layouts.py.

    size: of the square pictures; None is their own where all are squares of one size up to 96,
    else 48. colour: three channels (BGR) or one; None is what most pictures have. Of pictures that
    are no squares, the central one is used. UserError names every broken picture, unless
    `skip_broken` leaves them out.

    Without split folders: 80/10/10 within each class. A subject, or copies of one image where
    names tell no subject, are never in two splits.
    """
    if size is not None and not SMALLEST <= size <= MAX_SIDE:
        raise UserError(f"size: expected {SMALLEST} to {MAX_SIDE}, got {size}")
    with open_files(source) as files:
        labelled = label_pictures(files)
        size, channels = _size_and_channels(labelled.pictures, size, colour)
        pictures, images = _read(files, labelled, size, channels, skip_broken)
    classes = tuple(sorted({picture.label for picture in pictures}))
    labels = np.array([classes.index(picture.label) for picture in pictures], np.uint8)
    subjects = [subject_of(picture.file.parts[-1]) for picture in pictures]
    groups = _groups(subjects, duplicate_groups(images))
    parts, splits = _parts(pictures, labels, groups, source)
    provenance = {
        "source": source.resolve().name,
        "layout": labelled.layout,
        "splits": splits,
        "groups": len(np.unique(groups)),
        "subjects": len({*subjects} - {None}),
        "without_subject": subjects.count(None),
        "sha256": hashlib.sha256(images.data).hexdigest(),
        "synthetic": False,
    }
    dataset = Dataset(name, images, labels, parts.astype(np.uint8), classes, provenance)
    check(dataset, str(source))
    notes = [*labelled.notes, *_doubts(dataset)]
    provenance |= Intake.of(len(pictures), files.left_out, notes).to_provenance()
    return dataset


def _size_and_channels(
    pictures: Sequence[Picture], size: int | None, colour: bool | None
) -> tuple[int, int]:
    """What is asked for, else what a few pictures, evenly chosen, have in common."""
    sizes, coloured = set(), []
    if size is None or colour is None:
        for picture in pictures[:: -(-len(pictures) // LOOKED_AT)]:
            try:
                image = read_pixels(picture.file, True, picture.box)
            except UserError:
                continue  # it is named when all are read
            sizes.add(image.shape[:2])
            coloured.append(is_colour(image))
    if size is None:
        height, width = sizes.pop() if len(sizes) == 1 else (SIDE, SIDE)
        size = height if height == width and SMALLEST <= height <= OWN_SIDE else SIDE
    if colour is None:
        colour = sum(coloured) * 2 > len(coloured)
    return size, 3 if colour else 1


def _read(
    source: Source, labelled: Labelled, size: int, channels: int, skip_broken: bool
) -> tuple[list[Picture], Bytes]:
    """The pictures that can be read, and their pixels (N, C, H, W)."""
    needed = len(labelled.pictures) * channels * size * size
    if needed > MAX_BYTES:
        raise UserError(
            f"{source.path}: {len(labelled.pictures)} pictures of {channels}x{size}x{size} are "
            f"{needed} bytes; allowed {MAX_BYTES}: choose a smaller --size"
        )
    images = np.empty((len(labelled.pictures), channels, size, size), np.uint8)
    kept: list[Picture] = []
    broken: dict[str, str] = {}
    for picture in tqdm(labelled.pictures, "pictures", leave=False, disable=None):
        try:
            pixels = read_pixels(picture.file, channels == 3, picture.box)
            images[len(kept)] = square(pixels, size)
        except UserError as error:
            broken[picture.file.name] = str(error)
        else:
            kept.append(picture)
    if broken and not skip_broken:
        named = "; ".join(broken.values())
        if len(broken) > IN_ONE_LINE:
            named = "named above"
            for why in broken.values():
                log.warning("cannot be read: %s", why)
        raise UserError(
            f"{source.path}: {len(broken)} of {len(labelled.pictures)} pictures cannot be read "
            f"(python -m nas.data prepare NAME --from {source.path} --skip-broken leaves them out; "
            f"then --data NAME): {named}"
        )
    for name, why in broken.items():
        log.warning("left out: %s", why)
        source.left_out["broken"].append(name)
    if not kept:
        raise UserError(f"{source.path}: no picture can be read")
    return kept, images[: len(kept)]


def _groups(subjects: Sequence[str | None], copies: Indices) -> Indices:
    """A number for each picture; those of one subject, or else copies of one image, share it."""
    numbers: dict[object, int] = {}
    keys = [subject or copy for subject, copy in zip(subjects, copies.tolist(), strict=True)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _parts(
    pictures: Sequence[Picture], labels: Bytes, groups: Indices, source: Path
) -> tuple[Indices, str]:
    """The split of each picture, and how it came about."""
    if pictures[0].split is None:
        how = "80/10/10 within each class"
        parts = stratified_parts(labels, groups, SHARES)
    else:
        how = "given by the source"
        parts = np.array([picture.split for picture in pictures], np.int64)
        if not (parts == 2).any():
            how = "the source's validation part is test, a tenth of train is validation"
            parts[parts == 1] = 2
        elif not (parts == 1).any():
            how = "train and test given, a tenth of train is validation"
        train = np.flatnonzero(parts == 0)
        if not (parts == 1).any() and len(train):
            parts[train] = stratified_parts(labels[train], groups[train], (0.9, 0.1))
    for index, name in enumerate(SPLITS):
        if not (parts == index).any():
            raise UserError(
                f"{source}: {name} split is empty: found {len(np.unique(groups))} separate "
                "groups of pictures (a subject or a picture each), too few to fill three splits"
            )
    return parts, how


def _doubts(dataset: Dataset) -> list[str]:
    """What makes figures on this data set worth little."""
    counts, few, found = dataset.counts(), [], []
    for label in dataset.classes:
        row = {split: counts[split][label] for split in SPLITS}
        if row["train"] < FEW or not all(row.values()):
            few.append(f"{label} ({', '.join(f'{n} {split}' for split, n in row.items())})")
    if few:
        found.append(f"few pictures of {listed(few)}")
    flat = dataset.images.reshape(len(dataset), -1)
    if constant := int((flat.max(1) == flat.min(1)).sum()):
        found.append(f"{constant} pictures are of a single tone")
    if letters := unknown_letters(dataset.classes):
        found.append(f"letters of class names that are drawn as boxes: {letters[:20]}")
    return found
