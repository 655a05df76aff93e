"""The benchmark of the demo, on a few frames; its figures come from longer clips."""

import json

import cv2
import numpy as np
import pytest
from clips import write_clip
from conftest import ROOT

from nas.bench import __main__ as command
from nas.bench import realtime
from nas.common.cli import exit_code
from nas.common.lazy import lazy_function

pytestmark = pytest.mark.slow

NETWORK = ROOT / "experiments/fer2013/retrain/found"


@pytest.fixture
def clip(tmp_path):
    """A face of a frame in this repository moves to the right; the last frames are empty."""
    frame = cv2.imread(str(ROOT / "experiments/fer2013/frame.png"))
    face = frame[66:172, 145:249]
    pictures = [np.full((240, 320, 3), 70, np.uint8) for _ in range(10)]
    for k in range(7):
        pictures[k][60:166, 40 + 8 * k : 144 + 8 * k] = face
    return write_clip(tmp_path / "face.mp4", pictures, fps=10)


@pytest.fixture
def one_process(monkeypatch):
    """Without the fresh processes, which take seconds each; which cores they would get."""
    asked = []

    def here(function, cores, *arguments):
        asked.append(cores)
        return lazy_function(function)(*arguments)

    monkeypatch.setattr(realtime, "apart", here)
    monkeypatch.setattr(realtime.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(realtime.importlib.util, "find_spec", lambda _: None)
    return asked


def test_the_benchmark_compares_and_writes(clip, one_process, tmp_path, capsys):
    out = tmp_path / "realtime.json"
    argv = ["realtime", "--clip", clip, "--network", NETWORK, "--repeats", "1", "--out", out]
    assert exit_code(command.main, [str(a) for a in argv]) == 0
    assert one_process == [[0, 1], [0, 1], [0], [0]]
    found = json.loads(out.read_text())
    rows = {(row["system"], row["cores"]): row for row in found["rows"]}
    assert set(rows) == {("ours", 2), ("plain", 2), ("ours", 1), ("plain", 1)}
    assert rows["plain", 2]["times_plain"] == 1
    for (_, cores), row in rows.items():
        ratio = row["median_fps"] / rows["plain", cores]["median_fps"]
        assert row["times_plain"] == pytest.approx(ratio)
    assert all(row["faces"] >= 7 and row["median_fps"] > 0 for row in rows.values())
    steps = {"decode", "detect", "classify", "smooth", "draw"}
    assert set(rows["ours", 2]["ms_per_frame"]) >= steps
    scaled, own = found["quality"]
    assert scaled["clip"] == "face.mp4 in 640x480"
    assert own["frames"] == 10
    assert own["missed"] == 0
    assert own["plain_frames"] == 7
    assert own["frames_lived"][0] >= 7
    printed = capsys.readouterr().out
    assert "x plain" in printed
    assert "face.mp4" in printed


def test_mistakes(clip, tmp_path, capsys):
    cases = [
        (["--clip", clip, "--repeats", "0"], "--repeats: must be in"),
        (["--clip", clip, "--network", tmp_path], "expected a retrained folder"),
        (["--clip", tmp_path / "no.mp4", "--network", NETWORK], "no such file"),
        (["--clip", ROOT / "experiments/fer2013/frame.png", "--network", NETWORK], "is no video"),
    ]
    for argv, message in cases:
        assert exit_code(command.main, ["realtime", *map(str, argv)]) == 2
        assert message in capsys.readouterr().err
