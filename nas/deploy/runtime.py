"""ONNX Runtime on the CPU, as the search times it and the demo runs it; files checked first."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from nas.common.errors import UserError, first_line
from nas.common.files import read_bytes
from nas.deploy.limits import BATCH, check_graph
from nas.deploy.preprocessing import MAX_MODEL_BYTES, ModelInfo
from nas.deploy.probes import INT8_LIMIT, Probes

log = logging.getLogger(__name__)
Precision = Literal["auto", "fp32", "int8"]


def session(model: bytes | str, threads: int = 1) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class OnnxModel:
    """An opened model file. probes: None in files that were written before version 0.2."""

    path: Path
    session: onnxruntime.InferenceSession
    info: ModelInfo
    probes: Probes | None

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (N, channels, height, width), 0..255 -> logits float32 (N, classes)."""
        return self.run(self.info.normalise(pixels))

    def run(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Normalised float32 (N, channels, height, width) -> logits float32 (N, classes).

        A few at a time: for so many, check_graph knows what a foreign file may take. UserError
        where it cannot be run on them, as one that takes a fixed number of images.
        """
        name = self.session.get_inputs()[0].name
        parts = (x[i : i + BATCH] for i in range(0, len(x), BATCH))
        try:
            return np.concatenate([self.session.run(None, {name: part})[0] for part in parts])
        except Exception as error:  # ONNX Runtime's own kinds share no public base
            raise UserError(f"{self.path}: cannot be run: {first_line(error)[:200]}") from None

    def check(self, probes: Probes | None = None) -> Check | None:
        """How this machine answers the file's probes (or others); None where it has none."""
        probes = probes or self.probes
        if probes is None:
            return None
        p = self.info
        return Check(self.path, probes.difference(self, p.height, p.width), probes.limit)


@dataclass(frozen=True)
class Check:
    """Relative difference of a file's logits on this machine from those it should give."""

    path: Path
    difference: float
    limit: float

    @property
    def ok(self) -> bool:
        return self.difference <= self.limit  # not where it is NaN

    def __str__(self) -> str:
        return (
            f"{self.path}: on this machine its logits are off by {self.difference:.0%} of their "
            f"size, allowed {self.limit:.0%}"
        )


def open_model(path: Path, threads: int = 1) -> OnnxModel:
    """A model file, with what it expects of its input; not yet checked against its probes.

    UserError when the file is missing, too big or foreign, would take too much memory, or its
    metadata do not fit its graph.
    """
    if not path.exists():
        raise UserError(f"{path}: no such model file; nas.retrain writes model.onnx")
    raw = read_bytes(path, MAX_MODEL_BYTES, "an ONNX model")
    check_graph(raw, str(path))
    try:
        runtime = session(raw, threads)
    except Exception as error:  # ONNX Runtime's own kinds share no public base
        raise UserError(f"{path}: not a readable ONNX model: {first_line(error)[:200]}") from None
    metadata = runtime.get_modelmeta().custom_metadata_map
    p = ModelInfo.from_metadata(metadata, str(path))
    inputs, outputs = runtime.get_inputs(), runtime.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
        raise UserError(f"{path}: expected one float32 input and one output")
    found_in, found_out = inputs[0].shape[1:], outputs[0].shape[1:]
    if found_in != [*p.shape] or found_out != [len(p.classes)]:
        raise UserError(
            f"{path}: the graph takes {found_in} and gives {found_out}; its metadata say "
            f"{[*p.shape]} and {len(p.classes)} classes"
        )
    probes = Probes.from_metadata(metadata, p.channels, len(p.classes), str(path))
    return OnnxModel(path, runtime, p, probes)


def choose_model(path: Path, precision: Precision = "auto") -> OnnxModel:
    """The file as asked, or the faster here of it and its int8 form beside it, if that is right.

    A file whose answers to its probes are wrong on this machine is not used: `auto` logs a warning
    and takes float32, a file that was asked for is a UserError.
    """
    int8 = path.with_name(f"{path.stem}.int8{path.suffix}")
    if path.stem.endswith(".int8"):
        if precision == "fp32":
            raise UserError(f"{path}: is int8; --precision fp32 wants the float32 model")
        return _checked(open_model(path))
    full = _checked(open_model(path))
    if precision == "fp32" or (precision == "auto" and not int8.is_file()):
        return full
    small, p = open_model(int8), full.info
    q = small.info
    if (q.classes, q.genome_id) != (p.classes, p.genome_id):
        raise UserError(f"{int8}: is of another network than {path.name}; expected its int8 form")
    # By what the float32 file answers: its own probes are right with the weights of before, too.
    limit = small.probes.limit if small.probes else INT8_LIMIT
    found = small.check(Probes.of(full, *p.shape, limit))
    if precision == "int8":
        return _right(small, found)
    if found is not None and not found.ok:
        log.warning("%s; using %s", found, path.name)
        return full
    face = np.zeros((1, *p.shape), np.uint8)
    slow, quick = time_in_turns([partial(full, face), partial(small, face)], rounds=3, runs=10)
    return small if quick < slow else full


def _checked(model: OnnxModel) -> OnnxModel:
    return _right(model, model.check())


def _right(model: OnnxModel, found: Check | None) -> OnnxModel:
    if found is not None and not found.ok:
        raise UserError(f"{found}; expected another file, such as the float32 model")
    return model


def time_in_turns(calls: Sequence[Callable[[], object]], rounds: int, runs: int) -> list[float]:
    """Milliseconds of each call: median over rounds of the median over runs."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, found in zip(calls, times, strict=True):
            call()  # brings weights back into the caches
            found.append(statistics.median(_time(call) for _ in range(runs)))
    return [statistics.median(found) for found in times]


def _time(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
