"""float32 ONNX -> int8: static, QDQ, weights per channel. No torch here.

Activations are uint8 and weights int8, the pair that ONNX Runtime multiplies with VNNI
instructions. A CPU without VNNI adds two products in 16 bits, which saturate: so weights have 7
bits, and 255 * 64 * 2 = 32,640 stays below 32,767. uint8 weights would need no such care, but run
at half the speed on a CPU with VNNI (experiments/int8).
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from nas.common.files import replace_file
from nas.deploy.preprocessing import ModelInfo
from nas.deploy.probes import INT8_LIMIT, Probes
from nas.deploy.runtime import OnnxModel, session

ROOM = 1.25
MOST_ROUNDING = 0.5  # beyond, the int8 file is no approximation, and is not used anywhere

Batches = Iterable[npt.NDArray[np.float32]]


def quantise(source: Path, target: Path, batches: Batches) -> None:
    """Write the int8 model; its metadata are those of the source, with wider limits of probes.

    batches: float32 (N, C, H, W), normalised, whose activations set the ranges (minimum, maximum).
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".int8.") as folder:
        shaped, made = Path(folder) / "shaped.onnx", Path(folder) / "made.onnx"
        # Our graphs need shapes only: optimising would fuse nodes that QDQ wants apart.
        quant_pre_process(source, shaped, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            shaped, made, CalibrationReader(batches), quant_format=QuantFormat.QDQ,
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            reduce_range=True,
        )  # fmt: skip
        model = onnx.load(made)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    p = ModelInfo.from_metadata(metadata, str(source))
    probes = Probes.from_metadata(metadata, p.channels, len(p.classes), str(source))
    if probes is not None:
        int8 = OnnxModel(target, session(model.SerializeToString()), p, probes)
        metadata |= dataclasses.replace(probes, limit=_limit(int8)).to_metadata()
    onnx.helper.set_model_props(model, metadata)
    replace_file(target, model.SerializeToString())


def _limit(int8: OnnxModel) -> float:
    """What the probes may be off by: more than usual where rounding alone takes more.

    Where no sum can saturate, what this machine gives is what every machine gives.
    """
    check = int8.check()
    assert check is not None
    rounding = check.difference
    return max(INT8_LIMIT, ROOM * rounding) if rounding <= MOST_ROUNDING else INT8_LIMIT


class CalibrationReader(CalibrationDataReader):  # type: ignore[misc]
    """Batches, as ONNX Runtime asks for them."""

    def __init__(self, batches: Batches) -> None:
        self.left = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.left, None)
        return None if batch is None else {"image": batch}
