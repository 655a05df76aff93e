"""Find faces in a grey picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from cv2.data import haarcascades

from nas.common.errors import UserError, first_line, one_of
from nas.common.files import check_file
from nas.common.quiet import Quiet
from nas.realtime.boxes import Box
from nas.realtime.frames import Pixels
from nas.realtime.options import DETECTORS

CASCADES = {
    "haar": ("haarcascade_frontalface_default.xml", 24),
    "haar-alt2": ("haarcascade_frontalface_alt2.xml", 20),
}
MAX_DETECTOR_BYTES = 64 << 20
SCORE = 0.7  # of YuNet, from which a box is a face
Look = Literal["careful", "quick", "near"]


class Detector(Protocol):
    """grey uint8 (H, W), smallest and largest side of a face (0: any) -> boxes.

    look: "careful" where the boxes are the result, "quick" where each will be looked at again, so
    that the weakest evidence is enough, "near" where a face was found before.
    `window` is the side in pixels of the smallest face that the detector can see.
    """

    window: int

    def __call__(
        self, grey: Pixels, smallest: int, largest: int = 0, look: Look = "careful"
    ) -> list[Box]: ...


class HaarDetector:
    """A frontal face cascade that comes with OpenCV (Viola and Jones 2001)."""

    # Step between two sizes tried; hits that must agree on a box.
    EFFORT: Mapping[Look, tuple[float, int]] = {
        "careful": (1.1, 5), "quick": (1.2, 1), "near": (1.1, 2),
    }  # fmt: skip

    def __init__(self, name: str = "haar-alt2") -> None:
        file, self.window = CASCADES[name]
        self.cascade = cv2.CascadeClassifier(haarcascades + file)

    def __call__(
        self, grey: Pixels, smallest: int, largest: int = 0, look: Look = "careful"
    ) -> list[Box]:
        step, neighbours = self.EFFORT[look]
        found = self.cascade.detectMultiScale(
            grey, scaleFactor=step, minNeighbors=neighbours,
            minSize=(smallest, smallest), maxSize=(largest, largest),
        )  # fmt: skip
        return sorted((int(x), int(y), int(w), int(h)) for x, y, w, h in found)


class YuNetDetector:
    """OpenCV's small detection network (Wu et al. 2023), from a model file of the user's."""

    window = 20

    def __init__(self, path: Path) -> None:
        check_file(path, MAX_DETECTOR_BYTES, "a YuNet model (.onnx)")
        try:
            with Quiet():
                self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), SCORE)
                self(np.zeros((64, 64), np.uint8), self.window)
        except cv2.error as error:
            raise UserError(f"{path}: not a YuNet model: {first_line(error)[:200]}") from None

    def __call__(
        self, grey: Pixels, smallest: int, largest: int = 0, look: Look = "careful"
    ) -> list[Box]:
        self.network.setInputSize(grey.shape[::-1])
        _, found = self.network.detect(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
        boxes = []
        for x, y, w, h in [] if found is None else np.nan_to_num(found[:, :4], posinf=0, neginf=0):
            side = max(w, h)  # square, as the faces in training
            if side >= smallest and (not largest or side <= largest):
                left, top = x + (w - side) / 2, y + (h - side) / 2
                boxes.append((round(left), round(top), round(side), round(side)))
        return sorted(boxes)


def make_detector(name: str, model: str = "") -> Detector:
    """One of DETECTORS; `model` is the file that yunet needs. UserError where they do not fit."""
    if name not in DETECTORS:
        raise one_of("--detector", name, DETECTORS, "detector")
    if name == "yunet":
        if not model:
            raise UserError("--detector-model: missing; yunet needs its model file (.onnx)")
        return YuNetDetector(Path(model))
    if model:
        raise UserError(f"--detector-model: {name} takes none; it comes with OpenCV")
    return HaarDetector(name)
