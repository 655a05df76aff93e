"""A signal finds every output at the same frame."""

import os
import signal

import pytest
from clips import numbered, write_clip

from nas.common.signals import ending_signals
from nas.realtime.pipeline import run
from nas.realtime.recognizer import Recognizer
from nas.realtime.sources import open_source


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
