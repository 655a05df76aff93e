"""Frame in, labelled faces out: the part of the demo that other programs can use."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nas.onnx_session import open_model
from nas.realtime import DEFAULT_MODEL
from nas.realtime.detector import Box, Detector, HaarDetector, crop_face


@dataclass(frozen=True)
class Face:
    """box: x, y, width, height in pixels. probabilities: one for each class, sum 1."""

    box: Box
    label: str
    probabilities: tuple[float, ...]


class Recognizer:
    """`Recognizer(model)(frame)` -> list of Face.

    model: an ONNX file written by nas.retrain, by default the one that ships. margin: instead of
    the model's own. `seconds` sums up what detection and classification took.
    """

    def __init__(
        self, model: str | Path = DEFAULT_MODEL, margin: float | None = None,
        detector: Detector | None = None, threads: int = 1,
    ) -> None:  # fmt: skip
        self.session, self.preprocessing = open_model(Path(model), threads)
        self.margin = self.preprocessing.margin if margin is None else margin
        self.detector = detector or HaarDetector()
        self.input = self.session.get_inputs()[0].name
        self.seconds = {"detect": 0.0, "classify": 0.0}

    @property
    def classes(self) -> tuple[str, ...]:
        return self.preprocessing.classes

    def __call__(self, frame: Any) -> list[Face]:
        """frame: uint8 (H, W, 3) BGR or (H, W) grey."""
        started = time.perf_counter()
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame
        boxes = self.detector(grey)
        detected = time.perf_counter()
        faces = self._classify(frame if self.preprocessing.channels == 3 else grey, boxes)
        self.seconds["detect"] += detected - started
        self.seconds["classify"] += time.perf_counter() - detected
        return faces

    def _classify(self, picture: Any, boxes: list[Box]) -> list[Face]:
        if not boxes:
            return []
        p = self.preprocessing
        crops = np.stack([crop_face(picture, b, self.margin, p.height, p.width) for b in boxes])
        batch = crops[:, None] if crops.ndim == 3 else crops.transpose(0, 3, 1, 2)
        logits = self.session.run(None, {self.input: p.normalise(batch)})[0]
        return [
            Face(box, self.classes[int(row.argmax())], tuple(float(v) for v in row))
            for box, row in zip(boxes, softmax(logits), strict=True)
        ]


def softmax(logits: Any) -> Any:
    """(N, classes) -> probabilities, float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)
