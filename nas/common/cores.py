"""How many processor cores this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Those that taskset or a scheduler left; all where the system does not tell (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
