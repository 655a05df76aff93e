"""Any data set of CLASS/image folders: JAFFE, CK+, KDEF, RAF and one's own."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from nas.common.errors import UserError
from nas.data.dataset import MAX_BYTES, MAX_SIDE, SPLITS, Dataset, Indices, check
from nas.data.pictures import pictures_by_class, read_grey, square, subfolders
from nas.data.splits import duplicate_groups, stratified_parts

SHARES = (0.8, 0.1, 0.1)
SPLIT_FOLDERS = {"train": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}
SUBJECT_PATTERNS = (
    re.compile(r"(?P<subject>[A-Z]{2})[.-](?:AN|DI|FE|HA|NE|SA|SU)\d[.-]\d+"),  # JAFFE KA.AN1.39
    re.compile(r"(?P<subject>S\d{3})_\d{3}_\d{8}"),  # CK+ S010_004_00000017
    re.compile(r"[AB](?P<subject>[FM]\d{2})(?:AF|AN|DI|HA|NE|SA|SU)(?:S|HL|HR|FL|FR)"),  # KDEF
)


def subject_of(file_name: str) -> str | None:
    """Who is on the picture, where the name tells: `KA.AN1.39.tiff` -> `KA`."""
    for pattern in SUBJECT_PATTERNS:
        if found := pattern.match(file_name):
            return found["subject"]
    return None


def prepare_folder(source: Path, name: str, size: int = 48, seed: int = 0) -> Dataset:
    """Read CLASS/image, or train|validation|test/CLASS/image, as grey size x size pictures.

    Without split folders: 80/10/10 within each class. A subject, or copies of one image where
    names tell no subject, are never in two splits. Pictures should show the face alone: the
    central square is used.
    """
    if not 8 <= size <= MAX_SIDE:
        raise UserError(f"size: expected 8 to {MAX_SIDE}, got {size}")
    if not source.is_dir():
        raise UserError(f"{source}: not a folder; expected one laid out CLASS/image.png")
    folders = subfolders(source)
    if set(folders) & {"train", "test"}:
        files, labels, classes, split = _list_splits(source, folders)
    else:
        found = pictures_by_class(source)
        classes = tuple(found)
        files = [path for paths in found.values() for path in paths]
        labels = [classes.index(c) for c, paths in found.items() for _ in paths]
        split = None
    if len(files) * size * size > MAX_BYTES:
        raise UserError(f"{source}: {len(files)} images of {size}x{size}: more than {MAX_BYTES} B")
    images = np.stack([square(read_grey(path), size) for path in files])[:, None]
    label_array = np.array(labels, np.uint8)
    groups = _groups(files, duplicate_groups(images))
    given = split is not None
    parts = _complete(split, label_array, groups, seed)
    for index, part in enumerate(SPLITS):
        if not (parts == index).any():
            raise UserError(
                f"{source}: {part} split is empty: found {len(np.unique(groups))} separate groups "
                "of images (a subject or a picture each), too few to fill three splits"
            )
    provenance = _provenance(source, files, groups, given)
    provenance["sha256"] = hashlib.sha256(images.tobytes()).hexdigest()
    dataset = Dataset(name, images, label_array, parts.astype(np.uint8), classes, provenance)
    return check(dataset, str(source))


def _list_splits(
    source: Path, folders: dict[str, Path]
) -> tuple[list[Path], list[int], tuple[str, ...], list[int]]:
    """Files, labels, classes and splits of a folder that is split already."""
    unknown = sorted(set(folders) - set(SPLIT_FOLDERS))
    if unknown or not {"train", "test"} <= set(folders):
        raise UserError(
            f"{source}: found folders {sorted(folders)[:8]}; expected train, test and "
            "perhaps validation, or classes alone"
        )
    found = {name: pictures_by_class(path) for name, path in folders.items()}
    classes = tuple(found["train"])
    files, labels, split = [], [], []
    for part, by_class in found.items():
        for label, paths in by_class.items():
            if label not in classes:
                raise UserError(f"{source}: {part}/{label} is no class of train: {list(classes)}")
            files += paths
            labels += [classes.index(label)] * len(paths)
            split += [SPLIT_FOLDERS[part]] * len(paths)
    return files, labels, classes, split


def _groups(files: list[Path], copies: Indices) -> Indices:
    """A number for each file; files of one subject, or else copies of one image, share it."""
    numbers: dict[object, int] = {}
    keys: list[object] = [
        subject_of(f.name) or copy for f, copy in zip(files, copies.tolist(), strict=True)
    ]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _complete(split: list[int] | None, labels: Any, groups: Indices, seed: int) -> Indices:
    """The given splits, with a validation split taken from train if there is none."""
    if split is None:
        return stratified_parts(labels, groups, SHARES, seed)
    parts = np.array(split, np.int64)
    if not (parts == 1).any():
        train = np.flatnonzero(parts == 0)
        parts[train] = stratified_parts(labels[train], groups[train], (0.9, 0.1), seed)
    return parts


def _provenance(source: Path, files: list[Path], groups: Indices, given: bool) -> dict[str, Any]:
    subjects = {s for f in files if (s := subject_of(f.name))}
    return {
        "source": source.resolve().name,
        "splits": "given by folders" if given else "80/10/10 within each class",
        "groups": len(np.unique(groups)),
        "subjects": len(subjects),
        "without_subject": sum(subject_of(f.name) is None for f in files),
        "synthetic": False,
    }
