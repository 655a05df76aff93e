"""Cores that a container's quota leaves, on control group trees made by hand."""

import os
import subprocess
import sys

import pytest

from nas.common import environment


def tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        # Version 2: seen from within a container, in a group of systemd's, above it, without limit.
        ("0::/", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/user.slice/job", {"user.slice/job/cpu.max": "200000 100000\n"}, 2),
        ("0::/a/b", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/", {"cpu.max": "max 100000\n"}, None),
        # Version 1: the folder bears the controllers' names, or is called cpu.
        (
            "4:memory:/\n7:cpu,cpuacct:/docker/x",
            {"cpu,cpuacct/docker/x/cpu.cfs_quota_us": "300000\n",
             "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        # The host's path, which the container does not see.
        ("3:cpu:/docker/x", {"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "50000"},
         0.5),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        # Another controller's numbers are no limit, nor is what cannot be read.
        ("3:cpuset:/", {"cpuset/cpu.cfs_quota_us": "1", "cpuset/cpu.cfs_period_us": "2"}, None),
        ("0::/", {"cpu.max": "a lot\n"}, None),
        ("0::/", {}, None),
    ],
)  # fmt: skip
def test_quota_of_the_control_groups(own, files, quota, tmp_path):
    tree(tmp_path / "groups", files)
    (tmp_path / "own").write_text(own + "\n")
    assert environment.cpu_quota(tmp_path / "groups", tmp_path / "own") == quota


def test_no_control_groups(tmp_path):
    assert environment.cpu_quota(tmp_path, tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("scheduled", "quota", "cores"), [(8, None, 8), (8, 2.9, 2), (8, 0.5, 1), (2, 16.0, 2)]
)
def test_usable_cores(scheduled, quota, cores, monkeypatch):
    monkeypatch.setattr(environment, "scheduled_cores", lambda: scheduled)
    monkeypatch.setattr(environment, "cpu_quota", lambda: quota)
    assert environment.usable_cores() == cores


def test_memory():
    """What is held counts; what is allocated beyond the limit fails, and only that."""
    before = environment.peak_memory()
    held = bytearray(64 << 20)
    assert environment.peak_memory() >= before
    del held
    code = (
        "from nas.common.environment import limit_memory\n"
        "assert limit_memory(64 << 20)\n"
        "small = bytearray(32 << 20)\n"
        "try:\n"
        "    bytearray(512 << 20)\n"
        "except MemoryError:\n"
        "    print('refused')\n"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "refused\n"


def test_threads_keep_to_the_quota_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setattr(environment, "scheduled_cores", lambda: 8)
    monkeypatch.setattr(environment, "cpu_quota", lambda: 2.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "")  # so that it is restored
    monkeypatch.delenv("OPENCV_FOR_THREADS_NUM")
    environment.bound_threads()
    assert os.environ["OPENCV_FOR_THREADS_NUM"] == "2"
    assert os.environ["OMP_NUM_THREADS"] == "5"
    monkeypatch.delenv("OMP_NUM_THREADS")
    environment.bound_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.setattr(environment, "cpu_quota", lambda: None)
    monkeypatch.delenv("OMP_NUM_THREADS")
    environment.bound_threads()
    assert "OMP_NUM_THREADS" not in os.environ
