"""Recordings: their pace, rates that MPEG-4 cannot count, disks that fill, kills."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from clips import numbered, write_clip
from conftest import ROOT

from nas.common.errors import UserError
from nas.realtime import recording
from nas.realtime.frames import Frame
from nas.realtime.recording import CODECS, Video, writable_rate
from nas.realtime.sources import open_source


def noise(k, size=(160, 120)):
    return np.random.default_rng(k).integers(0, 256, (size[1], size[0], 3), np.uint8)


def record(path, seconds, fps=30):
    video = Video(path, fps, frozenset())
    for index, second in enumerate(seconds):
        video.write(Frame("x", index, second, noise(index)), [], noise(index))
    video.close()
    return list(open_source(str(path)).frames)


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("fps", [119.953, 30000 / 1001, 0.1, 1000.0, 65.537])
def test_any_rate_can_be_recorded(tmp_path, suffix, fps):
    frames = record(tmp_path / f"out{suffix}", [k / fps for k in range(10)], fps)
    assert len(frames) == 10
    assert frames[-1].seconds == pytest.approx(9 / fps, rel=0.01, abs=0.002)


def test_rates_stay_close():
    for fps in (23.976, 29.97, 59.94, 119.953, 240.0, 999.9):
        assert writable_rate(fps) == pytest.approx(fps, rel=2e-4)
    assert writable_rate(119.953) == 119.95


def test_gaps_are_bridged_and_a_varying_pace_is_kept(tmp_path):
    """One frame every third of a second, then one every thirtieth."""
    seconds = [k / 3 for k in range(4)] + [1 + k / 30 for k in range(1, 16)]
    frames = record(tmp_path / "out.mkv", seconds)
    assert len(frames) == 46
    assert frames[-1].seconds == pytest.approx(1.5, abs=0.01)


def test_a_long_gap_is_cut_short(tmp_path):
    """A camera that was away for an hour fills no disk with its last picture."""
    assert len(record(tmp_path / "out.mkv", [0.0, 3600.0, 3600.1], fps=10)) == 302


def test_a_nearly_full_disk_ends_a_recording_that_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "CHECK", 0.0)
    monkeypatch.setattr(recording, "RESERVE", 1 << 60)
    video = Video(tmp_path / "out.mkv", 30, frozenset())
    with pytest.raises(OSError, match=r"the disk is full .* ends at second 0\.0"):
        video.write(Frame("x", 0, 0.0, noise(0)), [], noise(0))
    video.close()
    assert len(list(open_source(str(video.path)).frames)) == 1


LIMITED = """
import resource, sys
from nas.common.cli import exit_code
from nas.realtime.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # as a quota, or a full disk
sys.exit(exit_code(main))
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_what_the_disk_did_not_take_is_an_error(tmp_path, suffix):
    clip = write_clip(tmp_path / "in.avi", [noise(k) for k in range(60)], codec="MJPG")
    out = tmp_path / f"out{suffix}"
    argv = ["--source", str(clip), "--headless", "--out", str(out)]
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, *argv], capture_output=True, text=True, cwd=ROOT
    )
    assert found.returncode == 1, found.stderr
    (line,) = found.stderr.splitlines()
    assert f"{out}: the recording is not complete: the disk took" in line
    if suffix == ".mkv":  # what there is can be read
        assert len(list(open_source(str(out)).frames)) > 5


def start(*argv, **how):
    """The demo on a clip that takes it a while, once it has begun to write."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nas.realtime", *map(str, argv)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how,
    )  # fmt: skip
    table = argv[argv.index("--jsonl") + 1]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if table.exists() and table.stat().st_size > 500:
            return process
        time.sleep(0.02)
    raise AssertionError(process.communicate())


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("long") / "in.mp4", numbered(1500, (320, 240)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT in the background"])
def test_a_signal_leaves_readable_files(tmp_path, long_clip, name):
    """Also Ctrl-C's signal where a shell's background job has it ignored."""
    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    ignored = name.endswith("background")
    process = start(
        "--source", long_clip, "--headless", "--out", out, "--jsonl", lines,
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else None,
    )  # fmt: skip
    process.send_signal(getattr(signal, name.split()[0]))
    printed, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    count = len(lines.read_text().splitlines())
    assert 5 < count < 1500
    assert len(list(open_source(str(out)).frames)) == count
    assert f"{count} frames" in printed


@pytest.mark.slow
def test_matroska_survives_a_kill(tmp_path, long_clip):
    out, lines = tmp_path / "out.mkv", tmp_path / "out.jsonl"
    process = start("--source", long_clip, "--headless", "--out", out, "--jsonl", lines)
    deadline = time.monotonic() + 60
    while out.stat().st_size < 100_000 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert len(list(open_source(str(out)).frames)) > 5
    assert len(lines.read_text().splitlines()) > 5


def test_what_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected a video ending in \.mkv, \.mp4, \.avi"):
        Video(tmp_path / "out.gif", 30, frozenset())
    with pytest.raises(UserError, match="is the input"):
        Video(tmp_path / "a.mkv", 30, frozenset({(tmp_path / "a.mkv").resolve()}))
    os.mkdir(tmp_path / "folder.mkv")
    with pytest.raises(UserError, match="cannot write a video there"):
        record(tmp_path / "folder.mkv", [0.0])
