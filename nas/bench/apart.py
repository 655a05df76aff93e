"""A measurement in a process of its own, on cores of its own, with its own libraries alone."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from nas.common.lazy import lazy_function


def apart(function: str, cores: list[int] | None, *arguments: object) -> Any:
    """What `module:function` makes of the arguments in a fresh process; cores: those it may use."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_run, function, cores, *arguments).result()


def _run(function: str, cores: list[int] | None, *arguments: object) -> Any:
    if cores is not None:
        os.sched_setaffinity(0, cores)  # before OpenCV, ONNX Runtime and torch count them
    return lazy_function(function)(*arguments)
