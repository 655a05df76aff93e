"""Evaluate many genomes at once: in this process, or on Ray actors. The only file importing ray."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from nas.archive import Evaluation
from nas.errors import first_line
from nas.evaluator import Evaluator, Task, run_task

MakeEvaluator = Callable[..., Evaluator]


@dataclass(frozen=True)
class Died:
    """The worker that held the task is gone; whether the task is to blame is not known."""

    task: Task
    why: str


class Workers(Protocol):
    """`capacity` tasks may be in flight; `next` waits for whichever ends first.

    None: only the capacity has changed.
    """

    @property
    def capacity(self) -> int: ...

    def submit(self, task: Task) -> None: ...

    def next(self) -> Evaluation | Died | None: ...

    def close(self) -> None: ...


class InProcess:
    """One worker: this process. `next` does the work."""

    capacity = 1

    def __init__(self, make: MakeEvaluator, *arguments: Any, threads: int | None = None) -> None:
        _limit_threads(threads or len(os.sched_getaffinity(0)))
        self.evaluator = make(*arguments)
        self.tasks: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self.tasks.append(task)

    def next(self) -> Evaluation:
        return run_task(self.evaluator, self.tasks.popleft())

    def close(self) -> None:
        self.tasks.clear()


class RayWorkers:
    """`count` Ray actors, each holding one evaluator; the arguments are stored once a node.

    An actor that dies is replaced.
    """

    def __init__(
        self,
        make: MakeEvaluator,
        *arguments: Any,
        count: int,
        gpus_each: float = 0.0,
        threads: int | None = None,
    ) -> None:
        import ray

        self._ray = ray
        # uv or a notebook may have started Ray already; what we did not start, we do not stop.
        self._ours = not ray.is_initialized()
        if self._ours:
            # A private cluster of this process on loopback; the setting silences Ray's notice.
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            with _kept_sigterm():
                ray.init(
                    num_cpus=max(count, 1),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=False,
                )
        self.capacity = count
        self._gpus_each = gpus_each
        self._threads = threads or max(1, len(os.sched_getaffinity(0)) // count)
        self._make = make
        self._arguments = [ray.put(argument) for argument in arguments]
        self._idle = [self._start() for _ in range(count)]
        self._running: dict[Any, tuple[Any, Task]] = {}
        # Actors import torch and copy the data now, so that the first task is not charged for it.
        ray.get([actor.ready.remote() for actor in self._idle])

    def submit(self, task: Task) -> None:
        actor = self._idle.pop()
        self._running[actor.run.remote(task)] = (actor, task)

    def next(self) -> Evaluation | Died:
        (reference,), _ = self._ray.wait(list(self._running), num_returns=1)
        actor, task = self._running.pop(reference)
        try:
            evaluation: Evaluation = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._idle.append(self._start())
            return Died(task, f"its worker died: {first_line(error)}")
        self._idle.append(actor)
        return evaluation

    def close(self) -> None:
        if self._ours:
            self._ray.shutdown()
            return
        for actor in [*self._idle, *(actor for actor, _ in self._running.values())]:
            self._ray.kill(actor)

    def _start(self) -> Any:
        actor = self._ray.remote(num_cpus=1, num_gpus=self._gpus_each, max_restarts=0)(_Actor)
        return actor.remote(self._make, self._threads, *self._arguments)


class _Actor:
    def __init__(self, make: MakeEvaluator, threads: int, *arguments: Any) -> None:
        _limit_threads(threads)
        self.evaluator = make(*arguments)

    def ready(self) -> bool:
        return True

    def run(self, task: Task) -> Evaluation:
        return run_task(self.evaluator, task)


@contextmanager
def _kept_sigterm() -> Iterator[None]:
    """Ray replaces the SIGTERM handler by one that aborts; a search must end with its results."""
    ours = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ours)


def _limit_threads(threads: int) -> None:
    # Threads x workers must not exceed the cores: OpenMP barriers spin (7x slower when they do).
    import torch

    torch.set_num_threads(threads)
