"""The search: calibrate, then ask, evaluate, append, tell until the budget is spent."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from nas.archive import Archive, Evaluation, pareto_front
from nas.data import Dataset, search_split
from nas.errors import UserError, read_json
from nas.evaluator import SearchData, Task, TrainingEvaluator
from nas.evolution import Evolution, SpaceExhausted
from nas.genome import Genome
from nas.latency import Calibration, FpsModel, calibrate, measure_fps
from nas.run import RunDirectory, Settings
from nas.space import SearchSpace
from nas.workers import InProcess, RayWorkers, Workers

Note = Callable[[str], None]
MODE_GENOMES = 6  # sampled genomes that decide the training mode


@dataclass(frozen=True)
class Machine:
    """What was measured on this machine before the search; stored, so that a resume agrees."""

    calibration: Calibration
    bf16: bool
    channels_last: bool
    device: str

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)


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
    ) -> None:
        self.run, self.settings, self.space = run, settings, space
        self.progress = progress
        self.archive: Archive = run.archive()
        self.evolution = Evolution(
            space, settings.algorithm, settings.seed, settings.population, initial, settings.fitness
        )
        self.pending: dict[int, Genome] = {}
        self._requeue: list[Task] = []
        self._in_flight = self._told = 0
        self._exhausted = False
        # Deterministic mode tells in the order of asking; what came early waits here.
        self._early: dict[int, Evaluation] = {}
        if settings.deterministic:
            self._early = {e.index: e for e in self.archive}
        else:
            self._replay()

    def loop(self, workers: Workers, deadline: float | None = None) -> Outcome:
        """Until the evaluations are made, the time is up, nothing new is left, or Ctrl-C."""
        started, waited = time.perf_counter(), 0.0
        stopped = "interrupted"
        try:
            self._fill(workers, deadline)
            self._settle(workers, deadline)
            while self._in_flight:
                self.progress.update(self, None)
                before = time.perf_counter()
                evaluation = workers.next()
                waited += time.perf_counter() - before
                self._in_flight -= 1
                self._accept(evaluation)
                self._settle(workers, deadline)
                self._fill(workers, deadline)
                self.progress.update(self, evaluation)
            stopped = self._why_stopped(deadline)
        except KeyboardInterrupt:
            self.progress.note("interrupted: finishing with what is there")
        finally:
            self.archive.close()
        seconds = time.perf_counter() - started
        self.progress.close()
        return Outcome(self.archive.evaluations, stopped, seconds, waited)

    def inside(self) -> list[Evaluation]:
        """Evaluations of genomes that the space holds; only these make the front."""
        return [e for e in self.archive if e.ok and self.space.contains(e.genome)]

    def _replay(self) -> None:
        """Bring the optimiser to where the archive ends; what was asked and not told is pending.

        Deterministic mode needs none of it: asking anew, in order, gives the same genomes, and
        those in the archive are not evaluated again.
        """
        asked, pending = self.run.load_pending()
        done = {e.index for e in self.archive}
        self.pending = {i: g for i, g in pending.items() if i not in done}
        for evaluation in self.archive:
            self._tell(evaluation)
        for index, genome in sorted(self.pending.items()):
            self.evolution.asked_before(index, genome)
            self._requeue.append(self._task(index, genome))
        # Without a readable state.json, ask on from the last finished evaluation.
        self.evolution.asked = max([asked, self.evolution.asked, *(i + 1 for i in done)])

    def _fill(self, workers: Workers, deadline: float | None) -> None:
        """Give every free worker a task."""
        while self._in_flight < workers.capacity and not self._ahead(workers):
            task = self._requeue.pop(0) if self._requeue else self._ask(deadline)
            if task is None:
                return
            if task.index in self._early:  # a resumed run has it
                if self._early[task.index].id != task.genome.id:
                    raise UserError(
                        f"{self.run.path}: evaluation {task.index} is of another genome than "
                        "this version asks for; resume it with the version that started it"
                    )
                continue
            workers.submit(task)
            self._in_flight += 1

    def _ahead(self, workers: Workers) -> bool:
        """Deterministic mode asks for child k after exactly k - capacity + 1 tells."""
        ahead = self.evolution.asked - self._told >= workers.capacity
        return self.settings.deterministic and ahead

    def _ask(self, deadline: float | None) -> Task | None:
        limit = self.settings.evaluations
        if (limit and self.evolution.asked >= limit) or _past(deadline) or self._exhausted:
            return None
        try:
            index, genome = self.evolution.ask()
        except SpaceExhausted:
            self._exhausted = True
            return None
        if index not in self._early:
            self.pending[index] = genome
            self.run.save_pending(self.evolution.asked, self.pending)
        return self._task(index, genome)

    def _task(self, index: int, genome: Genome) -> Task:
        return Task(index, genome, self.settings.fidelity, self.settings.seed)

    def _accept(self, evaluation: Evaluation) -> None:
        self.archive.append(evaluation)  # on disk before the optimiser hears of it
        self.pending.pop(evaluation.index, None)
        if self.settings.deterministic:
            self._early[evaluation.index] = evaluation
        else:
            self._tell(evaluation)
        self.run.write_results(self.inside(), self.settings.fitness)

    def _settle(self, workers: Workers, deadline: float | None) -> None:
        """Tell what is next in the order of asking; ask after every single tell."""
        while self._told in self._early:
            self._tell(self._early.pop(self._told))
            self._fill(workers, deadline)

    def _tell(self, evaluation: Evaluation) -> None:
        self._told += 1
        # A seed genome from outside the space is measured for comparison, not bred.
        self.evolution.tell(evaluation, breed=self.space.contains(evaluation.genome))

    def _why_stopped(self, deadline: float | None) -> str:
        if self._exhausted:
            return "the space holds no further genome"
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
    data = search_data(dataset, space)
    search = Search(run, settings, space, initial, progress)
    machine = measure_machine(run, settings, space, progress.note)
    arguments = (
        data,
        settings.recipe,
        machine.calibration.model,
        (machine.bf16, machine.channels_last),
        machine.device,
    )
    count = settings.workers
    workers: Workers
    if count == 1:
        workers = InProcess(TrainingEvaluator, *arguments)
    else:
        progress.note(f"starting {count} Ray workers")
        workers = RayWorkers(
            TrainingEvaluator, *arguments, count=count, gpus_each=settings.gpus_per_worker
        )
    deadline = time.monotonic() + settings.time_budget if settings.time_budget else None
    try:
        outcome = search.loop(workers, deadline)
    finally:
        workers.close()
    outcome.front_fps = finish(search, progress.note)
    return search, outcome


def finish(search: Search, note: Note) -> dict[str, float]:
    """Write the results, then measure the front's fps for real. {id: fps}."""
    run, fitness = search.run, search.settings.fitness
    inside = search.inside()
    run.write_results(inside, fitness)
    front = pareto_front(inside)
    if not front:
        return {}
    note(f"measuring the frame rate of the {len(front)} networks on the front")
    measured = dict(zip([e.id for e in front], measure_fps([e.genome for e in front]), strict=True))
    run.write("measured_fps.json", json.dumps(measured, indent=1))
    return measured


def search_data(dataset: Dataset, space: SearchSpace) -> SearchData:
    """The training part, split for the search. UserError when space and data do not fit."""
    channels, height, width = dataset.images.shape[1:]
    size = space.input
    if len(dataset.classes) != space.num_classes:
        raise UserError(
            f"space {space.name}: num_classes {space.num_classes} does not fit data set "
            f"{dataset.name}, which has {len(dataset.classes)} classes"
        )
    if channels != size.channels or height < size.height or width < size.width:
        raise UserError(
            f"space {space.name}: input {size.channels}x{size.height}x{size.width} does not fit "
            f"data set {dataset.name} of {channels}x{height}x{width}"
        )
    fit, held_out = search_split(dataset)
    rows = np.concatenate([fit, held_out])
    return SearchData(
        dataset.images[rows],
        dataset.labels[rows],
        np.arange(len(fit)),
        np.arange(len(fit), len(rows)),
    )


def measure_machine(
    run: RunDirectory, settings: Settings, space: SearchSpace, note: Note
) -> Machine:
    """Fps model, fastest training mode and device; read back from the run where it has them."""
    path = run.file("machine.json")
    if path.exists():
        return _read_machine(read_json(path), str(path))
    note("calibrating frames per second: timing sampled networks in ONNX Runtime, one thread")
    calibration = calibrate(space, settings.seed, settings.calibration_genomes)
    import torch

    from nas.train import fastest_mode

    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // settings.workers))  # as each worker will have
    rng = np.random.default_rng(settings.seed)
    sampled = [space.sample(rng) for _ in range(MODE_GENOMES)]
    mode = fastest_mode(torch.device(device), sampled, settings.recipe.batch)
    torch.set_num_threads(threads)
    machine = Machine(calibration, mode.bf16, mode.channels_last, device)
    run.write("machine.json", machine.to_json())
    note(
        f"fps model: held-out error {calibration.held_out_error:.1%} (median), rank correlation "
        f"{calibration.rank_correlation:.2f}, {calibration.genomes} networks in "
        f"{calibration.seconds:.0f} s; training mode on {device}: "
        f"{'bf16' if mode.bf16 else 'float32'}"
        f"{', channels-last' if mode.channels_last else ''}"
    )
    return machine


def _read_machine(data: Any, where: str) -> Machine:
    try:
        fields = dict(data["calibration"])
        fields["model"] = FpsModel(tuple(float(c) for c in fields["model"]["coefficients"]))
        return Machine(
            Calibration(**fields),
            bool(data["bf16"]),
            bool(data["channels_last"]),
            str(data["device"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: not a machine file: {error}") from None


def _past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
