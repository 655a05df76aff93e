"""Frame in, labelled faces out: the part of the demo that other programs can use."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.special import softmax

from nas.common.errors import UserError, shown
from nas.common.resources import ONNX, find_model
from nas.deploy.runtime import Precision, choose_model
from nas.realtime.boxes import Box
from nas.realtime.crop import crop_face
from nas.realtime.detector import Detector, HaarDetector
from nas.realtime.frames import Pixels
from nas.realtime.options import MARGIN, MIN_FACE, PRECISION, SHARE, THRESHOLD
from nas.realtime.smoothing import Floats, Smoother, label_of
from nas.realtime.stream_detector import StreamDetector, smallest_face
from nas.realtime.timing import StageTimer


@dataclass(frozen=True)
class Face:
    """box: x, y, width, height in pixels. probabilities: one for each class, sum 1.

    label: the class, or "uncertain". track: the face's id in a stream; None in single pictures.
    """

    box: Box
    label: str
    probabilities: tuple[float, ...]
    track: int | None = None

    def to_dict(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Plain data, for JSON."""
        shares = {name: round(p, 5) for name, p in zip(classes, self.probabilities, strict=True)}
        return {"track": self.track, "box": self.box, "label": self.label, "probabilities": shares}


class Recognizer:
    """`Recognizer(model)(frame)` -> the faces of one picture; `.stream()` for a video or camera.

    model: an ONNX file of nas.retrain or nas.export, its folder, or the name of one that ships.
    precision: "auto" takes the faster here of model.onnx and model.int8.onnx, if it lies beside.
    margin: round the box, instead of the model's own. smallest: face, pixels. threshold: of the
    strongest probability, below which a face is "uncertain". UserError where the model is unfit.
    """

    def __init__(
        self, model: str | Path = "model", *, margin: float | None = None,
        detector: Detector | None = None, smallest: int | None = None,
        threshold: float = THRESHOLD, precision: Precision = "auto",
    ) -> None:  # fmt: skip
        PRECISION.read(precision, "precision")
        margin = None if margin is None else MARGIN.read(margin, "margin")
        smallest = None if smallest is None else MIN_FACE.read(smallest, "smallest")
        threshold = SHARE.read(threshold, "threshold")
        if detector is not None and not callable(detector):
            raise UserError(f"detector: found {shown(detector)}; expected a Detector")
        self.network = choose_model(find_model(model, "model", ONNX), precision)
        self.preprocessing, self.model = self.network.info, self.network.path
        self.margin = self.preprocessing.margin if margin is None else margin
        self.detector = detector or HaarDetector()
        self.smallest, self.threshold = smallest, threshold
        self.steps = StageTimer()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.preprocessing.classes

    def __call__(self, frame: Pixels) -> list[Face]:
        """frame: uint8 (H, W, 3) BGR or (H, W) grey."""
        with self.steps("detect"):
            grey = as_grey(frame)
            boxes = self.detector(grey, smallest_face(grey.shape[0], self.smallest))
        return self._labelled(frame, grey, boxes)

    def whole(self, picture: Pixels) -> Face:
        """The label of a picture's central square, where no face is looked for: leaves, digits.

        picture: uint8 (H, W, 3) BGR or (H, W) grey.
        """
        grey = as_grey(picture)
        height, width = grey.shape
        side = min(height, width)
        box = ((width - side) // 2, (height - side) // 2, side, side)
        return self._labelled(picture, grey, [box])[0]

    def _labelled(self, frame: Pixels, grey: Pixels, boxes: list[Box]) -> list[Face]:
        return [
            Face(box, label_of(p, self.classes, self.threshold), tuple(p.tolist()))
            for box, p in zip(boxes, self.classify(frame, grey, boxes), strict=True)
        ]

    def stream(self) -> Stream:
        """A tracker with a memory of its own, for the frames of one video or camera."""
        return Stream(self)

    def classify(self, frame: Pixels, grey: Pixels, boxes: list[Box]) -> Floats:
        """Probabilities (faces, classes) of all boxes."""
        p = self.preprocessing
        with self.steps("classify"):
            if not boxes:
                return np.zeros((0, len(p.classes)))
            picture = frame if p.channels == 3 and frame.ndim == 3 else grey
            crops = np.stack([crop_face(picture, b, self.margin, p.height, p.width) for b in boxes])
            batch = crops.transpose(0, 3, 1, 2) if crops.ndim == 4 else crops[:, None]
            batch = np.repeat(batch, 3, 1) if p.channels > batch.shape[1] else batch
            return np.asarray(softmax(self.network(batch).astype(np.float64), axis=1))


class Stream:
    """`stream(frame)` -> the faces, with ids and steady labels. One stream for one source."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.recognizer = recognizer
        self.detector = StreamDetector(recognizer.detector, recognizer.smallest)
        self.smoother = Smoother(recognizer.classes, recognizer.threshold)
        self._before: float | None = None

    def __call__(self, frame: Pixels, seconds: float | None = None) -> list[Face]:
        """frame: uint8 (H, W, 3) BGR or (H, W) grey. seconds: its time; by default, now."""
        now = time.monotonic() if seconds is None else seconds
        passed = 0.0 if self._before is None else now - self._before
        self._before = now
        steps = self.recognizer.steps
        with steps("detect"):
            grey = as_grey(frame)
            tracks = self.detector(grey, passed)
        found = self.recognizer.classify(frame, grey, [t.box for t in tracks])
        with steps("smooth"):
            self.smoother.forget_all_but({t.id for t in tracks})
            steady = [self.smoother(t.id, p, now) for t, p in zip(tracks, found, strict=True)]
        return [Face(t.box, label, tuple(p.tolist()), t.id)
                for t, (label, p) in zip(tracks, steady, strict=True)]  # fmt: skip


def as_grey(frame: Pixels) -> Pixels:
    """uint8 (H, W) of a BGR or grey frame. UserError when it is neither."""
    if not isinstance(frame, np.ndarray):
        raise UserError(
            f"frame: expected uint8 pixels (H, W, 3) or (H, W), got {shown(frame)}; "
            "nas.common.images.read_picture reads a file"
        )
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or frame.shape[2:] not in ((), (3,)):
        raise UserError(
            f"frame: expected uint8 (H, W, 3) or (H, W), got {frame.dtype} {frame.shape}"
        )
    if not frame.size:
        raise UserError(f"frame: no pixels in {frame.shape}")
    if frame.ndim == 2:
        return frame
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
