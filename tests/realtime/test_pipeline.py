"""A signal finds every output at the same frame."""

import os
import signal
import time

import numpy as np
import pytest
from clips import numbered, write_clip
from conftest import draw_squares

from nas.common.signals import ending_signals
from nas.realtime.frames import Frame, Source
from nas.realtime.pipeline import run
from nas.realtime.recognizer import Recognizer
from nas.realtime.sources import open_source

PIXELS = np.zeros((48, 64, 3), np.uint8)


class Frames:
    """Keeps the numbers of the frames; ends the command at one of them, as `kill` would."""

    pictured = False

    def __init__(self, last=None):
        self.written, self.last, self.whole = [], last, False

    def write(self, frame, faces, picture):
        self.written.append(frame.index)
        if frame.index == self.last:
            os.kill(os.getpid(), signal.SIGTERM)

    def close(self):
        if self.last is not None:
            os.kill(os.getpid(), signal.SIGHUP)
        self.whole = True


def test_a_signal_never_comes_between_the_files_of_a_frame(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "in.mp4", numbered(60, (64, 48)))
    sinks = [Frames(), Frames(last=7), Frames()]
    monkeypatch.setattr("nas.common.signals.REPEAT", 0.0)  # the second is no echo
    with ending_signals(), pytest.raises(KeyboardInterrupt):
        run(open_source(str(clip)), Recognizer(), sinks=sinks)
    assert [sink.written for sink in sinks] == [list(range(8))] * 3
    assert all(sink.whole for sink in sinks)


def test_the_summary_counts_what_was_written(tmp_path):
    clip = write_clip(tmp_path / "in.mp4", numbered(60, (64, 48)))
    first = Frames(last=7)
    first.close = lambda: None
    with ending_signals():
        summary = run(open_source(str(clip)), Recognizer(), sinks=[first])
    assert (summary.frames, summary.interrupted) == (8, True)


class Slow(Frames):
    def write(self, frame, faces, picture):
        time.sleep(0.03)


def test_milliseconds_and_rates_are_of_the_slowest_step(tmp_path):
    """Which the others run ahead of, so that a frame waits for longer than two lie apart."""
    clip = write_clip(tmp_path / "in.mp4", numbered(20, (64, 48)))
    found = run(open_source(str(clip)), Recognizer(), sinks=[Slow()]).to_dict()
    assert found["frames"] == 20
    assert found["ms_per_frame"]["write"] >= 30
    assert max(found["fps"], found["median_fps"]) <= 1000 / 30
    assert 30 <= found["p99_ms"] < found["p99_delay_ms"]


class Kept(Frames):
    def __init__(self):
        super().__init__()
        self.faces = []

    def write(self, frame, faces, picture):
        self.faces.append(faces)


def test_labels_are_smoothed_over_the_time_of_the_video(model, squares, tmp_path):
    """And not over that which this machine takes for it."""
    pictures = [draw_squares([(20 + k, 30, 60)], (160, 120), seed=k) for k in range(12)]
    clip = write_clip(tmp_path / "in.mp4", pictures, fps=10)
    kept, stream = Kept(), Recognizer(model).stream()
    run(open_source(str(clip)), Recognizer(model), sinks=[kept])
    expected = [stream(frame.pixels, frame.seconds) for frame in open_source(str(clip)).frames]
    assert [len(faces) for faces in expected] == [1] * 12
    for found, wanted in zip(kept.faces, expected, strict=True):
        assert (found[0].box, found[0].label) == (wanted[0].box, wanted[0].label)
        assert found[0].probabilities == pytest.approx(wanted[0].probabilities, abs=1e-6)


def source(frames, live):
    return Source(frames, 10.0, frozenset(), live=live)


def test_of_a_live_source_every_frame_is_labelled_or_counted_as_dropped():
    frames = (Frame("x", k, k / 10, PIXELS) for k in range(100))
    summary = run(source(frames, live=True), Recognizer(), sinks=[Slow()])
    assert summary.dropped > 0
    assert summary.frames + summary.dropped == 100
    frames = (Frame("x", k, k / 10, PIXELS) for k in range(20))
    summary = run(source(frames, live=False), Recognizer(), sinks=[Slow()])
    assert (summary.frames, summary.dropped) == (20, 0)


def test_a_delay_begins_when_the_frame_is_read():
    frame = Frame("x", 0, 0.0, PIXELS, started=time.perf_counter() - 1)
    summary = run(source(iter([frame]), live=False), Recognizer(), sinks=[Frames()])
    assert summary.delays[0] >= 1000
