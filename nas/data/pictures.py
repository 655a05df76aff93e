"""Image files in class folders, read within bounds; the contact sheet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from nas.common.errors import UserError
from nas.data.dataset import MAX_CLASSES, Bytes, Dataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".webp")
MAX_FILE = 50 << 20
MAX_PICTURE_SIDE = 8192
MAX_FILES = 1_000_000


def read_grey(path: Path) -> Bytes:
    """The picture as uint8 (height, width). UserError when it is broken or out of bounds."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None
    if len(raw) > MAX_FILE:
        raise UserError(f"{path}: larger than {MAX_FILE} bytes")
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_GRAYSCALE) if raw else None
    except cv2.error:  # OpenCV's own limits on the number of pixels
        image = None
    if image is None:
        raise UserError(f"{path}: not a readable image; expected one of {', '.join(SUFFIXES)}")
    height, width = image.shape
    if max(height, width) > MAX_PICTURE_SIDE:
        raise UserError(
            f"{path}: found {width}x{height} pixels; allowed at most {MAX_PICTURE_SIDE} a side"
        )
    return np.asarray(image, dtype=np.uint8)


def square(image: Bytes, size: int) -> Bytes:
    """The central square of a grey image, resized to (size, size)."""
    height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = np.ascontiguousarray(image[top : top + side, left : left + side])
    if side == size:
        return image
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR  # area cannot enlarge
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), dtype=np.uint8)


def subfolders(folder: Path) -> dict[str, Path]:
    """Visible folders inside `folder` by lower-case name, sorted."""
    try:
        found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: cannot read: {error.strerror}") from None
    return {p.name.lower(): p for p in found}


def pictures_by_class(folder: Path) -> dict[str, list[Path]]:
    """Class folder name -> its image files, both sorted; files of other kinds are left out."""
    found = {}
    for name, path in subfolders(folder).items():
        files = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
        found[name] = sorted(p for p in files if not p.name.startswith("."))
    if not 2 <= len(found) <= MAX_CLASSES:
        raise UserError(
            f"{folder}: found {len(found)} class folders; expected 2 to {MAX_CLASSES} "
            "(layout CLASS/image.png)"
        )
    if sum(map(len, found.values())) > MAX_FILES:
        raise UserError(f"{folder}: found more than {MAX_FILES} images")
    for name, files in found.items():
        if not files:
            raise UserError(f"{folder / name}: found no image; expected {', '.join(SUFFIXES)}")
    return found


def contact_sheet(dataset: Dataset, columns: int = 16, seed: int = 0) -> Bytes:
    """Random training images, one row per class under its name: uint8 (height, width, C)."""
    rng = np.random.default_rng(seed)
    train = dataset.indices("train")
    rows = train if len(train) else np.arange(len(dataset))
    _, channels, height, width = dataset.images.shape
    strips = []
    for label, name in enumerate(dataset.classes):
        mine = rows[dataset.labels[rows] == label]
        chosen = rng.permutation(mine)[:columns]
        caption = np.full((16, columns * width, channels), 255, np.uint8)
        cv2.putText(caption, name, (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1)
        strip = np.full((height, columns, width, channels), 255, np.uint8)
        strip[:, : len(chosen)] = dataset.images[chosen].transpose(2, 0, 3, 1)
        strips += [caption, strip.reshape(height, columns * width, channels)]
    return np.concatenate(strips)
