"""How long each step of a frame takes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class StageTimer:
    """`with steps("detect"): ...` remembers the milliseconds of every frame's step."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """A frame's step that was timed elsewhere."""
        self.milliseconds[name].append(1000 * seconds)

    def means(self) -> dict[str, float]:
        """Milliseconds a frame, by step."""
        return {name: float(np.mean(found)) for name, found in self.milliseconds.items()}


def percentile(values: list[float], share: float) -> float:
    """0 where there are no values."""
    return float(np.percentile(values, share)) if values else 0.0
