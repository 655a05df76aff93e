"""Cameras and video files with the faults of real ones; OpenCV writes, then boxes are moved."""

import struct
import time

import cv2
import numpy as np

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


def numbered(count, size=(160, 120)):
    """Frames of which each is a little brighter than the one before."""
    return [np.full((size[1], size[0], 3), 4 * k % 256, np.uint8) for k in range(count)]


def write_clip(path, frames, fps=30, codec="mp4v"):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


class FakeCamera:
    """A capture of OpenCV's that gives these frames, then none; without any it is not open."""

    opened = 0

    def __init__(self, frames, pause=0.0):
        self.frames, self.pause = list(frames), pause
        self.height, self.width = frames[0].shape[:2] if frames else (0, 0)
        FakeCamera.opened += 1

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.width > 0

    def get(self, what):
        sizes = {cv2.CAP_PROP_FRAME_WIDTH: self.width, cv2.CAP_PROP_FRAME_HEIGHT: self.height}
        return float(sizes.get(what, 0))

    def read(self):
        time.sleep(self.pause)
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def release(self):
        self.frames = []


def boxes(raw):
    """[type, content] of an MP4's boxes; the content of some is again such a list."""
    found, at = [], 0
    while at < len(raw):
        size, kind = struct.unpack(">I4s", raw[at : at + 8])
        content = raw[at + 8 : at + size]
        found.append([kind, boxes(content) if kind in CONTAINERS else content])
        at += size
    return found


def joined(tree):
    parts = [(kind, joined(content) if isinstance(content, list) else content)
             for kind, content in tree]  # fmt: skip
    return b"".join(struct.pack(">I4s", len(raw) + 8, kind) + raw for kind, raw in parts)


def find(tree, kind):
    for box in tree:
        if box[0] == kind:
            return box
        found = find(box[1], kind) if isinstance(box[1], list) else None
        if found:
            return found
    return None


def index_first(raw):
    """The MP4 as a web server wants it: its index stands before the pictures."""
    tree = boxes(raw)
    moov, mdat = find(tree, b"moov"), find(tree, b"mdat")
    stco = find(tree, b"stco")
    shift = len(joined([moov]))
    count = struct.unpack(">I", stco[1][4:8])[0]
    offsets = struct.unpack(f">{count}I", stco[1][8:])
    stco[1] = stco[1][:8] + struct.pack(f">{count}I", *[at + shift for at in offsets])
    return joined([box for box in tree if box is not moov and box is not mdat] + [moov, mdat])


def with_times(raw, runs):
    """The MP4 with another duration for its frames: (how many, how long) in its own time units."""
    tree = boxes(raw)
    trak = find(tree, b"trak")
    trak[1] = [box for box in trak[1] if box[0] != b"edts"]  # it would end where the old times do
    table = b"".join(struct.pack(">II", *run) for run in runs)
    find(tree, b"stts")[1] = struct.pack(">II", 0, len(runs)) + table
    return joined(tree)
