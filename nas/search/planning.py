"""What a search will cost on this machine, before anything is spent.

A few random genomes are trained for some steps by the real evaluator on the real workers, and the
seconds fitted to their exact costs. The search itself is then rehearsed: the optimizer, its
surrogate included, runs with a made-up accuracy, since the networks that it will propose are not of
the size of random ones.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.common.environment import peak_memory
from nas.common.errors import UserError
from nas.data import Dataset, check_input, search_data
from nas.deploy.latency import Calibration, calibrate, fit_relative
from nas.evolution.optimizer import SpaceExhausted
from nas.search.archive import Evaluation
from nas.search.driver import make_optimizer
from nas.search.machine import CANDIDATES, sampled, training_precision
from nas.search.profile import static_metrics
from nas.search.settings import MEASURED, Settings
from nas.search.workers import evaluations_of, start_workers
from nas.space.space import SearchSpace
from nas.training.evaluator import TrainingEvaluator
from nas.training.task import Fidelity, Task

log = logging.getLogger(__name__)

STEPS = (8, 40)  # of the timed trainings; what they differ by is the cost of a step
REHEARSED = 150  # proposals of the rehearsal at most
CALIBRATED = 10  # networks timed for the rehearsal's fps model
# Of the hour's search on FER2013: rank correlation of accuracy with MACs, and with what a forest
# made of genes and costs; spread of accuracy.
BY_MACS, BY_ALL, SPREAD = 0.33, 0.72, 0.04
SENSIBLE = 150  # evaluations that a suggested setting leaves room for
FIDELITIES = ((1, 0.25), (1, 0.5), (2, 0.5), (3, 0.5), (3, 1.0), (5, 1.0), (10, 1.0), (20, 1.0))


@dataclass(frozen=True)
class Speed:
    """Seconds of an evaluation: a share for the held-out part, one for each step.

    Both are non-negative combinations of analytic costs. error: median, relative, in the fit.
    """

    coefficients: tuple[float, ...]
    error: float

    def seconds(self, genome: Genome, steps: int) -> float:
        return float(np.dot(self.coefficients, _row(genome, steps)))


@dataclass(frozen=True)
class Timing:
    """What was measured. memory: bytes at the peak, of the driver and of a worker for itself.

    setup: seconds before the first evaluation.
    """

    speed: Speed
    calibration: Calibration
    networks: int
    driver_memory: int
    worker_memory: int
    setup: float

    def memory(self, workers: int) -> int:
        """One worker is the driver itself."""
        return self.driver_memory + (workers * self.worker_memory if workers > 1 else 0)


@dataclass(frozen=True)
class Option:
    """A setting that fits into the time: how many evaluations it leaves room for."""

    epochs: int
    fraction: float
    evaluations: int
    suggested: bool = False


@dataclass(frozen=True)
class Plan:
    """seconds: of one evaluation. eta: s, set-up included. The driver proposes one network at a
    time, whatever the workers.
    """

    seconds: float
    evaluations_an_hour: float
    evaluations: int
    eta: float
    memory: int
    timing: Timing
    options: tuple[Option, ...] = ()


class MeasuredEvaluator(TrainingEvaluator):
    """The real evaluator, and the most memory that its process has held for itself alone."""

    def __call__(self, task: Task) -> dict[str, float]:
        return {**super().__call__(task), "memory": peak_memory() - _shared()}


def _shared() -> int:
    """Bytes of this process that others hold as well: libraries and Ray's store (Linux)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(1024 * int(x.split()[1]) for x in lines if x.startswith(("RssFile", "RssShmem")))


def measure(space: SearchSpace, settings: Settings, dataset: Dataset, genomes: int) -> Timing:
    """Time `genomes` random networks, each at a short and at a longer training."""
    check_input(dataset, f"space {space.name}", space.classes, *space.shape)
    data, started = search_data(dataset), time.perf_counter()
    calibration = calibrate(sampled(space, settings.seed, CANDIDATES * CALIBRATED), CALIBRATED)
    device, precision = training_precision(settings, space)
    arguments = (data, settings.recipe, precision, device)
    with closing(start_workers(settings, MeasuredEvaluator, arguments)) as workers:
        more = calibration.seconds * (settings.calibration_genomes / CALIBRATED - 1)
        setup = time.perf_counter() - started + more
        log.info("timing %d random networks", genomes)
        tasks = _tasks(space, settings, len(data.fit), genomes)
        found = list(evaluations_of(workers, tasks))
    ok = [e for e in found if e.ok and e.index >= 0]  # without the warm-up
    failures = [e.error for e in found if not e.ok]
    if len(ok) < len(failures):
        count = len(ok) + len(failures)
        raise UserError(f"{len(failures)} of {count} trainings failed: {failures[-1]}")
    speed = _fit(ok, [steps(settings, e.fidelity, len(data.fit)) for e in ok])
    memory = int(max(e.metrics["memory"] for e in ok))
    return Timing(speed, calibration, genomes, peak_memory(), memory, setup)


def plan(
    space: SearchSpace, settings: Settings, rows: int, timing: Timing, hours: float = 0.0
) -> Plan:
    """What `settings` cost on `rows` training images; with `hours`, also settings that fit.

    Without a number of evaluations, as many as the hours hold are planned for.
    """
    count = settings.evaluations or REHEARSED
    workers = settings.main_workers + settings.cpu_workers
    proposed, thinking = simulate_search(space, settings, timing.calibration, min(count, REHEARSED))

    def mean(fidelity: Fidelity) -> float:
        each = steps(settings, fidelity, rows)
        return float(np.mean([timing.speed.seconds(g, each) for g in proposed]))

    def between(seconds: float) -> float:
        """Seconds from one evaluation's end to the next one's."""
        return max((seconds + thinking) / workers, thinking)

    def room(seconds: float) -> int:
        return int(max(0.0, 3600 * hours - timing.setup) / between(seconds))

    seconds = mean(settings.fidelity)
    evaluations = settings.evaluations or room(seconds)
    options = [
        Option(epochs, fraction, room(mean(Fidelity(epochs, fraction))))
        for epochs, fraction in (FIDELITIES if hours else ())
    ]
    fitting = [o for o in options if o.evaluations >= SENSIBLE] or options[:1]
    suggested = tuple(dataclasses.replace(o, suggested=o is fitting[-1]) for o in options)
    eta = evaluations * between(seconds) + timing.setup
    return Plan(seconds, 3600 / between(seconds), evaluations, eta, timing.memory(workers), timing,
                suggested)  # fmt: skip


def steps(settings: Settings, fidelity: Fidelity, rows: int) -> int:
    """Optimizer steps of one evaluation over `rows` images to train on."""
    batch = settings.recipe.batch_size
    part = rows if fidelity.fraction == 1 else max(batch, round(fidelity.fraction * rows))
    return fidelity.epochs * max(1, part // batch)


def simulate_search(
    space: SearchSpace, settings: Settings, calibration: Calibration, count: int
) -> tuple[list[Genome], float]:
    """What the optimizer proposes for made-up accuracies, and the seconds of one proposal."""
    known = partial(static_metrics, fps_model=calibration.model, more=settings.footprint)
    measured = ["accuracy", *(name for name in settings.wanted if name in MEASURED)]
    optimizer = make_optimizer(space, settings, (), known)
    accuracy = _made_up_accuracy(space, settings.seed)
    proposed: list[Genome] = []
    thinking = 0.0
    try:
        for _ in range(count):
            started = time.perf_counter()
            genome = optimizer.ask()
            thinking += time.perf_counter() - started
            proposed.append(genome)
            share = accuracy(genome)  # of every other metric of a training, too
            found = {name: 1 - share if name == "loss" else share for name in measured}
            optimizer.tell(genome, found)
    except SpaceExhausted:
        pass
    return proposed, thinking / len(proposed)


def _made_up_accuracy(space: SearchSpace, seed: int) -> Callable[[Genome], float]:
    """Partly of the MACs, partly of the genes with random weights, partly chance."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=len(space.groups))

    def parts(genome: Genome) -> npt.NDArray[np.float64]:
        return np.array([np.log(cost(genome).macs), weights @ space.encode(space.genotype(genome))])

    typical = np.array([parts(space.sample(rng).genome) for _ in range(100)])
    middle, spread = typical.mean(0), np.maximum(typical.std(0), 1e-9)
    shares = np.array([BY_MACS, (BY_ALL**2 - BY_MACS**2) ** 0.5])
    chance = (1 - BY_ALL**2) ** 0.5

    def accuracy(genome: Genome) -> float:
        known = shares @ ((parts(genome) - middle) / spread)
        return float(np.clip(0.5 + SPREAD * (known + chance * rng.normal()), 0, 1))

    return accuracy


def _tasks(space: SearchSpace, settings: Settings, rows: int, genomes: int) -> list[Task]:
    """Each network at each of STEPS, mixed. Negative indices: every worker's warm-up."""
    rng = np.random.default_rng([settings.seed, 0x71A])
    drawn = [space.sample(rng).genome for _ in range(4 * genomes)]
    pool = sorted(drawn, key=lambda g: cost(g).macs)
    fidelities = [_fidelity(count, rows, settings.recipe.batch_size) for count in STEPS]
    pairs = [(genome, fidelity) for genome in pool[2::4] for fidelity in fidelities]
    mixed = [pairs[i] for i in rng.permutation(len(pairs))]
    warm = [(pool[0], fidelities[0])] * (settings.main_workers + settings.cpu_workers)
    return [
        Task(i, genome, fidelity, settings.seed)
        for i, (genome, fidelity) in enumerate([*warm, *mixed], -len(warm))
    ]


def _fidelity(count: int, rows: int, batch: int) -> Fidelity:
    """About `count` steps: part of an epoch, or several epochs of a small data set."""
    if count * batch <= rows:
        return Fidelity(1, count * batch / rows)
    return Fidelity(round(count / max(1, rows // batch)))


def _row(genome: Genome, steps: int) -> list[float]:
    """One forward pass over the held-out part; a step goes forward and backward."""
    found = cost(genome)
    forward = [1.0, found.macs, found.activations]
    return [*forward, *(steps * part for part in (*forward, found.params))]


def _fit(found: list[Evaluation], counts: list[int]) -> Speed:
    seconds = np.array([e.seconds for e in found])
    rows = np.array([_row(e.genome, n) for e, n in zip(found, counts, strict=True)])
    coefficients = fit_relative(rows, seconds)
    error = float(np.median(np.abs(rows @ coefficients / seconds - 1)))
    return Speed(tuple(float(c) for c in coefficients), error)
