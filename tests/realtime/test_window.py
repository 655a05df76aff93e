"""OpenCV's window is the one part that a machine without a display cannot have."""

import numpy as np

from nas.common.images import read_picture
from nas.realtime import pipeline
from nas.realtime.frames import Frame
from nas.realtime.recognizer import Recognizer
from nas.realtime.sources import open_source
from nas.realtime.window import Window, snapshot


def test_a_window_shows_marks_and_saves_snapshots(model, video, tmp_path, squares, monkeypatch):
    shown, keys = [], iter(["", "s", "", "q"])

    class Screen(Window):
        def __init__(self):
            self.snapshots = tmp_path / "shots"

        def show(self, picture, wait_ms):
            shown.append((picture, wait_ms))
            return next(keys)

        def close(self):
            shown.append("closed")

    source = open_source(str(video))
    recognizer = Recognizer(model)
    summary = pipeline.run(source, recognizer, sinks=[], window=Screen(), recording=True)
    assert summary.frames == 4
    assert shown[-1] == "closed"
    picture, wait_ms = shown[2]
    red = (picture[..., 2].astype(int) - picture[..., 1]) > 100
    assert red[:40].sum() > 20  # the recording mark
    assert 1 <= wait_ms <= 100  # a file plays at its own pace
    assert [path.name for path in (tmp_path / "shots").iterdir()] == ["in_000001.png"]


def test_a_snapshot_takes_no_other_ones_place(tmp_path):
    """The frames of a camera are counted from 0 again on another day."""
    pictures = [np.full((8, 9, 3), tone, np.uint8) for tone in (10, 20, 30)]
    frame = Frame("camera 0", 5, 0.2, pictures[0])
    paths = [snapshot(tmp_path, frame, picture) for picture in pictures]
    assert [path.name for path in paths] == [
        "camera_0_000005.png", "camera_0_000005_2.png", "camera_0_000005_3.png",
    ]  # fmt: skip
    for path, picture in zip(paths, pictures, strict=True):
        np.testing.assert_array_equal(read_picture(path), picture)
