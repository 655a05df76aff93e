"""Boxes, labels and bars on a frame; frame rate and recording mark on a window.

Sizes follow the picture's. Labels and bars go where they cover no face and no other label.
"""

from __future__ import annotations

import heapq

import cv2
import numpy as np

from nas.common.text import column, label, put_text, text_size
from nas.realtime.boxes import Box, shared_area
from nas.realtime.frames import Pixels
from nas.realtime.recognizer import Face
from nas.realtime.smoothing import UNCERTAIN

GREEN, GREY, RED = (80, 220, 80), (180, 180, 180), (40, 40, 230)
WHITE, DARK = (255, 255, 255), (30, 30, 30)
SHARE, SMALLEST = 0.03, 12  # size of the font: of the shorter side; in pixels, at least
ROWS = 8  # of a panel with bars, at most: the strongest classes
NAME, BAR = 5, 4  # widths of a panel's two columns, in sizes of the font
DIM = 0.35  # of the picture's light that a panel lets through


def annotate(frame: Pixels, faces: list[Face], classes: tuple[str, ...]) -> Pixels:
    """A BGR copy of the frame with every face's box and label, and bars where there is room."""
    grey = frame.ndim == 2
    out = np.array(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) if grey else frame, np.uint8)
    size = font_size(out)
    smaller = max(SMALLEST, size * 2 // 3)
    labels, places, apart = _labels(out, faces, size)
    if not apart:  # a crowd
        labels, places, _ = _labels(out, faces, smaller)
    taken = [face.box for face in faces] + places
    for face in faces:
        _bars(out, face, classes, max(SMALLEST - 2, size * 2 // 3), taken)
    for face in faces:
        _frame(out, face, max(2, size // 8))
    for text, (x, y, _, _) in zip(labels, places, strict=True):
        room = out[y : y + text.shape[0], x : x + text.shape[1]]
        room[:] = text[: room.shape[0], : room.shape[1]]
    return out


def mark(picture: Pixels, fps: float, recording: bool) -> Pixels:
    """A copy for the window: frames a second, and a red spot while a video is written."""
    out = np.array(picture)
    size = font_size(out)
    lines = [(f"{fps:.0f} fps", WHITE)] + ([("\u25cf REC", RED)] if recording else [])
    for row, (text, colour) in enumerate(lines):
        width, height = text_size(text, size)
        x, y = out.shape[1] - width - size // 2, size // 4 + row * height
        put_text(out, text, x + 1, y + 1, size, DARK)
        put_text(out, text, x, y, size, colour)
    return out


def font_size(picture: Pixels) -> int:
    """Pixels: a label is as easy to read in a large picture as in a small one."""
    return max(SMALLEST, round(SHARE * min(int(side) for side in picture.shape[:2])))


def place(picture: Pixels, box: Box, size: tuple[int, int], taken: list[Box]) -> Box:
    """Where a label of this size goes: the place round the box that covers least of the others."""
    x, y, w, h = box
    width, height = size
    right, bottom = picture.shape[1] - width, picture.shape[0] - height
    corners = []
    for away in (0, height):  # next to the box, or a row further
        above, below = y - height - away, y + h + away
        corners += [(left, top) for top in (above, below) for left in (x, x + w - width)]
        corners += [(left, top) for top in (y, below, above) for left in (x + w, x - width)]
    places = [(max(0, min(a, right)), max(0, min(b, bottom)), width, height) for a, b in corners]
    for each in places:
        if not any(shared_area(each, other) for other in taken):
            return each
    return min(places, key=lambda each: sum(shared_area(each, other) for other in taken))


def _labels(out: Pixels, faces: list[Face], size: int) -> tuple[list[Pixels], list[Box], bool]:
    """Of each face its label and where it goes; whether none covers a face or another label."""
    labels, places, apart = [], [face.box for face in faces], True
    for face in faces:
        colour = GREY if face.label == UNCERTAIN else GREEN
        text = label(_title(face), size, DARK, colour)
        best = place(out, face.box, (text.shape[1], text.shape[0]), places)
        apart = apart and not any(shared_area(best, other) for other in places)
        labels.append(text)
        places.append(best)
    return labels, places[len(faces) :], apart


def _title(face: Face) -> str:
    number = "" if face.track is None else f"{face.track} "
    if face.label == UNCERTAIN:
        return f"{number}{UNCERTAIN}"
    return f"{number}{face.label} {max(face.probabilities):.0%}"


def _frame(out: Pixels, face: Face, thickness: int) -> None:
    """Whole and green, or grey and dashed where the label is uncertain."""
    x, y, w, h = face.box
    if face.label != UNCERTAIN:
        cv2.rectangle(out, (x, y), (x + w, y + h), GREEN, thickness)
        return
    step = 4 * thickness
    for at in range(0, w, 2 * step):
        for side in (y, y + h):
            cv2.line(out, (x + at, side), (x + min(at + step, w), side), GREY, thickness)
    for at in range(0, h, 2 * step):
        for side in (x, x + w):
            cv2.line(out, (side, y + at), (side, y + min(at + step, h)), GREY, thickness)


def _bars(
    out: Pixels, face: Face, classes: tuple[str, ...], size: int, taken: list[Box]
) -> None:  # fmt: skip
    """A panel with one bar for each class, where one fits that covers nothing."""
    strongest = heapq.nlargest(ROWS, range(len(classes)), key=face.probabilities.__getitem__)
    rows = sorted(strongest)
    names = column(tuple(classes[index] for index in rows), size, NAME * size - size // 2)
    height = names.shape[0]
    panel = _free_place(out, face.box, ((NAME + BAR) * size, height), taken)
    if panel is None:
        return
    taken.append(panel)
    left, top, width, _ = panel
    view = out[top : top + height, left : left + width]
    cv2.convertScaleAbs(view, view, DIM)
    words = view[:, size // 4 : size // 4 + names.shape[1]]
    cv2.add(words, names, words)
    row, start = height // len(rows), left + NAME * size
    for line, index in enumerate(rows):
        y = top + line * row
        end = start + round(face.probabilities[index] * (BAR * size - size // 2))
        sure = index == strongest[0] and face.label != UNCERTAIN
        colour = GREEN if sure else GREY
        cv2.rectangle(out, (start, y + row // 4), (end, y + row - row // 4), colour, -1)


def _free_place(out: Pixels, box: Box, size: tuple[int, int], taken: list[Box]) -> Box | None:
    """Right of the face, left, below or above, past its label too; None where none is free."""
    x, y, w, h = box
    width, height = size
    gap = width // 30 + 2
    label = text_size("Ag", font_size(out))[1]
    top = max(0, min(y, out.shape[0] - height))
    corners = [(x + w + gap, top), (x - width - gap, top)]
    for away in (gap, gap + label):
        corners += [(x, y + h + away), (x, y - height - away)]
    for left, top in corners:
        place = (left, top, width, height)
        inside = 0 <= left <= out.shape[1] - width and 0 <= top <= out.shape[0] - height
        if inside and not any(shared_area(place, other) for other in taken):
            return place
    return None
