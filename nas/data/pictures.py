"""Pictures as a data set's pixels: decoded, cut to a square, resized; the contact sheet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from nas.common.errors import UserError
from nas.common.files import make_folder
from nas.common.images import MAX_FILE, decode, write_picture
from nas.common.text import shortened, text_mask
from nas.data.dataset import Bytes, Dataset
from nas.data.files import File
from nas.data.labelled import Box

CAPTION = 16  # pixels of height in the contact sheet
GREY_WITHIN = 3.0  # mean difference of a picture's channels; chroma of a grey JPEG reaches 1


def read_pixels(file: File, colour: bool, box: Box | None = None) -> Bytes:
    """uint8 (height, width, 3) BGR or (height, width), of its box alone where it has one.

    UserError when broken or out of bounds.
    """
    raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise UserError(f"{file.name}: larger than {MAX_FILE >> 20} MiB")
    pixels = decode(raw, file.name, colour)
    if box is None:
        return pixels
    x, y, width, height = box
    face = pixels[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if not face.size:
        raise UserError(f"{file.name}: the box of its face, {box}, lies outside of it")
    return face


def is_colour(image: Bytes) -> bool:
    """Whether a BGR picture shows more than greys."""
    return float((image.max(2) - image.min(2)).mean()) > GREY_WITHIN


def square(image: Bytes, size: int) -> Bytes:
    """The central square of a picture (height, width[, 3]), resized: (channels, size, size)."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = np.ascontiguousarray(image[top : top + side, left : left + side])
    if side != size:
        method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR  # area cannot enlarge
        image = np.asarray(cv2.resize(image, (size, size), interpolation=method), np.uint8)
    return image.reshape(size, size, -1).transpose(2, 0, 1)


def contact_sheet(dataset: Dataset, columns: int = 16) -> Bytes:
    """Random training images, one row per class under its name: uint8 (height, width, C)."""
    rng = np.random.default_rng(0)
    train = dataset.indices("train")
    rows = train if len(train) else np.arange(len(dataset))
    _, channels, height, width = dataset.images.shape
    strips = []
    for label, name in enumerate(dataset.classes):
        mine = rows[dataset.labels[rows] == label]
        chosen = rng.permutation(mine)[:columns]
        caption = np.full((CAPTION, columns * width, channels), 255, np.uint8)
        ink = text_mask(shortened(name, CAPTION * 3 // 4, columns * width - 4), CAPTION * 3 // 4)
        caption[: len(ink), 2 : 2 + ink.shape[1]] -= ink[:CAPTION, :, None]
        strip = np.full((height, columns, width, channels), 255, np.uint8)
        strip[:, : len(chosen)] = dataset.images[chosen].transpose(2, 0, 3, 1)
        strips += [caption, strip.reshape(height, columns * width, channels)]
    return np.concatenate(strips)


def write_contact_sheet(dataset: Dataset, path: Path) -> None:
    """`contact_sheet` as a PNG. UserError when it cannot be written."""
    make_folder(path.parent)
    write_picture(path, contact_sheet(dataset))
