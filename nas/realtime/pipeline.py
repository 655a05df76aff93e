"""Source -> recognizer -> sinks, with the time that each step took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.realtime.draw import annotate
from nas.realtime.recognizer import Recognizer
from nas.realtime.sinks import Csv, Pictures, Window
from nas.realtime.sources import Frame, Source

STEPS = ("decode", "detect", "classify", "draw", "write")


@dataclass
class Summary:
    """What was done. seconds: of each step, over all frames."""

    frames: int = 0
    faces: int = 0
    interrupted: bool = False
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))

    def to_dict(self) -> dict[str, Any]:
        total = sum(self.seconds.values())
        return {
            "frames": self.frames,
            "faces": self.faces,
            "fps": self.frames / total if total else 0.0,
            "ms_per_frame": {
                step: 1000 * s / max(self.frames, 1) for step, s in self.seconds.items()
            },
        }


def run(
    source: Source, recognizer: Recognizer, *, out: Path | None, table: Path | None,
    window: Window | None, max_frames: int | None = None,
) -> Summary:  # fmt: skip
    """Label every frame. Outputs are closed and readable however it ends, Ctrl-C included."""
    summary = Summary()
    sinks: list[Any] = [window] if window else []
    try:
        pictures = Pictures(out, source.fps, source.inputs) if out else None
        sinks += [pictures] if pictures else []
        rows = Csv(table, recognizer.classes) if table else None
        sinks += [rows] if rows else []
        for frame in _timed(source.frames, summary, max_frames):
            faces = recognizer(frame.pixels)
            summary.frames += 1
            summary.faces += len(faces)
            started = time.perf_counter()
            picture = frame.pixels
            if pictures or window:
                picture = annotate(frame.pixels, faces, recognizer.classes)
            drawn = time.perf_counter()
            if pictures:
                pictures.write(frame, picture)
            if rows:
                rows.write(frame, faces)
            summary.seconds["draw"] += drawn - started
            going_on = not window or window.show(picture, 1 if source.fps else 0)
            summary.seconds["write"] += time.perf_counter() - drawn
            if not going_on:
                break
    except KeyboardInterrupt:
        summary.interrupted = True
    finally:
        for sink in sinks:
            sink.close()
    summary.seconds.update(recognizer.seconds)
    return summary


def _timed(frames: Iterator[Frame], summary: Summary, max_frames: int | None) -> Iterator[Frame]:
    while max_frames is None or summary.frames < max_frames:
        started = time.perf_counter()
        frame = next(frames, None)
        summary.seconds["decode"] += time.perf_counter() - started
        if frame is None:
            return
        yield frame
