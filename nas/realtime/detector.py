"""Find faces with OpenCV's Haar cascade and cut them out as the model saw them in training."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the frame
MINIMUM_FACE = 40


class Detector(Protocol):
    """grey uint8 (H, W) -> boxes."""

    def __call__(self, grey: Any) -> list[Box]: ...


class HaarDetector:
    """OpenCV's frontal face cascade (Viola and Jones 2001)."""

    def __init__(self, minimum: int = MINIMUM_FACE) -> None:
        self.cascade = cv2.CascadeClassifier(
            cv2.data.haarcascades + "haarcascade_frontalface_default.xml"  # type: ignore[attr-defined]
        )
        self.minimum = minimum

    def __call__(self, grey: Any) -> list[Box]:
        found = self.cascade.detectMultiScale(
            grey, scaleFactor=1.1, minNeighbors=5,
            minSize=(self.minimum, self.minimum),
        )  # fmt: skip
        return sorted(tuple(int(v) for v in box) for box in found)  # type: ignore[misc]


def crop_face(grey: Any, box: Box, margin: float, height: int, width: int) -> Any:
    """The box, grown by `margin` of its size on every side, as uint8 (height, width).

    Where it leaves the picture the border pixels are repeated, so that a face at the edge keeps
    its place and scale.
    """
    x, y, w, h = box
    half_w, half_h = w * (0.5 + margin), h * (0.5 + margin)
    centre_x, centre_y = x + w / 2, y + h / 2
    left, right = round(centre_x - half_w), round(centre_x + half_w)
    top, bottom = round(centre_y - half_h), round(centre_y + half_h)
    rows = np.clip(np.arange(top, max(bottom, top + 1)), 0, grey.shape[0] - 1)
    columns = np.clip(np.arange(left, max(right, left + 1)), 0, grey.shape[1] - 1)
    patch = np.ascontiguousarray(grey[np.ix_(rows, columns)])
    shrinks = patch.shape[0] >= height
    return cv2.resize(
        patch, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
