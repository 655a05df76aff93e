"""float32 ONNX -> int8: static, QDQ, weights per channel. No torch here.

Activations are uint8 and weights int8, the pair that ONNX Runtime multiplies with VNNI
instructions. A CPU without VNNI (before 2019, about) may saturate their 16-bit sums: measure the
accuracy there with nas.evaluate before you trust it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def quantise(source: Path, target: Path, batches: Iterable[Any]) -> None:
    """Write the int8 model; its metadata are those of the source.

    batches: float32 (N, C, H, W), normalised, whose activations set the ranges (minimum, maximum).
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".int8.") as folder:
        shaped, made = Path(folder) / "shaped.onnx", Path(folder) / "made.onnx"
        # Our graphs need shapes only: optimising would fuse nodes that QDQ wants apart.
        quant_pre_process(source, shaped, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            shaped, made, _reader(batches), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        os.replace(made, target)


def _reader(batches: Iterable[Any]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[Any] = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.left, None)
            return None if batch is None else {"image": batch}

    return Reader()
