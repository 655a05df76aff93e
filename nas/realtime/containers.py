"""Video files: which kinds are opened at all, and whether one ends before its contents do."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from nas.common.files import open_regular

# FFmpeg's demuxers for one file that holds pictures; playlists, scripts and devices open others.
DEMUXERS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v", "asf", "flv",
    "ogg", "ivf", "obu", "gif", "mjpeg", "mpjpeg", "mxf", "dv", "yuv4mpegpipe",
)  # fmt: skip
MAX_PARTS = 100_000  # of a file that are looked at
ISO_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_bytes(path: Path) -> int:
    """How many bytes a file lacks by its own account: MP4 and MOV, AVI, Matroska and WebM.

    0 where it is whole, was never closed (a recording that was cut off) or is of another kind.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[4:8] in ISO_FIRST:
            end = _end_of_boxes(file, size)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            end = _end_of_riff(file, size)
        elif head[:4] == EBML:
            end = _end_of_segment(file)
        else:
            end = size
    return max(0, end - size)


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """ISO 14496-12: boxes of a 32-bit size and a type; size 1: 64 bits follow, 0: to the end."""
    at = 0
    for _ in range(MAX_PARTS):
        file.seek(at)
        head = file.read(16)
        if at >= size or len(head) < 8:
            return at
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:
            return size
        at += length
    return at


def _end_of_riff(file: BinaryIO, size: int) -> int:
    """AVI: RIFF chunks one after the other, each of an even length; 0: it was never closed."""
    at = 0
    for _ in range(MAX_PARTS):
        file.seek(at)
        head = file.read(8)
        if at >= size or len(head) < 8 or head[:4] != b"RIFF":
            return at
        (length,) = struct.unpack("<I", head[4:])
        if length == 0:
            return size
        at += 8 + length + length % 2
    return at


def _end_of_segment(file: BinaryIO) -> int:
    """RFC 8794: an EBML header, then a segment; a size of all ones is not known."""
    file.seek(len(EBML))
    header, _ = _ebml_size(file)
    file.seek(header, os.SEEK_CUR)
    if file.read(len(SEGMENT)) != SEGMENT:
        return 0
    length, known = _ebml_size(file)
    return file.tell() + length if known else 0


def _ebml_size(file: BinaryIO) -> tuple[int, bool]:
    first = file.read(1)
    if not first or not first[0]:
        return 0, False
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big") & ((1 << 7 * (more + 1)) - 1)
    return value, value != (1 << 7 * (more + 1)) - 1
