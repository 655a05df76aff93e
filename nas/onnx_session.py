"""ONNX Runtime on the CPU, as the search times it and the demo runs it; files checked first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.errors import UserError, first_line
from nas.preprocess import Preprocessing

MAX_MODEL_BYTES = 1 << 30


def session(model: bytes | str, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_model(path: Path, threads: int = 1) -> tuple[Any, Preprocessing]:
    """The session of a model file and what it expects of its input.

    UserError when the file is missing, too big or foreign, or its metadata do not fit its graph.
    """
    raw = _read(path)
    try:
        runtime = session(raw, threads)
    except Exception as error:  # ONNX Runtime's own kinds share no public base
        raise UserError(f"{path}: not a readable ONNX model: {first_line(error)[:200]}") from None
    p = Preprocessing.from_metadata(runtime.get_modelmeta().custom_metadata_map, str(path))
    inputs, outputs = runtime.get_inputs(), runtime.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
        raise UserError(f"{path}: expected one float32 input and one output")
    found_in, found_out = inputs[0].shape[1:], outputs[0].shape[1:]
    if found_in != [p.channels, p.height, p.width] or found_out != [len(p.classes)]:
        raise UserError(
            f"{path}: the graph takes {found_in} and gives {found_out}; its metadata say "
            f"{[p.channels, p.height, p.width]} and {len(p.classes)} classes"
        )
    return runtime, p


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_MODEL_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such model file; nas.retrain writes model.onnx") from None
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None
    if len(raw) > MAX_MODEL_BYTES:
        raise UserError(f"{path}: larger than {MAX_MODEL_BYTES} bytes; expected an ONNX model")
    if any(getattr(part, "external_data", None) for part in _parts(_parse(raw, path))):
        # It might name any file of this machine; older releases of ONNX Runtime would read it.
        raise UserError(f"{path}: keeps weights in another file; expected a model in one file")
    return raw


def _parse(raw: bytes, path: Path) -> Any:
    import onnx

    try:
        return onnx.ModelProto.FromString(raw)
    except Exception:  # protobuf's own kind, which has no stable home
        raise UserError(f"{path}: not a readable ONNX model") from None


def _parts(message: Any) -> Iterator[Any]:
    """A protobuf message and all that it holds, however deep."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _parts(inner)
