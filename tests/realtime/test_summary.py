"""What is said at the end: rates, milliseconds, counts, in their units."""

from pathlib import Path

import pytest

from nas.realtime.summary import Summary, as_text
from nas.realtime.timing import StageTimer


def test_a_stream_in_numbers_and_words():
    steps = StageTimer()
    steps.add("detect", 0.004)
    steps.add("detect", 0.006)
    summary = Summary(
        steps, frames=4, faces=6, tracks={1, 2}, dropped=3, seconds=2.0, changes=(2.5, 0.5),
        intervals=[10.0, 20.0, 30.0], delays=[100.0, 200.0],
    )  # fmt: skip
    found = summary.to_dict()
    assert found["ms_per_frame"] == {"detect": pytest.approx(5.0)}
    assert (found["fps"], found["median_fps"]) == (2.0, 50.0)
    assert found["p99_ms"] == pytest.approx(29.8)
    assert found["p99_delay_ms"] == pytest.approx(199.0)
    assert (found["frames"], found["faces"], found["tracks"], found["dropped"]) == (4, 6, 2, 3)
    assert found["label_changes_per_second"] == {"single_frames": 2.5, "smoothed": 0.5}
    assert as_text(found, Path("m.onnx"), ["out.mkv"]).splitlines() == [
        "4 frames, 6 faces, 2 tracks; 2.0 fps (median 50.0, 99 % of the frames within 29.8 ms)",
        "label changes a second of a face: 2.50 by single frames, 0.50 smoothed",
        "3 stale frames dropped",
        "ms a frame: detect 5.0; model m.onnx",
        "written: out.mkv",
    ]


def test_where_nothing_was_read_there_are_no_rates():
    found = Summary(StageTimer()).to_dict()
    assert (found["fps"], found["median_fps"], found["p99_ms"]) == (0.0, 0.0, 0.0)
    assert "label_changes_per_second" not in found


def test_pictures_have_a_line_for_each_face():
    face = {"box": (1, 2, 30, 40), "label": "uncertain", "probabilities": {"a": 0.3, "b": 0.7}}
    pictures = [{"source": "x.png", "faces": [face]}, {"source": "y.png", "faces": []}]
    found = Summary(StageTimer(), moving=False, pictures=pictures).to_dict()
    assert as_text(found, Path("m.onnx"), []).splitlines()[:3] == [
        "x.png: 1 face", "  uncertain 70% (b leads), 30x40 pixels at 1, 2", "y.png: no faces",
    ]  # fmt: skip
    assert "fps" not in found
