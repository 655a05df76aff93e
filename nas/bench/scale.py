"""What the driver costs as the archive grows, and how many workers it keeps busy.

The classes are the real ones: Search, Optimizer, Archive, Pending, Front, on a real disk. Only the
training is left out: its times are those of a search that was run, its metrics are drawn.
"""

from __future__ import annotations

import heapq
import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.bench.apart import apart
from nas.common.environment import peak_memory
from nas.common.errors import UserError
from nas.search.archive import Archive, Evaluation
from nas.search.driver import Search
from nas.search.evaluate import run_task
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.space.space import SearchSpace
from nas.training.task import Task

POOL = 400  # different genomes of a made-up archive: sampling a million would take hours
STEPS = 200  # evaluations over which the driver's cost is averaged
LEAST = 500  # evaluations of a throughput
PARTS = ("ask", "tell", "append", "front")

log = logging.getLogger(__name__)


def driver_cost(space_file: Path, archived: int) -> dict[str, float]:
    """Milliseconds an evaluation, peak memory and resume time, measured in a process of its own."""
    log.info("%d archived evaluations", archived)
    name = "nas.bench.scale:driver_seconds"
    found: dict[str, float] = apart(name, None, space_file, archived, STEPS)
    return found


def driver_seconds(space_file: Path, archived: int, steps: int) -> dict[str, float]:
    """The same of this process, whose peak memory is that of all it did."""
    with tempfile.TemporaryDirectory() as folder:
        run = _made_up_run(Path(folder) / "run", space_file, archived, steps)
        started, cpu = time.perf_counter(), time.process_time()
        search = Search(run, run.settings(), SearchSpace.load(space_file), [], (), _known)
        resumed, cpu = time.perf_counter() - started, time.process_time() - cpu
        seconds = dict.fromkeys(PARTS, 0.0)
        for part, owner, name in (
            ("ask", search.optimizer, "propose"),
            ("tell", search.optimizer, "tell"),
            ("append", search.archive, "append"),
            ("front", search.archive.front, "add"),
        ):
            setattr(owner, name, partial(_timed, seconds, part, getattr(owner, name)))
        outcome = search.loop(Instant())
        return {
            "archived": archived,
            **{f"{part}_ms": 1000 * took / steps for part, took in seconds.items()},
            "driver_ms": 1000 * (outcome.loop_seconds - outcome.waited) / steps,
            "resume_s": resumed,
            "resume_cpu_s": cpu,
            "peak_gib": peak_memory() / (1 << 30),
            "front": len(search.archive.front),
        }


def throughput(space_file: Path, workers: int, seconds: Sequence[float]) -> dict[str, float]:
    """Utilisation of simulated workers: their time is virtual, the driver's is real.

    utilisation: from the first task of the last worker to the last task given out.
    """
    evaluations = max(LEAST, 6 * workers)
    log.info("%d workers, %d evaluations", workers, evaluations)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(evaluations=evaluations, population=20)
        space = SearchSpace.load(space_file)
        run = RunDirectory.create(Path(folder) / "run", settings, space, [], ["bench"])
        search = Search(run, settings, space, [], (), _known)
        simulated = Simulated(workers, seconds)
        outcome = search.loop(simulated)
    return {
        "workers": workers,
        "evaluations": evaluations,
        "utilisation": simulated.utilisation(),
        "evaluations_per_hour": 3600 * evaluations / simulated.now,
        "driver_ms": 1000 * (outcome.loop_seconds - outcome.waited) / evaluations,
    }


def measured_seconds(path: Path) -> list[float]:
    """The evaluation times of a search. UserError when there is no such file, or none in it."""
    if not path.is_file():
        raise UserError(f"--times: {path}: no such file; expected a run's evaluations.jsonl")
    found = [e.seconds for e in Archive(path) if e.ok and e.seconds > 0]
    if not found:
        raise UserError(f"{path}: no evaluation whose time was measured")
    return found


class Instant:
    """One worker that answers at once."""

    capacity = 1

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def submit(self, task: Task) -> None:
        self.tasks.append(task)

    def next(self) -> Evaluation | Task:
        return run_task(_drawn, self.tasks.pop())

    def close(self) -> None: ...


class Simulated(Instant):
    """Workers on a virtual clock, which the driver's real time moves on as well."""

    def __init__(self, workers: int, seconds: Sequence[float]) -> None:
        super().__init__()
        self.capacity = workers
        self.seconds, self.rng = seconds, np.random.default_rng(0)
        self.now = 0.0
        self._returned = time.perf_counter()
        self._ends: list[tuple[float, int, Task]] = []
        self._busy: list[tuple[float, float]] = []  # start and end of every task

    def submit(self, task: Task) -> None:
        start = self.now + time.perf_counter() - self._returned
        end = start + self.seconds[int(self.rng.integers(len(self.seconds)))]
        heapq.heappush(self._ends, (end, task.index, task))
        self._busy.append((start, end))

    def next(self) -> Evaluation | Task:
        self.now += time.perf_counter() - self._returned
        end, _, task = heapq.heappop(self._ends)
        self.now = max(self.now, end)  # an answer that came while the driver was busy waits
        evaluation = run_task(_drawn, task)
        self._returned = time.perf_counter()
        return evaluation

    def utilisation(self) -> float:
        """Busy share between the last worker's first task and the last task given out."""
        first, last = self._busy[self.capacity - 1][0], self._busy[-1][0]
        busy = sum(max(0.0, min(end, last) - max(start, first)) for start, end in self._busy)
        return busy / (self.capacity * (last - first))


def _known(genome: Genome) -> dict[str, float]:
    """Exact costs; fps falls with the MACs."""
    found, rng = cost(genome), np.random.default_rng(int(genome.id, 16))
    return {
        "params": found.params,
        "macs": found.macs,
        "activations": found.activations,
        "fps": float(1e9 / found.macs * rng.lognormal(0, 0.2)),
    }


def _drawn(task: Task) -> dict[str, float]:
    """Accuracy grows with the logarithm of the parameters."""
    rng = np.random.default_rng([int(task.genome.id, 16), 1])
    accuracy = 0.1 + 0.025 * np.log2(cost(task.genome).params) + rng.normal(0, 0.05)
    return {"accuracy": float(accuracy), **_known(task.genome)}


def _made_up_run(path: Path, space_file: Path, archived: int, steps: int) -> RunDirectory:
    """A run directory whose archive holds so many evaluations, and wants `steps` more."""
    settings = Settings(evaluations=archived + steps, population=20)
    space, rng = SearchSpace.load(space_file), np.random.default_rng(0)
    run = RunDirectory.create(path, settings, space, [], ["bench"])
    pool = [space.sample(rng)]
    while len(pool) < POOL:
        pool.append(space.mutate(pool[int(rng.integers(len(pool)))], rng))
    lines = []
    for genotype in pool:
        evaluation = run_task(_drawn, Task(0, genotype.genome, settings.fidelity, settings.seed))
        assert isinstance(evaluation, Evaluation)
        lines.append(evaluation.to_dict())
    # Not atomic: the folder is the benchmark's own, and goes with it.
    with open(run.file("evaluations.jsonl"), "w") as file:
        for index in range(archived):
            plain = lines[index % POOL]
            metrics = dict(plain["metrics"])
            metrics["accuracy"] = float(metrics["accuracy"] + rng.normal(0, 0.03))
            file.write(json.dumps({**plain, "index": index, "metrics": metrics}) + "\n")
    return run


def _timed(spent: dict[str, float], part: str, call: Callable[..., Any], *arguments: Any,
           **options: Any) -> Any:  # fmt: skip
    started = time.perf_counter()
    try:
        return call(*arguments, **options)
    finally:
        spent[part] += time.perf_counter() - started
