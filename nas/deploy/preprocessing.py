"""What a model file says of its network and of the faces it takes: one account for every format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.common.errors import UserError, shown
from nas.common.pixels import MEAN, STD, normalise
from nas.common.schema import LARGEST, is_name

FORMAT = "fer-nas.model/2"
FORMAT_1 = "fer-nas.preprocessing/1"  # of version 0.1: without the genome
METADATA_KEY = "fer-nas"
MAX_SIDE = 1024
MAX_CLASSES = 1000
MAX_METADATA = 1 << 18  # characters
MAX_MODEL_BYTES = 1 << 30  # of a model's file


@dataclass(frozen=True)
class ModelInfo:
    """A trained network without its weights; JSON in the metadata of ONNX and safetensors.

    The network takes float32 (N, channels, height, width) of `(pixel - mean) / std`, pixels
    0..255, and gives logits of `classes`. margin: share of a face's box that is added on every
    side before cropping, as in the training images. training_data: the data set's name. genome:
    plain data (arch.genome.Genome.to_dict), None in files of version 0.1.
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
    genome: dict[str, Any] | None = None

    def normalise(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 images of any shape -> float32 of the same shape."""
        return normalise(images.astype(np.float32), self.mean, self.std)

    def to_metadata(self) -> dict[str, str]:
        """Entry for the metadata of a file."""
        return {METADATA_KEY: json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> ModelInfo:
        """Read the metadata of a file. UserError when missing, malformed or out of bounds."""
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
        found = data.pop("format", None) if isinstance(data, dict) else None
        if found not in (FORMAT, FORMAT_1):
            raise UserError(f"{where}: metadata '{METADATA_KEY}' is not of format {FORMAT!r}")
        if found == FORMAT_1:
            data.pop("extra", None)
            data["genome"] = None
        return cls.from_dict(data, f"{where}: metadata '{METADATA_KEY}'")

    @classmethod
    def from_dict(cls, data: dict[str, Any], where: str) -> ModelInfo:
        """Plain data. A missing field is refused: another margin would be another pair of eyes."""
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(data) - known):
            raise UserError(f"{where}: has unknown field {shown(unknown[0])}")
        if missing := sorted(known - set(data)):
            raise UserError(f"{where}: lacks field {missing[0]!r}")
        try:
            info = cls(**{**data, "classes": tuple(data["classes"])})
            info._check()
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {error}") from None
        return info

    def _check(self) -> None:
        for name in ("channels", "height", "width"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= MAX_SIDE:
                raise ValueError(f"{name}: expected an integer in [1, {MAX_SIDE}], got {value!r}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels: expected 1 or 3, got {self.channels}")
        if not isinstance(self.genome_id, str) or not isinstance(self.genome, dict | None):
            raise ValueError("genome_id, genome: expected text and a mapping")
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
