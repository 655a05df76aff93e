"""Pictures that others made: told by their content, read within bounds, decoded by OpenCV.

OpenCV gets bytes, never a file name: it crashes on names that are not UTF-8.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from nas.common.errors import UserError
from nas.common.files import read_bytes, replace_file
from nas.common.quiet import Quiet

MAX_FILE = 50 << 20  # bytes
MAX_SIDE = 8192  # pixels
HEAD = 16  # bytes that tell a format
FORMATS = {  # what OpenCV decodes to 8 bits, by the first bytes of a file
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WebP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II[*+]\x00|MM\x00[*+]",
    "BMP": rb"BM.{4}\x00{4}",
    "AVIF": rb".{4}ftypavi[fs]",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP {2}\r\n|\xff\x4f\xff\x51",
    "PNM": rb"P[1-7]\s",
    "Sun raster": rb"\x59\xa6\x6a\x95",
}
FOREIGN = {  # pictures that OpenCV does not decode, or only to floating point
    "HEIC": rb".{4}ftyp(hei|hev|mif1|msf1)",
    "Radiance HDR": rb"#\?R",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "PFM": rb"P[fF]\s",
    "Photoshop": rb"8BPS",
}
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".dib",
    ".avif", ".jp2", ".j2k", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".ras", ".sr", ".heic",
    ".heif", ".hdr", ".exr", ".pfm", ".psd",
))  # fmt: skip


def picture_format(head: bytes) -> str | None:
    """The format's name, by the first `HEAD` bytes of a file; None where it is no picture."""
    for name, pattern in {**FORMATS, **FOREIGN}.items():
        if re.match(pattern, head, re.DOTALL):
            return name
    return None


def is_picture(name: str, head: bytes) -> bool:
    """Whether a file is meant as a picture, by its content or, where that is broken, its name."""
    return picture_format(head) is not None or Path(name).suffix.lower() in SUFFIXES


def decode(raw: bytes, where: str, colour: bool = True) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3) BGR, or (height, width) grey; upright as its EXIF data say.

    UserError when the bytes are no picture, a broken one, or one of more than MAX_SIDE pixels.
    """
    kind = picture_format(raw[:HEAD])
    if kind not in FORMATS:
        found = kind or ("an empty file" if not raw else "no picture's content")
        raise UserError(f"{where}: found {found}; expected one of {', '.join(FORMATS)}")
    image = None
    # cv2.error: more pixels than OpenCV's own limit (nas/__init__.py), or a broken file
    with Quiet(), contextlib.suppress(cv2.error):
        if kind != "PNG" or _has_whole_chunks(raw):
            flags = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
            image = cv2.imdecode(np.frombuffer(raw, np.uint8), flags)
    if image is None:
        raise UserError(f"{where}: a broken {kind}, or one of more than {MAX_SIDE} pixels a side")
    height, width = image.shape[:2]
    if max(height, width) > MAX_SIDE:
        raise UserError(f"{where}: {width}x{height} pixels; allowed at most {MAX_SIDE} a side")
    return np.asarray(image, dtype=np.uint8)


def _has_whole_chunks(png: bytes) -> bool:
    """OpenCV takes the gigabytes that a chunk claims before it looks whether they are there."""
    at = 8
    while at < len(png):
        kind, at = png[at + 4 : at + 8], at + 12 + int.from_bytes(png[at : at + 4], "big")
        if kind == b"IEND":
            return at <= len(png)
    return False


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """The picture in a file, as `decode` gives it. UserError also when it cannot be read."""
    return decode(read_bytes(path, MAX_FILE, "a picture of at most 50 MiB"), str(path))


def write_picture(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """(height, width[, channels]) BGR as the suffix says. UserError where it cannot be written."""
    done = False
    with Quiet(), contextlib.suppress(cv2.error):  # of a suffix that it does not know
        done, raw = cv2.imencode(path.suffix.lower() or ".png", picture)
    if not done:
        raise UserError(f"{path}: cannot write a picture of this size and kind")
    replace_file(path, raw.tobytes())
