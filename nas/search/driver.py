"""The search: ask, evaluate, append, tell until the budget is spent.

The archive owns the front and what was evaluated, the store what is in flight; the optimizer is a
function of both.
"""

from __future__ import annotations

import errno
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from nas.arch.genome import Genome
from nas.common.errors import UserError, first_line
from nas.evolution.denoise import denoised_front
from nas.evolution.optimizer import Optimizer, Proposal, SpaceExhausted
from nas.evolution.predictor import StaticMetrics
from nas.search.archive import Evaluation, as_measured
from nas.search.elapsed import Outcome, ran_before
from nas.search.evaluate import completed
from nas.search.pending import Pending
from nas.search.settings import STATIC, Settings
from nas.search.store import RunDirectory
from nas.search.workers import Workers
from nas.space.changes import changes
from nas.space.space import SearchSpace
from nas.training.task import Task

LOOKAHEAD = 8  # tasks at once in deterministic mode, however many workers there are
RETRY_SECONDS = 10.0  # between attempts to write to a full disk
DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # that a user can mend

log = logging.getLogger(__name__)


class Callback:
    """What a search tells those who watch it; any object with some of these methods will do.

    One that raises is told nothing more.
    """

    def on_start(self, search: Search) -> None:
        """Before the first evaluation of this process."""

    def on_evaluation(self, search: Search, evaluation: Evaluation) -> None:
        """After every evaluation, once it is stored."""

    def on_end(self, search: Search, outcome: Outcome) -> None:
        """After the last, however the search ended."""


class Search:
    """One search over one run directory, which the caller holds locked.

    static_metrics: of a genome, that need no measurement; they complete what the evaluator returns,
    and screen children.
    """

    def __init__(
        self,
        run: RunDirectory,
        settings: Settings,
        space: SearchSpace,
        initial: Sequence[Genome],
        callbacks: Sequence[Callback] = (),
        static_metrics: StaticMetrics = lambda genome: {},
    ) -> None:
        self.run, self.settings, self.space = run, settings, space
        self.callbacks, self.static_metrics = list(callbacks), static_metrics
        self._unused: set[str] = set()  # metrics of the evaluator's
        self.optimizer = make_optimizer(space, settings, initial, static_metrics)
        self.archive = run.archive(space.contains)
        self.pending = Pending(run.file("pending.jsonl"), self.archive.by_index.keys())
        self.before = ran_before(run.file("summary.json"), self.archive.evaluations)
        self._began: float | None = None  # of perf_counter, when this process's loop began
        self._queue: deque[Task] = deque()  # asked, waiting for a worker
        self._running = self._told = self._lost = 0
        self._exhausted = False
        if not settings.deterministic:
            self._replay()

    @property
    def complete(self) -> bool:
        """Whether as many evaluations as are wanted have been made."""
        return self._enough(len(self.archive))

    def _enough(self, made: int) -> bool:
        """Whether so many evaluations, those running included, are all that are wanted."""
        limit = self.settings.evaluations
        return limit is not None and made + self._lost >= limit

    @property
    def busy(self) -> int:
        """Tasks that workers hold."""
        return self._running

    def loop(self, workers: Workers, deadline: float | None = None) -> Outcome:
        """Until the evaluations are made, the time is up, nothing new is left, or Ctrl-C.

        deadline: of time.monotonic.
        """
        started, outcome = time.perf_counter(), Outcome("interrupted", self.before)
        self._began = started
        try:
            while self._fill(workers, deadline) or self._running:
                before = time.perf_counter()
                try:
                    found = workers.next()
                finally:  # also where Ctrl-C ends it
                    outcome.waited += time.perf_counter() - before
                if found is not None:
                    self._running -= 1
                    self._take(found)
            outcome.stopped = self._why_stopped(deadline)
        except KeyboardInterrupt:
            log.info("interrupted: finishing with what is there")
        finally:
            for part in (self.archive, self.pending):
                try:
                    part.close()
                except (OSError, UserError) as error:  # must not hide why the search ends
                    log.warning("%s", first_line(error))
        outcome.loop_seconds = time.perf_counter() - started
        return outcome

    def best(self) -> Evaluation | None:
        """Of what was measured so far."""
        chosen = self.settings.choose(as_measured(self.archive.results()))
        return chosen.measured if chosen else None

    def tell_callbacks(self, event: str, *arguments: Any) -> None:
        """Reporting never ends a search."""
        for callback in list(self.callbacks):
            try:
                heard = getattr(callback, event, None)
                if heard is not None:
                    heard(self, *arguments)
            except Exception as error:
                self.callbacks.remove(callback)
                log.warning("%s: %s: no more news there", type(callback).__name__, error)

    def _replay(self) -> None:
        """Bring the optimizer to where the archive ends; what was asked and not told is pending.

        Deterministic mode needs none of it: asking anew, in order, gives the same genomes, and
        those in the archive are not evaluated again.
        """
        for evaluation in self.archive:
            self._tell(evaluation)
        for index, task in sorted(self.pending.tasks.items()):
            self.optimizer.asked_before(index, task.genome)
            self._queue.append(task)
        known = self.archive.by_index.keys() | self.pending.tasks.keys()
        self.optimizer.asked = max(known, default=-1) + 1
        # Where pending.jsonl is damaged, other genomes are asked for instead.
        self._lost = self.optimizer.asked - len(known)

    def _fill(self, workers: Workers, deadline: float | None) -> bool:
        """Give every free worker a task. False when there is none left to give."""
        while self._running < workers.capacity:
            task = self._next_task(deadline)
            if task is None:
                return False
            self._persist(self.pending.start, task)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            workers.submit(replace(task, seconds=left))
            self._running += 1
        return not _past(deadline)

    def _next_task(self, deadline: float | None) -> Task | None:
        if self.settings.deterministic:
            self._advance(deadline)
        elif not self._queue:
            self._ask(deadline)
        # What is left, a resumed search asks for again.
        enough = self._enough(len(self.archive) + self._running)
        if not self._queue or enough or _past(deadline):
            return None
        return self._queue.popleft()

    def _advance(self, deadline: float | None) -> None:
        """Deterministic mode: child k is asked for after exactly k - LOOKAHEAD + 1 tells.

        Neither the number of workers nor the order in which they answer changes a genome: what came
        early waits in the archive.
        """
        while True:
            while self.optimizer.asked - self._told < LOOKAHEAD and self._ask(deadline):
                pass
            if self._told >= self.optimizer.asked or self._told not in self.archive.by_index:
                return
            self._tell(self.archive.by_index[self._told])

    def _ask(self, deadline: float | None) -> bool:
        """Queue the next child. False when no more is wanted, or none is left."""
        limit = self.settings.evaluations
        enough = limit is not None and self.optimizer.asked - self._lost >= limit
        if enough or _past(deadline) or self._exhausted:
            return False
        try:
            task = self._task(self.optimizer.asked, self.optimizer.propose())
        except SpaceExhausted:
            self._exhausted = True
            return False
        stored = self.archive.by_index.get(task.index)
        if stored is None:
            before = self.pending.tasks.get(task.index)  # deterministic mode, resumed
            self._queue.append(replace(task, attempt=before.attempt) if before else task)
        elif stored.id != task.genome.id:
            raise UserError(
                f"{self.run.path}: evaluation {task.index} is of another genome than is asked "
                "for now; resume it with the version that started it"
            )
        return True

    def _task(self, index: int, proposal: Proposal) -> Task:
        """With its ancestry: what differs from the first parent, and who did it."""
        operator = "crossover" if len(proposal.parents) > 1 else "mutation"
        differing = changes(proposal.parents[0], proposal.genotype) if proposal.parents else ()
        return Task(
            index, proposal.genome, self.settings.fidelity, self.settings.seed,
            parents=tuple(parent.id for parent in proposal.parents),
            changes=tuple({"operator": operator, **vars(change)} for change in differing),
            predicted=proposal.predicted,
        )  # fmt: skip

    def _take(self, ended: Evaluation | Task) -> None:
        """What a worker answered."""
        if isinstance(ended, Task):  # its worker died; or the time is up, for a resumed search
            self._queue.appendleft(ended)
            return
        if ended.status == "stopped" and self.settings.deterministic:
            return  # how far it came is the machine's doing; a resumed search asks for it again
        self._accept(replace(self._completed(ended), elapsed=self._elapsed()))

    def _elapsed(self) -> float:
        """Seconds that this search has run by now."""
        assert self._began is not None
        return self.before.loop_seconds + time.perf_counter() - self._began

    def _completed(self, evaluation: Evaluation) -> Evaluation:
        known, given = self.static_metrics(evaluation.genome), evaluation.metrics
        new = {k for k in known if given.get(k, known[k]) != known[k]} - self._unused
        if new:
            self._unused |= new
            log.warning(
                "the evaluator's %s: not used, since the search knows it before a measurement; "
                "give your own another name", ", ".join(sorted(new)),
            )  # fmt: skip
        return completed(evaluation, known, self.settings.wanted, self.archive)

    def _accept(self, evaluation: Evaluation) -> None:
        # On disk before the optimizer hears of it.
        try:
            new_front = self._persist(self.archive.append, evaluation)
        except BaseException:
            log.warning("not stored: %s", json.dumps(evaluation.to_dict()))
            raise
        self.pending.done(evaluation.index)
        if not self.settings.deterministic:
            self._tell(evaluation)
        if new_front:
            self._persist(self.write_results)
        self.tell_callbacks("on_evaluation", evaluation)

    def write_results(self, final: bool = False) -> None:
        """front.json and best.json, derived from the evaluations.

        final: the front that the search returns, of what is believed (evolution/denoise.py); while
        it runs, the one that was measured.
        """
        found, wanted = self.archive.evaluations, self.settings
        believed = [] if not final else denoised_front(
            self.space, found, STATIC, wanted.objectives, wanted.constraints
        )  # fmt: skip
        self.run.write_front(believed or as_measured(self.archive.results()), wanted)

    def _persist(self, write: Callable[..., Any], *arguments: Any) -> Any:
        """Write; a full disk is waited for, so that no evaluation is lost."""
        while True:
            try:
                return write(*arguments)
            except UserError as error:
                if getattr(error.__cause__, "errno", None) not in DISK_FULL:
                    raise
                log.warning("%s; free some space: trying again every %g s", error, RETRY_SECONDS)
                time.sleep(RETRY_SECONDS)

    def _tell(self, evaluation: Evaluation) -> None:
        self._told += 1
        if evaluation.status == "stopped":  # no failure; but of fewer epochs than the others
            self.optimizer.pass_over(evaluation.genome)
            return
        metrics = evaluation.metrics if evaluation.ok else None
        self.optimizer.tell(evaluation.genome, metrics, foreign=True)

    def _why_stopped(self, deadline: float | None) -> str:
        if self._exhausted:
            return "no new genome was found in the space"
        return "time is up" if _past(deadline) and not self.complete else "finished"


def make_optimizer(
    space: SearchSpace, settings: Settings, initial: Sequence[Genome],
    static_metrics: StaticMetrics,
) -> Optimizer:  # fmt: skip
    """The one that the settings ask for, before anything is told."""
    return Optimizer(
        space, settings.objectives, algorithm=settings.algorithm, seed=settings.seed,
        population=settings.population, initial=initial, fitness=settings.fitness,
        constraints=settings.constraints, static_metrics=static_metrics,
    )  # fmt: skip


def _past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
