"""From a face in a picture to what a model sees: the one place that training and demo share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.common.errors import UserError, shown
from nas.common.schema import LARGEST, is_name

FORMAT = "fer-nas.preprocessing/1"
METADATA_KEY = "fer-nas"
MEAN, STD = 127.5, 63.75  # of pixels 0..255; the same for every model
MAX_SIDE = 1024
MAX_CLASSES = 1000
MAX_METADATA = 1 << 17  # characters


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of its input. Stored as JSON in the ONNX metadata.

    A model takes float32 (N, channels, height, width) of `(pixel - mean) / std`, pixels 0..255.
    `margin` is the share of the detected box that is added on every side before cropping.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...]
    mean: float = MEAN
    std: float = STD
    margin: float = 0.0
    training_data: str = "unknown"
    genome_id: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def normalise(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 images of any shape -> float32 of the same shape."""
        return (images.astype(np.float32) - np.float32(self.mean)) / np.float32(self.std)

    def to_metadata(self) -> dict[str, str]:
        """Entry for the ONNX `metadata_props`."""
        return {METADATA_KEY: json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], where: str) -> Preprocessing:
        """Read the ONNX metadata. UserError when they are missing, malformed or out of bounds."""
        text = metadata.get(METADATA_KEY)
        if text is None:
            raise UserError(
                f"{where}: no '{METADATA_KEY}' metadata; expected a model written by nas.retrain"
            )
        if len(text) > MAX_METADATA:
            raise UserError(
                f"{where}: metadata '{METADATA_KEY}' has {len(text)} characters; allowed at most "
                f"{MAX_METADATA}"
            )
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise UserError(f"{where}: metadata '{METADATA_KEY}' is not valid JSON") from None
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise UserError(f"{where}: metadata '{METADATA_KEY}' is not of format {FORMAT!r}")
        # A default for a missing margin or mean would be another pair of eyes: refuse instead.
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(data) - known):
            raise UserError(f"{where}: metadata has unknown field {unknown[0]!r}")
        if missing := sorted(known - set(data)):
            raise UserError(f"{where}: metadata lacks field {missing[0]!r}")
        try:
            found = cls(**{**data, "classes": tuple(data["classes"])})
            found._check()
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: metadata '{METADATA_KEY}': {error}") from None
        return found

    def _check(self) -> None:
        for name in ("channels", "height", "width"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= MAX_SIDE:
                raise ValueError(f"{name}: expected an integer in [1, {MAX_SIDE}], got {value!r}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels: expected 1 or 3, got {self.channels}")
        names = [*self.classes, self.training_data]
        if not all(is_name(name) for name in names):
            raise ValueError("classes, training_data: expected names of 1 to 100 characters")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: found a name twice")
        if not 2 <= len(self.classes) <= MAX_CLASSES:
            raise ValueError(f"classes: expected 2 to {MAX_CLASSES}, got {len(self.classes)}")
        for name in ("mean", "std", "margin"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not -LARGEST <= value <= LARGEST:
                raise ValueError(f"{name}: expected a finite number, got {shown(value)}")
        if not self.std > 0:
            raise ValueError(f"std: expected above 0, got {self.std}")
        if not 0.0 <= self.margin <= 2.0:
            raise ValueError(f"margin: expected a number in [0, 2], got {self.margin!r}")
