"""ONNX Runtime on the CPU, as the search times it and the demo runs it."""

from __future__ import annotations

from typing import Any


def session(model: bytes | str, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
