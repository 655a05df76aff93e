"""The PyPI package `fer`, where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer.fer import FER

from nas.bench.loop import run_loop
from nas.realtime.annotate import annotate
from nas.realtime.frames import Pixels
from nas.realtime.recognizer import Face
from nas.realtime.timing import StageTimer


def run(clip: Path, _: Path) -> dict[str, Any]:
    package = FER()

    def step(frame: Pixels, steps: StageTimer) -> int:
        with steps("detect and classify"):
            found = package.detect_emotions(frame)
        with steps("draw"):
            faces = []
            for one in found:
                emotions = one["emotions"]
                x, y, width, height = (int(v) for v in one["box"])
                label = max(emotions, key=emotions.get)
                faces.append(Face((x, y, width, height), label, tuple(emotions.values())))
            annotate(frame, faces, tuple(found[0]["emotions"]) if found else ())
        return len(found)

    return {**run_loop(clip, step), "model": "its own"}
