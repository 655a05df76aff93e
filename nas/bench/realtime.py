"""The demo's speed and what it misses, beside the plain loop and the PyPI package `fer`.

The plain loop is what most demos do: OpenCV's default Haar cascade over the full frame of every
frame, each face through torch on its own, one step after the other. All systems take turns in one
run, each in a process that may use only so many cores, and draw the same overlay; encoding and
display are left out.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean, median
from typing import Any

from nas.common.errors import UserError

SIZE = (640, 480)
PLAIN_MINIMUM = 40  # pixels, of a face
AGAIN = 0.3  # overlap with a box of the frame before or after, from which plain found it twice


def measure(
    clips: list[Path], network: Path, repeats: int, note: Callable[[str], None]
) -> dict[str, Any]:
    """Speed on the first clip, scaled to SIZE; quality on all, the first in both sizes."""
    with tempfile.TemporaryDirectory() as folder:
        small = scaled(clips[0], Path(folder) / "clip.mp4")
        found = compare(small, network, repeats, note)
        note("quality")
        rows = [quality(small, f"{clips[0].name} in {SIZE[0]}x{SIZE[1]}", network)]
        rows += [quality(clip, clip.name, network) for clip in clips]
    return {"clip": clips[0].name, "frames": rows[0]["frames"], **found, "quality": rows}


def compare(clip: Path, network: Path, repeats: int, note: Callable[[str], None]) -> dict[str, Any]:
    """Speed of every system on `clip`. network: a folder with model.onnx and model.safetensors."""
    cores = sorted(os.sched_getaffinity(0))
    todo = [("ours", 2), ("plain", 2), ("fer", 2), ("ours", 1), ("plain", 1)]
    todo = [(name, n) for name, n in todo if n <= len(cores)]
    if importlib.util.find_spec("fer") is None:
        todo = [t for t in todo if t[0] != "fer"]
    runs: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for turn in range(repeats):
        for name, count in todo:
            note(f"round {turn + 1} of {repeats}: {name}, {count} core(s)")
            runs[name, count].append(apart(_timed_run, name, clip, network, cores[:count]))
    rows = [{"system": name, "cores": count, **_summary(found)}
            for (name, count), found in runs.items()]  # fmt: skip
    for row in rows:
        plain = next(r for r in rows if (r["system"], r["cores"]) == ("plain", row["cores"]))
        row["times_plain"] = row["median_fps"] / plain["median_fps"]
    from nas.common.environment import processor

    return {"rows": rows, "machine": {"processor": processor(), "cores": len(cores)}}


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call it in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


def _timed_run(name: str, clip: Path, network: Path, cores: list[int]) -> dict[str, Any]:
    os.sched_setaffinity(0, cores)  # before OpenCV, ONNX Runtime and torch count them
    return {"ours": _ours, "plain": _plain, "fer": _fer}[name](clip, network)


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of all rounds: medians, and the percentile over every frame of all of them."""
    from nas.realtime.timing import percentile

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


class _Discard:
    """The sink of a measurement: everything is drawn, nothing written."""

    pictured = True

    def write(self, frame: Any, faces: Any, picture: Any) -> None:
        pass

    def close(self) -> None:
        pass


def _ours(clip: Path, network: Path) -> dict[str, Any]:
    from nas.realtime.pipeline import run
    from nas.realtime.recognizer import Recognizer
    from nas.realtime.sources import open_source

    recognizer = Recognizer(network / "model.onnx")
    summary = run(open_source(str(clip)), recognizer, sinks=[_Discard()])
    return {"intervals": summary.intervals, "steps": summary.steps.means(),
            "faces": summary.faces, "model": recognizer.model.name}  # fmt: skip


def _plain(clip: Path, network: Path) -> dict[str, Any]:
    import cv2
    import torch

    from nas.deploy.checkpoint import open_trained
    from nas.realtime.annotate import annotate
    from nas.realtime.crop import crop_face
    from nas.realtime.detector import HaarDetector
    from nas.realtime.recognizer import Face

    trained, detector = open_trained(network / "model.safetensors"), HaarDetector("haar")
    p, model = trained.info, trained.model.eval()

    def step(frame: Any, steps: Any) -> int:
        with steps("detect"):
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            boxes = detector(grey, PLAIN_MINIMUM)
        faces = []
        with steps("classify"), torch.no_grad():
            for box in boxes:
                crop = crop_face(grey, box, p.margin, p.height, p.width)
                pixels = torch.from_numpy(p.normalise(crop))[None, None]
                row = torch.softmax(model(pixels)[0], 0)
                faces.append(Face(box, p.classes[int(row.argmax())], tuple(row.tolist())))
        with steps("draw"):
            annotate(frame, faces, p.classes)
        return len(faces)

    return {**_loop(clip, step), "model": "model.safetensors"}


def _fer(clip: Path, _: Path) -> dict[str, Any]:
    from fer.fer import FER

    from nas.realtime.annotate import annotate
    from nas.realtime.recognizer import Face

    package = FER()

    def step(frame: Any, steps: Any) -> int:
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

    return {**_loop(clip, step), "model": "its own"}


def _loop(clip: Path, step: Callable[[Any, Any], int]) -> dict[str, Any]:
    """One step after the other."""
    from nas.realtime.timing import StageTimer

    steps, intervals, faces = StageTimer(), [], 0
    for frame in _frames(clip, steps):
        started = time.perf_counter()
        faces += step(frame.pixels, steps)
        read = steps.milliseconds["decode"][-1]
        intervals.append(read + 1000 * (time.perf_counter() - started))
    return {"intervals": intervals, "steps": steps.means(), "faces": faces}


def _frames(clip: Path, steps: Any = None) -> Iterator[Any]:
    from nas.realtime.pipeline import timed
    from nas.realtime.sources import open_source
    from nas.realtime.timing import StageTimer

    return timed(open_source(str(clip)).frames, steps or StageTimer())


def scaled(clip: Path, out: Path, size: tuple[int, int] = SIZE) -> Path:
    """A copy of the clip in another size."""
    import cv2

    from nas.realtime.sources import open_source

    source = open_source(str(clip))
    if source.fps is None:
        raise UserError(f"{clip}: is no video; expected one to measure on")
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(out), code, source.fps, size)
    for frame in source.frames:
        writer.write(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA))
    writer.release()
    return out


def quality(clip: Path, name: str, network: Path) -> dict[str, Any]:
    """What the plain detector finds on a clip and the demo does not; how long its boxes live.

    missed: share of all frames in which plain finds a box and the demo has none; `missed_again`
    counts only boxes that plain finds again one frame before or after, as it does with faces.
    """
    import cv2

    from nas.realtime.boxes import iou
    from nas.realtime.detector import HaarDetector
    from nas.realtime.recognizer import Recognizer

    detector, stream = HaarDetector("haar"), Recognizer(network / "model.onnx").stream()
    plain, ours = [], []
    lives: dict[int | None, int] = defaultdict(int)
    for frame in _frames(clip):
        plain.append(detector(cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2GRAY), PLAIN_MINIMUM))
        faces = stream(frame.pixels, frame.seconds)
        ours.append(len(faces))
        for face in faces:
            lives[face.track] += 1
    beside = [[*a, *b] for a, b in zip([[], *plain[:-1]], [*plain[1:], []], strict=True)]
    missed = [k for k, boxes in enumerate(plain) if boxes and not ours[k]]
    again = [k for k in missed if any(iou(a, b) > AGAIN for a in plain[k] for b in beside[k])]
    count, watched = len(plain), stream.smoother
    return {
        "clip": name,
        "frames": count,
        "plain_frames": sum(map(bool, plain)),
        "our_frames": sum(map(bool, ours)),
        "missed": len(missed) / count,
        "missed_again": len(again) / count,
        "missed_frames": missed,
        "frames_lived": sorted(lives.values(), reverse=True),
        "changes_before": watched.before / watched.seconds if watched.seconds else 0.0,
        "changes_after": watched.after / watched.seconds if watched.seconds else 0.0,
    }
