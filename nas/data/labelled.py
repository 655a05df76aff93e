"""Pictures whose class is known, and what the readers of layouts share."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from nas.common.errors import UserError
from nas.data.files import File, Source

SPLIT_FOLDERS = {
    "train": 0, "training": 0, "train_set": 0, "validation": 1, "valid": 1, "val": 1, "val_set": 1,
    "test": 2, "testing": 2,
}  # fmt: skip
MAX_LIST = 4 << 20  # bytes

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


@dataclass(frozen=True)
class Picture:
    """split: an index into SPLITS, None where the source has no splits.

    box: of the face, where the picture is more than that.
    """

    file: File
    label: str
    split: int | None = None
    box: Box | None = None


@dataclass(frozen=True)
class Labelled:
    """The pictures of a source, by split, class and name. notes: what the user should know."""

    layout: str
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({picture.label for picture in self.pictures}))


def read_number(file: File, source: Source, codes: tuple[str, ...]) -> str:
    """The class of an annotation: a number as text, or in an .npy file."""
    where = f"{source.path}: {file.name}"
    try:
        if file.parts[-1].endswith(".npy"):
            array = np.load(io.BytesIO(file.read(1024)), allow_pickle=False)
            number = float(array.item())
        else:
            number = float(read_list(file, source))
        return {float(i): code for i, code in enumerate(codes)}[number]
    except UserError:
        raise
    except Exception:  # numpy's header has many kinds
        raise UserError(f"{where}: expected a number, {listed_codes(codes)}") from None


def read_list(file: File, source: Source, limit: int = MAX_LIST) -> str:
    raw = file.read(limit + 1)
    if len(raw) > limit:
        raise UserError(f"{source.path}: {file.name}: larger than {limit} bytes")
    return raw.decode("utf-8", "replace")


def listed_codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"{k} {name}" for k, name in enumerate(names))
