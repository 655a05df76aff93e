"""The search: calibrate, then ask, evaluate, append, tell until the budget is spent."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from nas.arch.genome import Genome
from nas.common.errors import UserError
from nas.data import Dataset, check_input, search_data
from nas.evolution.optimizer import Optimizer, SpaceExhausted
from nas.evolution.pareto import Front, best
from nas.evolution.predictor import StaticMetrics
from nas.search.archive import Archive, Evaluation
from nas.search.machine import Note, measure_front, measure_machine
from nas.search.pending import Pending
from nas.search.store import RunDirectory, Settings
from nas.search.workers import (
    Died,
    InProcess,
    Limits,
    MakeEvaluator,
    RayWorkers,
    Workers,
    check_address,
)
from nas.space.space import SearchSpace
from nas.training.evaluator import Task, TrainingEvaluator, failed, known_metrics

ATTEMPTS = 3  # of one task, when the workers that hold it die or the search breaks off
LOOKAHEAD = 8  # tasks at once in deterministic mode, however many workers there are
RETRY_SECONDS = 10.0  # between attempts to write to a full disk


@dataclass
class Outcome:
    """How a search ended. waited: seconds in which the driver only waited for its workers."""

    evaluations: list[Evaluation]
    stopped: str
    seconds: float = 0.0
    waited: float = 0.0
    front_fps: dict[str, float] = field(default_factory=dict)

    @property
    def overhead(self) -> float:
        """Share of the wall time that the driver took, set-up and calibration apart."""
        return 1 - self.waited / self.seconds if self.seconds else 0.0


class Progress(Protocol):
    """What a search reports while it runs; the command line draws it."""

    def note(self, text: str) -> None:
        """A line of news."""

    def update(self, search: Search, evaluation: Evaluation | None) -> None:
        """After every evaluation."""

    def close(self) -> None:
        """The loop has ended."""


class Search:
    """One search over one run directory, which the caller holds locked."""

    def __init__(
        self,
        run: RunDirectory,
        settings: Settings,
        space: SearchSpace,
        initial: list[Genome],
        progress: Progress,
        known: StaticMetrics | None = None,
    ) -> None:
        """known: metrics that need no training, to screen children."""
        self.run, self.settings, self.space = run, settings, space
        self.progress = progress
        self.archive: Archive = run.archive()
        screened = settings.surrogate and settings.algorithm != "random"
        self.optimizer = Optimizer(
            space, algorithm=settings.algorithm + ("+gp" if screened else ""), seed=settings.seed,
            population=settings.population, initial=initial, fitness=settings.fitness,
            static_metrics=known,
        )  # fmt: skip
        done = {e.index for e in self.archive}
        self.pending: Pending = run.pending(done)
        self.front: Front[Evaluation] = Front()  # of the genomes that the space holds
        self._queue: deque[Task] = deque()  # asked, waiting for a worker
        self._in_flight = self._told = self._lost = 0
        self._exhausted = False
        # Deterministic mode tells in the order of asking; what came early waits here.
        self._early: dict[int, Evaluation] = {}
        for evaluation in self.archive:
            self._admit(evaluation)
        if settings.deterministic:
            self._early = {e.index: e for e in self.archive}
        else:
            self._replay()

    def loop(self, workers: Workers, deadline: float | None = None) -> Outcome:
        """Until the evaluations are made, the time is up, nothing new is left, or Ctrl-C."""
        started, waited = time.perf_counter(), 0.0
        stopped = "interrupted"
        try:
            while self._fill(workers, deadline) or self._in_flight:
                self.progress.update(self, None)
                before = time.perf_counter()
                try:
                    found = workers.next()
                finally:  # also where Ctrl-C ends it
                    waited += time.perf_counter() - before
                if found is None:
                    continue
                self._in_flight -= 1
                if isinstance(found, Died):
                    self._retry(found.task, found.why)
                    continue
                self._accept(found)
                self.progress.update(self, found)
            stopped = self._why_stopped(deadline)
        except KeyboardInterrupt:
            self.progress.note("interrupted: finishing with what is there")
        finally:
            self.archive.close()
            self.pending.close()
        seconds = time.perf_counter() - started
        self.progress.close()
        return Outcome(self.archive.evaluations, stopped, seconds, waited)

    def best(self) -> Evaluation | None:
        return best(self.front, self.settings.fitness)

    def _replay(self) -> None:
        """Bring the optimizer to where the archive ends; what was asked and not told is pending.

        Deterministic mode needs none of it: asking anew, in order, gives the same genomes, and
        those in the archive are not evaluated again.
        """
        for evaluation in self.archive:
            self._tell(evaluation)
        for index, task in sorted(self.pending.tasks.items(), reverse=True):  # lowest first
            self.optimizer.asked_before(index, task.genome)
            again = self._task(index, task.genome)
            self._retry(replace(again, attempt=task.attempt), "the search broke off")
        known = {e.index for e in self.archive} | self.pending.tasks.keys()
        self.optimizer.asked = max([self.pending.asked, *(i + 1 for i in known)])
        # Where pending.jsonl is damaged, other genomes are asked for instead.
        self._lost = self.optimizer.asked - len(known)

    def _fill(self, workers: Workers, deadline: float | None) -> bool:
        """Give every free worker a task. False when there is none left to give."""
        while self._in_flight < workers.capacity:
            task = self._next_task(deadline)
            if task is None:
                return False
            self._persist(self.pending.start, task)
            workers.submit(task)
            self._in_flight += 1
        return True

    def _next_task(self, deadline: float | None) -> Task | None:
        if self.settings.deterministic:
            self._advance(deadline)
        elif not self._queue:
            self._ask(deadline)
        if not self._queue or _past(deadline):  # what is left, a resumed search asks for again
            return None
        return self._queue.popleft()

    def _advance(self, deadline: float | None) -> None:
        """Deterministic mode: child k is asked for after exactly k - AHEAD + 1 tells.

        Neither the number of workers nor the order in which they answer changes a genome.
        """
        while True:
            while self.optimizer.asked - self._told < LOOKAHEAD and self._ask(deadline):
                pass
            if self._told not in self._early:
                return
            self._tell(self._early.pop(self._told))

    def _ask(self, deadline: float | None) -> bool:
        """Queue the next child. False when no more is wanted, or none is left."""
        limit = self.settings.evaluations
        enough = limit and self.optimizer.asked - self._lost >= limit
        if enough or _past(deadline) or self._exhausted:
            return False
        try:
            proposal = self.optimizer.propose()
        except SpaceExhausted:
            self._exhausted = True
            return False
        index = proposal.index
        task = self._task(index, proposal.genome)
        if index in self._early:  # a resumed run has it
            if self._early[index].id != task.genome.id:
                raise UserError(
                    f"{self.run.path}: evaluation {index} is of another genome than is asked for "
                    "now; resume it with the version that started it"
                )
        elif index in self.pending.tasks:  # deterministic mode, resumed
            before = self.pending.tasks[index].attempt
            self._retry(replace(task, attempt=before), "the search broke off")
        else:
            self._queue.append(task)
        return True

    def _task(self, index: int, genome: Genome) -> Task:
        settings = self.settings
        return Task(index, genome, settings.fidelity, settings.seed)

    def _retry(self, task: Task, why: str) -> None:
        """Queue a task that was broken off; one that takes its workers with it is given up."""
        if task.attempt < ATTEMPTS:
            self._queue.appendleft(replace(task, attempt=task.attempt + 1))
        else:
            self._accept(failed(task, f"broken off {task.attempt} times, at last because {why}"))

    def _accept(self, evaluation: Evaluation) -> None:
        # On disk before the optimizer hears of it.
        try:
            self._persist(self.archive.append, evaluation)
        except KeyboardInterrupt:
            self.progress.note(f"not stored: {json.dumps(evaluation.to_dict())}")
            raise
        self.pending.done(evaluation.index)
        if self.settings.deterministic:
            self._early[evaluation.index] = evaluation
        else:
            self._tell(evaluation)
        if self._admit(evaluation):
            self._persist(self.run.write_results, self.front, self.settings.fitness)

    def _admit(self, evaluation: Evaluation) -> bool:
        """True when the evaluation changes the front."""
        return (
            evaluation.ok and self.space.contains(evaluation.genome) and self.front.add(evaluation)
        )

    def _persist(self, write: Callable[..., Any], *arguments: Any) -> Any:
        """Write; a full disk is waited for, so that no evaluation is lost."""
        while True:
            try:
                return write(*arguments)
            except UserError as error:
                self.progress.note(
                    f"{error}; free some space: trying again every {RETRY_SECONDS:g} s"
                )
                time.sleep(RETRY_SECONDS)

    def _tell(self, evaluation: Evaluation) -> None:
        self._told += 1
        metrics = evaluation.metrics if evaluation.ok else None
        self.optimizer.tell(evaluation.genome, metrics, foreign=True)

    def _why_stopped(self, deadline: float | None) -> str:
        if self._exhausted:
            return "no new genome was found in the space"
        return "time is up" if _past(deadline) else "finished"


def run_search(
    run: RunDirectory,
    settings: Settings,
    space: SearchSpace,
    dataset: Dataset,
    initial: list[Genome],
    progress: Progress,
) -> tuple[Search, Outcome]:
    """The whole search on real parts; results are in the run directory when it returns."""
    if settings.address is not None:
        check_address(settings.address)
    check_input(dataset, f"space {space.name}", space.classes, *space.shape)
    data = search_data(dataset)
    machine = measure_machine(run, settings, space, progress.note)
    known = partial(known_metrics, fps_model=machine.calibration.model)
    search = Search(run, settings, space, initial, progress, known)
    arguments = (
        data,
        settings.recipe,
        machine.calibration.model,
        (machine.bf16, machine.channels_last),
        settings.device,
    )
    workers = start_workers(settings, TrainingEvaluator, arguments, progress.note)
    deadline = time.monotonic() + settings.time_budget if settings.time_budget else None
    try:
        outcome = search.loop(workers, deadline)
    finally:
        workers.close()
    outcome.front_fps = finish(search, progress.note)
    return search, outcome


def start_workers(
    settings: Settings, make: MakeEvaluator, arguments: tuple[Any, ...], note: Note
) -> Workers:
    """The workers that the settings ask for, each with an evaluator of its own."""
    # The order of a sum, and so its rounding, depends on how many threads share it.
    threads = 1 if settings.deterministic else None
    limits = Limits(settings.candidate_time, settings.candidate_memory)
    # A candidate that may be stopped needs a process of its own.
    gpus = [settings.gpus_per_worker] * settings.workers + [0.0] * settings.cpu_workers
    if len(gpus) == 1 and limits == Limits() and settings.address is None:
        return InProcess(make, *arguments, threads=threads)
    note(f"starting {len(gpus)} Ray workers")
    return RayWorkers(
        make, *arguments, gpus=gpus, limits=limits, address=settings.address, threads=threads
    )


def finish(search: Search, note: Note) -> dict[str, float]:
    """Write the results, then measure the front's fps, unless another machine is the target."""
    run, settings = search.run, search.settings
    run.write_results(search.front, settings.fitness)
    if settings.fps_model is not None:
        note(
            f"fps was predicted for the machine of {settings.fps_model}; to measure the front, run "
            f"there: python -m nas.fps --run {run.path}"
        )
        return {}
    return measure_front(run, list(search.front), note)


def _past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
