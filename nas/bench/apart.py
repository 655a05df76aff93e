"""A measurement in a process of its own, on cores of its own, with its own libraries alone."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from typing import Any


def apart(module: str, cores: list[int], *arguments: object) -> Any:
    """What `run(*arguments)` of a module gives in a fresh process that may use these cores."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_run, module, cores, *arguments).result()


def _run(module: str, cores: list[int], *arguments: object) -> Any:
    os.sched_setaffinity(0, cores)  # before OpenCV, ONNX Runtime and torch count them
    return import_module(module).run(*arguments)
