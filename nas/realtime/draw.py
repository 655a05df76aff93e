"""Boxes, labels and bars on a frame; frame rate and recording mark on a window."""

from __future__ import annotations

from typing import Any

import cv2

from nas.realtime.detector import Box
from nas.realtime.recognizer import Face
from nas.realtime.smoothing import UNCERTAIN
from nas.realtime.tracker import iou

FONT = cv2.FONT_HERSHEY_SIMPLEX
GREEN, GREY, RED = (80, 220, 80), (170, 170, 170), (40, 40, 230)
WHITE, DARK = (255, 255, 255), (30, 30, 30)
PANEL_WIDTH, ROW = 128, 13


def annotate(frame: Any, faces: list[Face], classes: tuple[str, ...]) -> Any:
    """A BGR copy of the frame with every face's box, label and class probabilities."""
    out = frame.copy() if frame.ndim == 3 else cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
    boxes = [face.box for face in faces]
    for face in faces:
        _bars(out, face, classes, boxes)
    for face in faces:  # after all the panels, which might cover a neighbour's box or label
        x, y, w, h = face.box
        colour = GREY if face.label == UNCERTAIN else GREEN
        cv2.rectangle(out, (x, y), (x + w, y + h), colour, 2)
        number = "" if face.track is None else f"{face.track} "
        share = "" if face.label == UNCERTAIN else f" {max(face.probabilities):.0%}"
        _label(out, f"{number}{face.label}{share}", x, y, colour)
    return out


def mark(picture: Any, fps: float, recording: bool) -> Any:
    """A copy for the window: frames a second, and a red spot while a video is written."""
    out = picture.copy()
    right = out.shape[1]
    cv2.putText(out, f"{fps:.0f} fps", (right - 86, 22), FONT, 0.55, DARK, 3, cv2.LINE_AA)
    cv2.putText(out, f"{fps:.0f} fps", (right - 86, 22), FONT, 0.55, WHITE, 1, cv2.LINE_AA)
    if recording:
        cv2.circle(out, (right - 80, 40), 7, RED, -1, cv2.LINE_AA)
        cv2.putText(out, "REC", (right - 66, 46), FONT, 0.55, RED, 2, cv2.LINE_AA)
    return out


def _label(out: Any, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    (w, h), base = cv2.getTextSize(text, FONT, 0.55, 1)
    x = max(0, min(x, out.shape[1] - w - 6))
    top = max(0, y - h - base - 6)
    cv2.rectangle(out, (x, top), (x + w + 6, top + h + base + 6), colour, -1)
    cv2.putText(out, text, (x + 3, top + h + 3), FONT, 0.55, DARK, 1, cv2.LINE_AA)


def _bars(out: Any, face: Face, classes: tuple[str, ...], boxes: list[Box]) -> None:
    """A panel with one bar for each class."""
    left, top, _, height = _place(out, face.box, ROW * len(classes) + 4, boxes)
    panel = out[top : top + height, left : left + PANEL_WIDTH]
    if panel.size:
        cv2.convertScaleAbs(panel, panel, 0.35)
    strongest = max(face.probabilities)
    for i, (name, p) in enumerate(zip(classes, face.probabilities, strict=True)):
        base = top + 2 + ROW * i
        colour = GREEN if p == strongest else GREY
        cv2.putText(out, name[:9], (left + 3, base + 10), FONT, 0.36, WHITE, 1, cv2.LINE_AA)
        end = left + 62 + round(p * (PANEL_WIDTH - 66))
        cv2.rectangle(out, (left + 62, base + 3), (end, base + 10), colour, -1)


def _place(out: Any, box: Box, height: int, boxes: list[Box]) -> Box:
    """Right of the face, left, below or above: the first with room that hides no other face."""
    x, y, w, h = box
    places = [
        (left, top, PANEL_WIDTH, height)
        for left, top in ((x + w + 4, y), (x - PANEL_WIDTH - 4, y), (x, y + h + 4),
                          (x, y - height - 28))
        if left >= 0 and top >= 0
        and left + PANEL_WIDTH <= out.shape[1] and top + height <= out.shape[0]
    ]  # fmt: skip
    free = [p for p in places if not any(iou(p, b) > 0 for b in boxes)]
    right = max(0, min(x + w + 4, out.shape[1] - PANEL_WIDTH))
    return (free or places or [(right, max(0, y), PANEL_WIDTH, height)])[0]
