"""What a model file says of its network and of the faces it takes: one account for every format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from nas.common.errors import UserError
from nas.common.files import parse_json
from nas.common.pixels import MEAN, STD, normalise
from nas.common.schema import Float, Int, Map, Name, Plain, Text, hints, read

FORMAT = "fer-nas.model/2"
FORMAT_1 = "fer-nas.preprocessing/1"  # of version 0.1: without the genome
METADATA_KEY = "fer-nas"
Side = Annotated[int, Int(1, 1024)]  # pixels
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

    channels: Annotated[int, Int(1, 3, odd=True)]
    height: Side
    width: Side
    classes: tuple[Annotated[str, Name()], ...]
    mean: Annotated[float, Float(-1e9, 1e9)] = MEAN
    std: Annotated[float, Float(1e-9, 1e9)] = STD
    margin: Annotated[float, Float(0.0, 2.0)] = 0.0
    training_data: Annotated[str, Name()] = "unknown"
    genome_id: Annotated[str, Text(64)] = ""
    genome: Annotated[dict[str, Any], Map(Plain())] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width that the network takes."""
        return self.channels, self.height, self.width

    def normalise(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 images of any shape -> float32 of the same shape."""
        return normalise(images.astype(np.float32), self.mean, self.std)

    def to_metadata(self) -> dict[str, str]:
        """Entry for the metadata of a file."""
        return {METADATA_KEY: json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> ModelInfo:
        """Read the metadata of a file. UserError when missing, malformed or out of bounds."""
        if METADATA_KEY not in metadata:
            raise UserError(
                f"{where}: no '{METADATA_KEY}' metadata; expected a model written by nas.retrain"
            )
        where = f"{where}: metadata '{METADATA_KEY}'"
        data = parse_metadata(metadata[METADATA_KEY], where)
        found = data.pop("format", None) if isinstance(data, dict) else None
        if found not in (FORMAT, FORMAT_1):
            raise UserError(f"{where} is not of format {FORMAT!r}")
        if found == FORMAT_1:
            data.pop("extra", None)
            data["genome"] = None
        return cls.from_dict(data, where)

    @classmethod
    def from_dict(cls, data: dict[str, Any], where: str) -> ModelInfo:
        """Plain data. A missing field is refused: another margin would be another pair of eyes."""
        if missing := sorted(hints(cls).keys() - data.keys()):
            raise UserError(f"{where}: lacks field {missing[0]!r}")
        info = read(cls, data, where)
        if not 2 <= len(set(info.classes)) == len(info.classes):
            raise UserError(f"{where}.classes: expected two or more, none twice")
        return info


def parse_metadata(text: str, where: str) -> Any:
    """The JSON in an entry of a model file's metadata. UserError where it is long or broken."""
    if len(text) > MAX_METADATA:
        raise UserError(f"{where} has {len(text)} characters; allowed at most {MAX_METADATA}")
    return parse_json(text, where)
