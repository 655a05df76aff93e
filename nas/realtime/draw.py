"""Boxes, labels and bars on a frame."""

from __future__ import annotations

from typing import Any

import cv2

from nas.realtime.recognizer import Face

FONT = cv2.FONT_HERSHEY_SIMPLEX
GREEN, WHITE, DARK = (80, 220, 80), (255, 255, 255), (30, 30, 30)
PANEL_WIDTH = 128


def annotate(frame: Any, faces: list[Face], classes: tuple[str, ...]) -> Any:
    """A copy of the frame with every face's box, label and class probabilities."""
    out = frame.copy()
    for face in faces:
        _bars(out, face, classes)
    for face in faces:  # after all the panels, which might cover a neighbour's box or label
        x, y, w, h = face.box
        cv2.rectangle(out, (x, y), (x + w, y + h), GREEN, 2)
        _label(out, f"{face.label} {max(face.probabilities):.0%}", x, y)
    return out


def _label(out: Any, text: str, x: int, y: int) -> None:
    (w, h), base = cv2.getTextSize(text, FONT, 0.55, 1)
    x = max(0, min(x, out.shape[1] - w - 6))
    top = max(0, y - h - base - 6)
    cv2.rectangle(out, (x, top), (x + w + 6, top + h + base + 6), GREEN, -1)
    cv2.putText(out, text, (x + 3, top + h + 3), FONT, 0.55, DARK, 1, cv2.LINE_AA)


def _bars(out: Any, face: Face, classes: tuple[str, ...]) -> None:
    """A small panel to the right of the face, or to its left where there is no room."""
    x, y, w, _ = face.box
    row = 13
    height = row * len(classes) + 4
    left = x + w + 4
    if left + PANEL_WIDTH > out.shape[1]:
        left = max(0, x - PANEL_WIDTH - 4)
    top = max(0, min(y, out.shape[0] - height))
    panel = out[top : top + height, left : left + PANEL_WIDTH]
    panel[:] = (panel * 0.35).astype(panel.dtype)
    for i, (name, p) in enumerate(zip(classes, face.probabilities, strict=True)):
        base = top + 2 + row * i
        strongest = name == face.label
        colour = GREEN if strongest else (170, 170, 170)
        cv2.putText(out, name[:9], (left + 3, base + 10), FONT, 0.36, WHITE, 1, cv2.LINE_AA)
        end = left + 62 + round(p * (PANEL_WIDTH - 66))
        cv2.rectangle(out, (left + 62, base + 3), (end, base + 10), colour, -1)
