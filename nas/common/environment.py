"""This machine: cores to use, and what a result depends on beside its settings."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import resource

VERSION = "0.1.0"  # of fer-nas; pyproject.toml takes it from here
CONTROL_GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # Linux
VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "CUDA_VISIBLE_DEVICES",
)  # that change what torch computes
PACKAGES = ("torch", "numpy", "deap", "ray", "onnx", "onnxruntime", "opencv-python", "moocore")


def usable_cores() -> int:
    """Cores that taskset or a scheduler left, and no more than the container's quota pays for."""
    quota = cpu_quota()
    cores = scheduled_cores()
    return cores if quota is None else max(1, min(cores, int(quota)))


def scheduled_cores() -> int:
    """Cores that taskset or a scheduler left; all where the system does not tell (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(groups: Path = CONTROL_GROUPS, own: Path = OWN_GROUP) -> float | None:
    """Cores' worth of time that the control groups allow, version 1 or 2; None: no limit.

    The strictest of the process's group and those above it.
    """
    quotas = [_quota(folder) for folder in _groups(groups, own)]
    return min((quota for quota in quotas if quota is not None), default=None)


def bound_threads() -> None:
    """Let libraries that count cores for themselves (OpenMP, torch, OpenCV) keep to the quota.

    They read it when they are loaded; what the user has set stands.
    """
    if usable_cores() < scheduled_cores():
        for name in ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
            os.environ.setdefault(name, str(usable_cores()))


def peak_memory() -> int:
    """The most bytes that this process has held at once; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    unit = {"darwin": 1}.get(sys.platform, 1024)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def limit_memory(more: int) -> bool:
    """Let allocations fail beyond what this process holds now and `more` bytes.

    False where no limit can be set: Linux alone counts what a process allocates for itself.
    """
    status = Path("/proc/self/status")
    if sys.platform == "win32" or not status.exists():
        return False
    lines = status.read_text().splitlines()
    held = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + more, held + more))
    return True


def environment(command: list[str]) -> dict[str, Any]:
    """What a run's figures depend on beside its settings."""
    return {
        "command": command,
        "fer_nas": VERSION,
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": processor(),
        "cores": usable_cores(),
        "variables": {name: os.environ.get(name) for name in VARIABLES},
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def package_version(package: str) -> str:
    """`missing` where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")


def _groups(groups: Path, own: Path) -> Iterator[Path]:
    """Folders that may limit this process. A container may see its own group as the root."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:  # number:controllers:/path; version 2 names no controllers
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for root in (groups / controllers, groups / "cpu") if controllers else (groups,):
            folder = root / path.lstrip("/")
            while folder != root:
                yield folder
                folder = folder.parent
            yield root


def _quota(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            limit, period = (folder / "cpu.max").read_text().split()
        else:
            limit = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return int(limit) / int(period) if int(limit) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max": no limit
        return None


def _git() -> dict[str, Any]:
    """Commit of the checkout that runs, and whether it was changed since."""
    code = Path(__file__).parents[2]
    if not (code / ".git").exists():
        return {}
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(code), *arguments],
                capture_output=True, text=True, check=True, timeout=5,
            ).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": bool(status)}
