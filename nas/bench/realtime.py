"""The demo's speed and what it misses, beside the plain loop and the PyPI package `fer`.

The plain loop is what most demos do: OpenCV's default Haar cascade over the full frame of every
frame, each face through torch on its own, one step after the other. All systems take turns in one
run, each in a process that may use only so many cores, and draw the same overlay; encoding and
display are left out.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2

from nas.bench.apart import apart
from nas.bench.loop import MINIMUM
from nas.common.environment import processor
from nas.common.errors import UserError
from nas.realtime.boxes import iou
from nas.realtime.detector import HaarDetector
from nas.realtime.recognizer import Recognizer, as_grey
from nas.realtime.sources import open_source
from nas.realtime.timing import percentile

SIZE = (640, 480)
AGAIN = 0.3  # overlap with a box of the frame before or after, from which plain found it twice
SYSTEMS = {
    "ours": "nas.bench.demo:run", "plain": "nas.bench.plain:run", "fer": "nas.bench.package_fer:run"
}  # fmt: skip

log = logging.getLogger(__name__)


def measure(clips: list[Path], network: Path, repeats: int) -> dict[str, Any]:
    """Speed on the first clip, scaled to SIZE; quality on all, the first in both sizes."""
    with tempfile.TemporaryDirectory() as folder:
        small = scaled(clips[0], Path(folder) / "clip.mp4")
        found = compare(small, network, repeats)
        log.info("quality")
        rows = [quality(small, f"{clips[0].name} in {SIZE[0]}x{SIZE[1]}", network)]
        rows += [quality(clip, clip.name, network) for clip in clips]
    return {"clip": clips[0].name, "frames": rows[0]["frames"], **found, "quality": rows}


def compare(clip: Path, network: Path, repeats: int) -> dict[str, Any]:
    """Speed of every system on `clip`. network: a folder with model.onnx and model.safetensors."""
    cores = sorted(os.sched_getaffinity(0))
    todo = [("ours", 2), ("plain", 2), ("fer", 2), ("ours", 1), ("plain", 1)]
    todo = [(name, n) for name, n in todo if n <= len(cores)]
    if importlib.util.find_spec("fer") is None:
        todo = [t for t in todo if t[0] != "fer"]
    runs: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for turn in range(repeats):
        for name, count in todo:
            log.info("round %d of %d: %s, %d core(s)", turn + 1, repeats, name, count)
            runs[name, count].append(apart(SYSTEMS[name], cores[:count], clip, network))
    rows = [{"system": name, "cores": count, **_summary(found)}
            for (name, count), found in runs.items()]  # fmt: skip
    for row in rows:
        plain = next(r for r in rows if (r["system"], r["cores"]) == ("plain", row["cores"]))
        row["times_plain"] = row["median_fps"] / plain["median_fps"]
    return {"rows": rows, "machine": {"processor": processor(), "cores": len(cores)}}


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of all rounds: medians, and the percentile over every frame of all of them."""
    intervals = [ms for run in runs for ms in run["intervals"]]
    steps = {name: mean(run["steps"][name] for run in runs) for name in runs[0]["steps"]}
    return {
        "median_fps": 1000 / percentile(intervals, 50),
        "mean_fps": 1000 / mean(intervals),
        "p99_ms": percentile(intervals, 99),
        "max_ms": max(intervals),
        "ms_per_frame": steps,
        "rounds_median_fps": [1000 / median(run["intervals"]) for run in runs],
        "faces": runs[0]["faces"],
        "model": runs[0]["model"],
    }


def scaled(clip: Path, out: Path) -> Path:
    """A copy of the clip in SIZE."""
    source = open_source(str(clip))
    if source.fps is None:
        raise UserError(f"{clip}: is no video; expected one to measure on")
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(out), code, source.fps, SIZE)
    for frame in source.frames:
        writer.write(cv2.resize(frame.pixels, SIZE, interpolation=cv2.INTER_AREA))
    writer.release()
    return out


def quality(clip: Path, name: str, network: Path) -> dict[str, Any]:
    """What the plain detector finds on a clip and the demo does not; how long its boxes live.

    missed: share of all frames in which plain finds a box and the demo has none; `missed_again`
    counts only boxes that plain finds again one frame before or after, as it does with faces.
    """
    detector, stream = HaarDetector("haar"), Recognizer(network / "model.onnx").stream()
    plain, ours = [], []
    lives: dict[int | None, int] = defaultdict(int)
    for frame in open_source(str(clip)).frames:
        plain.append(detector(as_grey(frame.pixels), MINIMUM))
        faces = stream(frame.pixels, frame.seconds)
        ours.append(len(faces))
        for face in faces:
            lives[face.track] += 1
    beside = [[*a, *b] for a, b in zip([[], *plain[:-1]], [*plain[1:], []], strict=True)]
    missed = [k for k, boxes in enumerate(plain) if boxes and not ours[k]]
    again = [k for k in missed if any(iou(a, b) > AGAIN for a in plain[k] for b in beside[k])]
    count, (before, after) = len(plain), stream.smoother.changes or (0.0, 0.0)
    return {
        "clip": name,
        "frames": count,
        "plain_frames": sum(map(bool, plain)),
        "our_frames": sum(map(bool, ours)),
        "missed": len(missed) / count,
        "missed_again": len(again) / count,
        "missed_frames": missed,
        "frames_lived": sorted(lives.values(), reverse=True),
        "changes_before": before,
        "changes_after": after,
    }
