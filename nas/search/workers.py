"""Evaluate many genomes at once: in this process, or on Ray actors."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Protocol

import torch

from nas.arch.plugins import load_plugins, loaded_plugins
from nas.common.deadline import OutOfTime
from nas.common.environment import limit_memory, usable_cores
from nas.common.errors import UserError, first_line
from nas.search.archive import Evaluation
from nas.search.cluster import RaySession, worker_environment
from nas.search.evaluate import failed, run_task
from nas.search.settings import Settings
from nas.training.task import Evaluator, Task

START_SECONDS = 300.0  # until the first worker must be there
ATTEMPTS = 3  # of one task, when the workers that hold it die
FAILED_STARTS = 20  # in a row, of all workers together; then those that cannot start are given up
GRACE = 2.0  # s; a worker that does not stop by itself when the time is up is ended

MakeEvaluator = Callable[..., Evaluator]
log = logging.getLogger(__name__)


class Workers(Protocol):
    """`capacity` tasks may be in flight; `next` waits for whichever ends first.

    It gives the evaluation; or a task that is to be submitted again, since its worker died (the
    next attempt) or the search's time was up; None where only the capacity has changed.
    """

    @property
    def capacity(self) -> int: ...

    def submit(self, task: Task) -> None: ...

    def next(self) -> Evaluation | Task | None: ...

    def close(self) -> None: ...


def evaluations_of(workers: Workers, tasks: Iterable[Task]) -> Iterator[Evaluation]:
    """What workers without a deadline make of the tasks, as they end."""
    queue, running = deque(tasks), 0
    while queue or running:
        while queue and running < workers.capacity:
            workers.submit(queue.popleft())
            running += 1
        ended = workers.next()
        if ended is None:
            continue
        running -= 1
        if isinstance(ended, Task):
            queue.appendleft(ended)
        else:
            yield ended


def again(task: Task, why: str) -> Task | Evaluation:
    """The next attempt of what a worker died with; a failure where there were enough."""
    if task.attempt < ATTEMPTS:
        return replace(task, attempt=task.attempt + 1)
    return failed(task, f"broken off {task.attempt} times, at last because {why}")


class InProcess:
    """One worker: this process. `next` does the work."""

    capacity = 1

    def __init__(self, make: MakeEvaluator, *arguments: Any, threads: int | None = None) -> None:
        self._threads = torch.get_num_threads()  # of whoever calls a search from Python
        _limit_threads(threads or usable_cores())
        self.evaluator = make(*arguments)
        self.tasks: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self.tasks.append(task)

    def next(self) -> Evaluation | Task:
        return run_task(self.evaluator, self.tasks.popleft())

    def close(self) -> None:
        self.tasks.clear()
        torch.set_num_threads(self._threads)


class RayWorkers:
    """Ray actors, each holding one evaluator; the arguments are stored once a node.

    gpus: the share of a GPU of each worker, one entry a worker. candidate_time, candidate_memory:
    what one candidate may take, s and GiB beyond an idle worker's. address: of a running cluster
    (`auto` or host:port); without it, Ray is started on this machine alone. Workers for which the
    cluster has no room wait for it: they join when a node is added. One that dies or hangs is
    replaced. deadline: of time.monotonic, when the search's time is up.
    """

    def __init__(
        self,
        make: MakeEvaluator,
        *arguments: Any,
        gpus: Sequence[float],
        candidate_time: float | None = None,
        candidate_memory: float | None = None,
        address: str | None = None,
        threads: int | None = None,
        deadline: float | None = None,
    ) -> None:
        self._limit = candidate_time or inf
        self._deadline = inf if deadline is None else deadline
        self._session = RaySession(address, len(gpus))
        self._ray = self._session.ray
        if threads is None:
            threads = 1 if address else max(1, usable_cores() // len(gpus))
        self._starting: dict[Any, _Worker] = {}
        self._idle: list[_Worker] = []
        self._running: dict[Any, tuple[_Worker, Task, float]] = {}  # and when it is overdue
        self._failed_starts = 0
        self._count = len(gpus)
        self._shared = any(gpus)  # then a worker without a share must not see a GPU
        try:
            stored = [self._stored(argument) for argument in arguments]
            self.arguments = (loaded_plugins(), make, threads, candidate_memory, *stored)
            for share in gpus:
                self._start(share)
            self._wait_for_one(gpus)
        except BaseException:
            self.close()
            raise

    def _stored(self, argument: Any) -> Any:
        try:
            return self._ray.put(argument)
        except TypeError as error:  # a function of the user's that holds a lock, a file, ...
            raise UserError(
                f"evaluator: cannot be sent to worker processes: "
                f"{first_line(error.__cause__ or error)}; expected a function at the head of a "
                "module, or one worker"
            ) from None

    @property
    def capacity(self) -> int:
        return len(self._idle) + len(self._running)

    def submit(self, task: Task) -> None:
        worker = self._idle.pop()
        overdue = min(time.monotonic() + self._limit, self._deadline + GRACE)
        self._running[worker.actor.run.remote(task)] = worker, task, overdue

    def next(self) -> Evaluation | Task | None:
        while True:
            first = min((overdue for _, _, overdue in self._running.values()),
                        default=self._deadline)  # fmt: skip
            timeout = None if first == inf else max(0.0, first - time.monotonic())
            waiting = [*self._running, *self._starting]
            ready, _ = self._ray.wait(waiting, num_returns=1, timeout=timeout)
            if not ready:
                return self._stop_overdue() if self._running else None
            if ready[0] in self._running:
                return self._finished(ready[0])
            if self._started(ready[0]):
                return None

    def close(self) -> None:
        if not self._session.ours:
            running = (worker for worker, _, _ in self._running.values())
            for worker in [*self._idle, *running, *self._starting.values()]:
                self._ray.kill(worker.actor)
        self._session.close()

    def _finished(self, reference: Any) -> Evaluation | Task:
        worker, task, _ = self._running.pop(reference)
        try:
            found: Evaluation | Task = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._start(worker.gpus)
            return again(task, f"its worker died: {first_line(error)}")
        if isinstance(found, Evaluation) and found.out_of_memory:
            self._replace(worker)  # perhaps what an earlier candidate left behind took it
            return again(task, found.error)
        self._idle.append(worker)
        return found

    def _stop_overdue(self) -> Evaluation | Task:
        reference = min(self._running, key=lambda r: self._running[r][2])
        worker, task, _ = self._running.pop(reference)
        self._replace(worker)
        if time.monotonic() >= self._deadline:
            return task
        why = f"took longer than the {self._limit:g} s that a candidate may"
        return failed(task, why, self._limit)

    def _replace(self, worker: _Worker) -> None:
        self._ray.kill(worker.actor)
        self._start(worker.gpus)

    def _start(self, gpus: float) -> None:
        variables = worker_environment()
        place = self._ray.remote(
            num_cpus=1, num_gpus=gpus, max_restarts=0,
            **({"runtime_env": {"env_vars": variables}} if variables else {}),
        )  # fmt: skip
        actor = place(_Actor).remote(self._shared and not gpus, *self.arguments)
        # Ready once torch is imported and the data are there: no task is charged for that.
        self._starting[actor.ready.remote()] = _Worker(actor, gpus)

    def _started(self, reference: Any) -> bool:
        """Take in a worker that is ready, or try again where it could not start."""
        worker = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if not self.capacity and self._failed_starts > self._count:
                why = str(error).strip().splitlines()[-1]
                raise UserError(f"no worker starts: {why}") from None
            if self._failed_starts < FAILED_STARTS:
                self._start(worker.gpus)
            return False
        self._failed_starts = 0
        self._idle.append(worker)
        return True

    def _wait_for_one(self, gpus: Sequence[float]) -> None:
        until = min(time.monotonic() + START_SECONDS, self._deadline)
        while not self.capacity:
            left = max(0.0, until - time.monotonic())
            ready, _ = self._ray.wait(list(self._starting), num_returns=1, timeout=left)
            if not ready and until == self._deadline:
                raise OutOfTime
            if not ready:
                has = self._ray.cluster_resources()
                raise UserError(
                    f"no room for a worker of 1 CPU and {min(gpus):g} GPU in {START_SECONDS:g} s; "
                    f"the cluster has {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs"
                )
            self._started(ready[0])


@dataclass(frozen=True)
class _Worker:
    actor: Any
    gpus: float


class _Actor:
    """The process that evaluates; its prints go nowhere, for gigabytes would fill the disk."""

    def __init__(
        self, blind: bool, plugins: tuple[str, ...], make: MakeEvaluator, threads: int,
        memory: float | None, *arguments: Any,
    ) -> None:  # fmt: skip
        if blind:  # Ray itself hides GPUs only where every node was started with a variable
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        _limit_threads(threads)
        load_plugins(plugins)
        self.evaluator = make(*arguments)
        if memory:
            limit_memory(int(memory * (1 << 30)))

    def ready(self) -> bool:
        return True

    def run(self, task: Task) -> Evaluation | Task:
        return run_task(self.evaluator, task)


def _limit_threads(threads: int) -> None:
    # Threads x workers must not exceed the cores: OpenMP barriers spin (7x slower when they do).
    torch.set_num_threads(threads)


def start_workers(
    settings: Settings, make: MakeEvaluator, arguments: tuple[Any, ...],
    deadline: float | None = None, alone: bool = False,
) -> Workers:  # fmt: skip
    """The workers that the settings ask for, each with an evaluator of its own.

    alone: one worker, too, gets a process of its own, as it does where a candidate may be stopped.
    """
    # The order of a sum, and so its rounding, depends on how many threads share it.
    threads = 1 if settings.deterministic else None
    gpus = [settings.gpus_per_worker] * settings.main_workers + [0.0] * settings.cpu_workers
    apart = alone or settings.address or settings.candidate_time or settings.candidate_memory
    if len(gpus) == 1 and not apart:
        return InProcess(make, *arguments, threads=threads)
    log.info("starting %d Ray workers", len(gpus))
    return RayWorkers(
        make, *arguments, gpus=gpus, candidate_time=settings.candidate_time,
        candidate_memory=settings.candidate_memory, address=settings.address, threads=threads,
        deadline=deadline,
    )  # fmt: skip
