"""Every evaluation ever made, one line each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

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
