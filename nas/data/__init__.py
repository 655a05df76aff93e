"""Data sets: what they are, where they are found, how they are split. No torch, no OpenCV."""

from __future__ import annotations

import re
from pathlib import Path

from nas.common.errors import UserError, did_you_mean
from nas.data.dataset import SPLITS, Dataset, load, save
from nas.data.fer2013 import CLASSES, prepare_fer2013
from nas.data.ferplus import prepare_ferplus, with_votes
from nas.data.folder import prepare_folder
from nas.data.splits import copies_of_train, duplicate_report, search_split

__all__ = [
    "CLASSES",
    "SPLITS",
    "Dataset",
    "check_name",
    "copies_of_train",
    "duplicate_report",
    "load",
    "open_dataset",
    "prepare_fer2013",
    "prepare_ferplus",
    "prepare_folder",
    "save",
    "search_split",
    "with_votes",
]

DATA = Path("data")
SYNTHETIC = "synthetic"


def check_name(name: str) -> str:
    """The same name. UserError when it could not be the name of a file in data/."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,63}", name):
        raise UserError(f"data set: name: expected letters, digits, _, + and -, got {name!r}")
    return name


def open_dataset(name_or_path: str | None) -> Dataset:
    """The synthetic default (None), a prepared data set by name, or any .npz by its path."""
    if name_or_path is None or name_or_path == SYNTHETIC:
        from nas.data.synthetic import synthetic_faces

        return synthetic_faces()
    if name_or_path.endswith(".npz"):
        return load(name_or_path)
    path = DATA / f"{check_name(name_or_path)}.npz"
    if path.is_file():
        return load(path)
    here = sorted(p.stem for p in DATA.glob("*.npz"))
    raise UserError(
        f"data set {name_or_path!r}: no {path}; found {', '.join([*here, SYNTHETIC])}"
        f"{did_you_mean(name_or_path, [*here, SYNTHETIC])}. Prepare it with: "
        f"python -m nas.data prepare {name_or_path} --from FILE_OR_FOLDER"
    )
