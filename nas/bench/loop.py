"""Frames of a clip one after the other, timed: what the systems beside the demo are run by."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.realtime.frames import Pixels
from nas.realtime.pipeline import timed
from nas.realtime.sources import open_source
from nas.realtime.timing import StageTimer

MINIMUM = 40  # pixels, of a face that the plain loop looks for


def run_loop(clip: Path, step: Callable[[Pixels, StageTimer], int]) -> dict[str, Any]:
    """step: labels and draws a frame, under `steps("name")`; returns how many faces it has."""
    steps, intervals, faces = StageTimer(), [], 0
    for frame in timed(open_source(str(clip)).frames, steps):
        started = time.perf_counter()
        faces += step(frame.pixels, steps)
        read = steps.milliseconds["decode"][-1]
        intervals.append(read + 1000 * (time.perf_counter() - started))
    return {"intervals": intervals, "steps": steps.means(), "faces": faces}
