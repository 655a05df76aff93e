"""A model file's own test of the machine that opens it: a few inputs and their float32 logits.

int8 arithmetic differs between CPUs: without VNNI, sums of uint8 x int8 products saturate at 16
bits, and the same file gives other answers. The inputs are coarse random squares, which reach the
extremes of every layer (a saturating network is off by 0.13 to 0.8 on them, a sound one by 0.02 to
0.13), take a kilobyte and show nobody's face.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.common.errors import UserError
from nas.deploy.preprocessing import parse_metadata

FORMAT = "fer-nas.probes/1"
METADATA_KEY = "fer-nas.probes"
COUNT, GRID, SEED = 8, 6, 1
FLOAT_LIMIT, INT8_LIMIT = 0.01, 0.15
FLOOR = 1e-3  # of a logit's spread: below it a network says nothing

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Forward = Callable[[Pixels], Floats]  # uint8 (N, channels, height, width) -> logits (N, classes)


@dataclass(frozen=True)
class Probes:
    """squares: uint8 (n, channels, 6, 6). logits: float32 (n, classes), as float32 gives them.

    limit: the relative difference of the logits that the file's arithmetic explains.
    """

    squares: Pixels
    logits: Floats
    limit: float

    @classmethod
    def of(cls, forward: Forward, channels: int, height: int, width: int, limit: float) -> Probes:
        """Probes with the answers of `forward`, which computes in float32."""
        rng = np.random.default_rng(SEED)
        squares = rng.integers(0, 256, (COUNT, channels, GRID, GRID), dtype=np.uint8)
        return cls(squares, forward(enlarge(squares, height, width)), limit)

    def difference(self, forward: Forward, height: int, width: int) -> float:
        """|theirs - ours| / |ours|, of logits less their mean: 0 is equal, 1 is unrelated."""
        ours, theirs = (
            z - z.mean(1, keepdims=True)
            for z in (self.logits, forward(enlarge(self.squares, height, width)))
        )
        scale = max(float(np.linalg.norm(ours)), FLOOR * float(np.sqrt(ours.size)))
        return float(np.linalg.norm(theirs - ours)) / scale

    def to_metadata(self) -> dict[str, str]:
        """Entry for the ONNX `metadata_props`."""
        return {METADATA_KEY: json.dumps(self.to_dict())}

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "format": FORMAT, "squares": self.squares.tolist(),
            "logits": [[float(f"{z:.7g}") for z in row] for row in self.logits],
            "limit": self.limit,
        }  # fmt: skip

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, str], channels: int, classes: int, where: str
    ) -> Probes | None:
        """None where a file has none, as before version 0.2. UserError when they do not fit."""
        if METADATA_KEY not in metadata:
            return None
        where = f"{where}: metadata '{METADATA_KEY}'"
        data = parse_metadata(metadata[METADATA_KEY], where)
        try:
            if data["format"] != FORMAT:
                raise ValueError
            squares, logits = np.array(data["squares"]), np.array(data["logits"], np.float32)
            limit = float(data["limit"])
        except (ValueError, TypeError, KeyError, OverflowError):
            raise UserError(f"{where} is not of format {FORMAT!r}") from None
        n = len(squares) if squares.ndim else 0
        if (
            not 1 <= n <= COUNT
            or squares.dtype.kind != "i"
            or squares.shape != (n, channels, GRID, GRID)
            or not ((squares >= 0) & (squares <= 255)).all()
        ):
            raise UserError(
                f"{where}: squares: expected 1 to {COUNT} times {channels}x{GRID}x{GRID} pixels"
            )
        if logits.shape != (n, classes) or not np.isfinite(logits).all():
            raise UserError(f"{where}: logits: expected {n} times {classes} finite numbers")
        if not 0 < limit <= 1:
            raise UserError(f"{where}: limit: expected a number in (0, 1], got {limit}")
        return cls(squares.astype(np.uint8), logits, limit)


def enlarge(squares: Pixels, height: int, width: int) -> Pixels:
    """(n, channels, 6, 6) -> (n, channels, height, width); pixel y, x is square 6y//h, 6x//w."""
    rows, columns = np.arange(height) * GRID // height, np.arange(width) * GRID // width
    return squares[:, :, rows][:, :, :, columns]
