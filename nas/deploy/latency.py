"""Frames per second of a genome on this machine: measured, and predicted by a calibrated model.

Measured means: the genome's ONNX graph, ONNX Runtime on the CPU, batch 1, one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from scipy.stats import spearmanr

from nas.arch.genome import Genome
from nas.arch.layers import (
    Activation,
    Concat,
    Conv2d,
    CoordinateAttention,
    EfficientChannelAttention,
    GlobalPool,
    Layer,
    Linear,
    Pool2d,
    Slice,
    SqueezeExcite,
)
from nas.arch.lowering import cost, lower
from nas.arch.onnx import to_onnx
from nas.common.errors import UserError
from nas.common.files import read_json
from nas.common.schema import Float, Int, Numbers, read
from nas.deploy.runtime import session, time_in_turns

FEATURES = (
    "constant", "conv_macs", "pointwise_macs", "depthwise_macs", "linear_macs", "conv_elements",
    "depthwise_elements", "elementwise_elements", "convs", "other_layers",
)  # fmt: skip
FOLDS = 5
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FpsModel:
    """Milliseconds as a non-negative combination of analytic features; plain numbers only."""

    coefficients: Annotated[tuple[float, ...], Numbers(len(FEATURES), 0.0, 1e12)]

    def predict(self, genome: Genome) -> float:
        """Frames per second, batch 1, one thread."""
        milliseconds = float(np.dot(self.coefficients, features(genome)))
        return 1000.0 / max(milliseconds, 1e-6)


@dataclass(frozen=True)
class Calibration:
    """The fitted model and what is known of its error, from 5-fold cross-validation.

    held_out_error: median relative error of the predicted milliseconds. rank_correlation: Spearman.
    """

    model: FpsModel
    held_out_error: Annotated[float, Float(0.0, 1e12)]
    rank_correlation: Annotated[float, Float(-1.0, 1.0)]
    genomes: Annotated[int, Int(1, 10**6)]
    seconds: Annotated[float, Float(0.0, 1e12)]


def read_calibration(path: Path) -> Calibration:
    """Of a run's machine.json, or of what `python -m nas.fps` wrote. UserError when it is none."""
    data = read_json(path)
    if not isinstance(data, dict) or "calibration" not in data:
        raise UserError(f"{path}: no calibration; expected a machine.json, or a file of nas.fps")
    return read(Calibration, data["calibration"], f"{path}: calibration")


def features(genome: Genome) -> Floats:
    """The analytic quantities that the fit uses, in the order of FEATURES (in millions)."""
    found = dict.fromkeys(FEATURES, 0.0)
    found["constant"] = 1.0
    for unit in lower(genome):
        for layer in unit.layers:
            _count(layer, found)
        if unit.skip is not None:
            found["elementwise_elements"] += prod(unit.out_shape) / 1e6
    return np.array([found[name] for name in FEATURES])


def _count(layer: Layer, found: dict[str, float]) -> None:
    elements, macs = (prod(layer.in_shape) + prod(layer.out_shape)) / 1e6, layer.cost.macs / 1e6
    if isinstance(layer, Conv2d):
        kind = "depthwise" if layer.groups > 1 else "pointwise" if layer.kernel == 1 else "conv"
        found[f"{kind}_macs"] += macs
        found["depthwise_elements" if kind == "depthwise" else "conv_elements"] += elements
        found["convs"] += 1
    elif isinstance(layer, Linear):
        found["linear_macs"] += macs
        found["other_layers"] += 1
    elif isinstance(layer, SqueezeExcite | EfficientChannelAttention | CoordinateAttention):
        found["linear_macs" if isinstance(layer, SqueezeExcite) else "pointwise_macs"] += macs
        found["elementwise_elements"] += 2 * elements
        found["other_layers"] += 6
    elif isinstance(layer, Concat | Slice):
        for branch in layer.branches if isinstance(layer, Concat) else ():
            for inner in branch:
                _count(inner, found)
        found["elementwise_elements"] += 2 * prod(layer.out_shape) / 1e6
        found["other_layers"] += 1
    elif isinstance(layer, Pool2d | GlobalPool) or (
        isinstance(layer, Activation) and layer.function != "relu"
    ):
        found["elementwise_elements"] += elements
        found["other_layers"] += 1


def measure(genomes: Sequence[Genome], rounds: int = 5, runs: int = 8) -> list[float]:
    """Milliseconds of each genome: median over rounds of the median over runs.

    The genomes take turns, so that a slow moment of a shared machine does not hit one alone.
    """
    return time_in_turns([_call(genome) for genome in genomes], rounds, runs)


def measure_fps(genomes: Sequence[Genome]) -> list[float]:
    """Measured frames per second of each genome, of more runs than a calibration takes."""
    return [1000.0 / ms for ms in measure(genomes, rounds=7, runs=20)]


def calibrate(pool: Sequence[Genome], count: int = 40) -> Calibration:
    """Time `count` genomes of the pool, spread over their MACs, and fit the model."""
    started = time.perf_counter()
    ordered = sorted({g.id: g for g in pool}.values(), key=lambda g: (cost(g).macs, g.id))
    spread = np.geomspace(1, len(ordered), min(count, len(ordered))).round().astype(int) - 1
    even = np.linspace(0, len(ordered) - 1, len(spread)).round().astype(int)
    chosen = [ordered[i] for i in sorted({*spread[::2].tolist(), *even[1::2].tolist()})]
    milliseconds = np.array(measure(chosen))
    table = np.array([features(genome) for genome in chosen])
    predicted = _cross_validate(table, milliseconds)
    error = float(np.median(np.abs(predicted / milliseconds - 1)))
    correlation = float(spearmanr(predicted, milliseconds).statistic) if len(chosen) > 2 else 1.0
    model = FpsModel(tuple(float(c) for c in fit_relative(table, milliseconds)))
    return Calibration(model, error, correlation, len(chosen), time.perf_counter() - started)


def _cross_validate(table: Floats, milliseconds: Floats) -> Floats:
    if len(milliseconds) == 1:  # nothing to learn from but itself
        return milliseconds.copy()
    fold = np.arange(len(milliseconds)) % FOLDS
    predicted = np.empty_like(milliseconds)
    for k in range(FOLDS):
        held_out = fold == k
        coefficients = fit_relative(table[~held_out], milliseconds[~held_out])
        predicted[held_out] = table[held_out] @ coefficients
    return predicted


def fit_relative(table: Floats, target: Floats) -> Floats:
    """Non-negative coefficients (D,) by which the columns of `table` (N, D) give `target` (N,).

    Least squares of relative errors, which count alike for small and large networks.
    """
    scale = np.maximum(np.abs(table).max(0), 1e-12)
    rows = table / scale / target[:, None]
    coefficients, _ = nnls(rows, np.ones(len(rows)))
    return np.asarray(coefficients / scale)


def _call(genome: Genome) -> Callable[[], object]:
    """One classification by the genome's graph."""
    pixels = np.random.default_rng(0).normal(size=(1, *genome.input.shape))
    image = {"image": pixels.astype(np.float32)}
    runtime = session(to_onnx(genome).SerializeToString())
    return lambda: runtime.run(None, image)
