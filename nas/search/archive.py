"""Every evaluation ever made, and what follows from it: Pareto front, hypervolume, fitness."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import moocore
import numpy as np

from nas.arch.genome import Genome
from nas.common.errors import UserError, shown
from nas.common.files import LineFile
from nas.common.schema import LARGEST, Choice, Float, Int, Text, read

# In the errors of Python and NumPy, of torch on a CPU, and of torch on a GPU.
OUT_OF_MEMORY = ("MemoryError", "can't allocate memory", "OutOfMemoryError")


@dataclass(frozen=True)
class Fidelity:
    """How much training an evaluation gets: epochs over a fraction of the training part."""

    epochs: Annotated[int, Int(1, 10_000)] = 3
    fraction: Annotated[float, Float(0.001, 1.0)] = 1.0


METRICS = {"accuracy", "params", "fps"}  # that a front and the fitness need
RULES: dict[str, Int | Float | Choice | Text] = {  # of an evaluation's plain fields, as stored
    "index": Int(0, LARGEST),
    "seed": Int(0, 2**31 - 1),
    "status": Choice(("ok", "stopped", "failed"), "status"),
    "error": Text(),
    "seconds": Float(0.0, 1e12),
    "started": Float(0.0, 1e12),
}


@dataclass(frozen=True)
class Evaluation:
    """Raw metrics of one genome at one fidelity. `index` is its place in the order of asking.

    status: ok; failed; in runs of version 0.1 also stopped, early, at the fidelity that it reached:
    never on a front. metrics of an ok one: accuracy (0..1), params, macs, activations, fps
    (predicted).
    """

    index: int
    genome: Genome
    fidelity: Fidelity
    seed: int
    status: str
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    started: float = 0.0

    @property
    def id(self) -> str:
        return self.genome.id

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def out_of_memory(self) -> bool:
        """Whether the failure may be its worker's state, as much as the genome's fault."""
        return not self.ok and any(sign in self.error for sign in OUT_OF_MEMORY)

    def to_dict(self) -> dict[str, Any]:
        return {
            **vars(self),
            "id": self.id,
            "genome": self.genome.to_dict(),
            "fidelity": asdict(self.fidelity),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], where: str) -> Evaluation:
        """Check and read what `to_dict` gives. UserError when it does not fit."""
        try:
            plain: dict[str, Any] = {
                k: rule.read(data[k], f"{where}: {k}") for k, rule in RULES.items()
            }
            fidelity = read(Fidelity, data["fidelity"], f"{where}: fidelity")
            genome = Genome.from_dict(data["genome"], f"{where}: genome")
            metrics = dict(data["metrics"])
            found = cls(genome=genome, fidelity=fidelity, metrics=metrics, **plain)
            check_metrics(found.metrics)
            if found.status != "failed":
                if not set(found.metrics) >= METRICS:
                    raise ValueError(f"metrics: expected {', '.join(sorted(METRICS))}")
                if min(found.metrics["params"], found.metrics["fps"]) <= 0:
                    raise ValueError("metrics: params and fps must be above 0")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where}: not an evaluation: {error}") from None
        return found


def check_metrics(metrics: dict[str, float]) -> None:
    """ValueError for a metric that is not finite: it must never reach ranking."""
    for name, value in metrics.items():
        if not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
            raise ValueError(f"metric {name} is {shown(value)}")


@dataclass(frozen=True)
class Objective:
    """A metric's name and direction."""

    name: str
    maximise: bool


OBJECTIVES = (Objective("accuracy", True), Objective("params", False), Objective("fps", True))


@dataclass(frozen=True)
class Fitness:
    """`accuracy - a*max(0, params/limit - 1) - b*max(0, 1 - fps/target)`, one scalar."""

    params_limit: Annotated[float, Float(1, 1e12)] = 500_000
    fps_target: Annotated[float, Float(0.001, 1e9)] = 1000
    params_weight: Annotated[float, Float(0, 1000)] = 0.1
    fps_weight: Annotated[float, Float(0, 1000)] = 0.1

    def __call__(self, metrics: dict[str, float]) -> float:
        too_big = max(0.0, metrics["params"] / self.params_limit - 1)
        too_slow = max(0.0, 1 - metrics["fps"] / self.fps_target)
        penalty = self.params_weight * too_big + self.fps_weight * too_slow
        return metrics["accuracy"] - penalty


FitnessFunction = Callable[[dict[str, float]], float]  # of an evaluation's metrics; more is better


class Front:
    """The Pareto front of what was added so far; adding looks at its members alone.

    Of equal points the one asked first stays, in whatever order they are added.
    """

    def __init__(self, objectives: Sequence[Objective] = OBJECTIVES) -> None:
        self.objectives = objectives
        self._members: list[Evaluation] = []
        self._costs = np.empty((0, len(objectives)))  # one row a member

    def add(self, evaluation: Evaluation) -> bool:
        """True when this changed the front."""
        if not evaluation.ok:
            return False
        cost = _costs([evaluation], self.objectives)[0]
        no_worse = (self._costs <= cost).all(axis=1)
        no_better = (self._costs >= cost).all(axis=1)
        for i in np.flatnonzero(no_worse):
            if not no_better[i] or self._members[i].index <= evaluation.index:
                return False
        kept = zip(self._members, no_better, strict=True)
        self._members = [*(member for member, out in kept if not out), evaluation]
        self._costs = np.vstack([self._costs[~no_better], cost])
        return True

    def __iter__(self) -> Iterator[Evaluation]:
        """By ascending params."""
        return iter(sorted(self._members, key=lambda e: (e.metrics["params"], e.index)))

    def __len__(self) -> int:
        return len(self._members)


def pareto_front(
    evaluations: Iterable[Evaluation], objectives: Sequence[Objective] = OBJECTIVES
) -> list[Evaluation]:
    """Non-dominated ok evaluations, by ascending params; of equal points the first asked stays."""
    ok = sorted((e for e in evaluations if e.ok), key=lambda e: e.index)
    if not ok:
        return []
    keep = moocore.is_nondominated(_costs(ok, objectives), keep_weakly=False)
    front = [e for e, k in zip(ok, keep, strict=True) if k]
    return sorted(front, key=lambda e: (e.metrics["params"], e.index))


def best(evaluations: Iterable[Evaluation], fitness: Fitness) -> Evaluation | None:
    """The evaluation of the front with the highest penalised fitness."""
    front = pareto_front(evaluations)
    return max(front, key=lambda e: fitness(e.metrics), default=None)


def hypervolume(
    evaluations: Iterable[Evaluation], objectives: Sequence[Objective], reference: Sequence[float]
) -> float:
    """Dominated volume up to the reference point (in the metrics' own units and directions)."""
    ok = [e for e in evaluations if e.ok]
    if not ok:
        return 0.0
    signs = np.array([-1.0 if o.maximise else 1.0 for o in objectives])
    return float(moocore.hypervolume(_costs(ok, objectives), ref=np.asarray(reference) * signs))


def _costs(evaluations: list[Evaluation], objectives: Sequence[Objective]) -> Any:
    return np.array(
        [[-e.metrics[o.name] if o.maximise else e.metrics[o.name] for o in objectives]
         for e in evaluations], dtype=float,
    )  # fmt: skip


class Archive:
    """Append-only evaluations, each on disk (and synced) before anyone hears of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.evaluations: list[Evaluation] = []
        self._file: LineFile | None = None
        self._whole = 0  # bytes of the lines that were read

    @classmethod
    def load(cls, path: Path) -> Archive:
        """Read a run's evaluations, without a last line that was cut off by a crash.

        Writes nothing: whoever looks at a running search may see a line half written.
        """
        archive = cls(path)
        if path.exists():
            archive._whole = archive._read()
        return archive

    def append(self, evaluation: Evaluation) -> None:
        """UserError when the disk does not take it; the file is then as it was before."""
        line = json.dumps(evaluation.to_dict(), allow_nan=False, separators=(",", ":"))
        if self._file is None:  # only the run's owner appends: what is cut off is of a crash
            if self.path.exists() and self.path.stat().st_size > self._whole:
                os.truncate(self.path, self._whole)
            self._file = LineFile(self.path, sync=True)
        self._file.append(line)
        self.evaluations.append(evaluation)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self.evaluations)

    def __len__(self) -> int:
        return len(self.evaluations)

    def _read(self) -> int:
        """Parse whole lines; returns how many bytes they take."""
        whole = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                where = f"{self.path}:{number}"
                if not line.endswith(b"\n"):
                    return whole
                try:
                    data = json.loads(line)
                except (ValueError, RecursionError):
                    raise UserError(
                        f"{where}: not valid JSON; delete that line to go on without it"
                    ) from None
                self.evaluations.append(Evaluation.from_dict(data, where))
                whole += len(line)
        return whole
