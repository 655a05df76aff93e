"""Every evaluation ever made, and what follows from it: who is on the front, whose turn it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from nas.arch.genome import Genome
from nas.common.errors import UserError, most_often, shown
from nas.common.files import LineFile, lines_of, open_regular
from nas.common.schema import Choice, Map, Number, Text, hints, read
from nas.evolution.objectives import ABOVE_0, Constraint
from nas.evolution.pareto import Front, Member, pareto_front
from nas.training.task import Changes, Fidelity, Index, Parents, Predicted, Seed, Stored, Time

# In the errors of Python and NumPy, of torch on a CPU, and of torch on a GPU.
OUT_OF_MEMORY = ("MemoryError", "can't allocate memory", "OutOfMemoryError")
Metrics = Annotated[dict[str, float], Map(Number())]


@dataclass(frozen=True)
class Evaluation:
    """Raw metrics of one genome at one fidelity. `index` is its place in the order of asking.

    status: ok; stopped, when the search's time was up, at the fidelity that it had reached; failed.
    metrics of the first two: what the evaluator measured (accuracy, 0..1, where it trains), params,
    macs, activations, fps (predicted). seconds: that it took; started: of the epoch. parents: ids
    of the genomes that it was bred from; changes: what the operators did to their genes. predicted:
    what the surrogate expected before the measurement, see Task. elapsed: seconds that the search
    had run when it was stored, see elapsed.py; None by older versions.
    """

    index: Index
    genome: Stored
    fidelity: Fidelity
    seed: Seed
    status: Annotated[str, Choice(("ok", "stopped", "failed"), "status")]
    metrics: Metrics = field(default_factory=dict)
    error: Annotated[str, Text()] = ""
    seconds: Time = 0.0
    started: Time = 0.0
    parents: Parents = ()
    changes: Changes = ()
    predicted: Predicted = field(default_factory=dict)
    elapsed: Time | None = None

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
    def from_dict(cls, data: Any, where: str) -> Evaluation:
        """Check and read what `to_dict` gives. UserError when it does not fit."""
        known = {k: v for k, v in data.items() if k in hints(cls)} if type(data) is dict else data
        found = read(cls, known, where)
        if found.status == "failed" and not found.error:
            raise UserError(f"{where}.error: missing; a failed evaluation says why")
        if found.status != "failed" and not found.metrics:
            raise UserError(f"{where}.metrics: none")
        if min(found.metrics.get(name, 1) for name in ABOVE_0) <= 0:
            raise UserError(f"{where}.metrics: {', '.join(ABOVE_0)} must be above 0")
        if data.get("id", found.id) != found.id:
            raise UserError(
                f"{where}: id {shown(data['id'])} is not that of its genome, {found.id}"
            )
        return found


def as_measured(found: Sequence[Evaluation]) -> list[Member[Evaluation]]:
    """Members of a front of which nothing but their measurement is believed."""
    return [Member(e, dict(e.metrics)) for e in found]


class Archive:
    """Append-only evaluations, each on disk (and synced) before anyone hears of it.

    Those of the file are read, without a last line that was cut off by a crash. That writes
    nothing: whoever looks at a running search may see a line half written. UserError names a line
    that cannot be. front: of those whose genome `belongs` to the space; all do where it is None.
    """

    def __init__(self, path: Path, belongs: Callable[[Genome], bool] | None = None,
                 front: Front[Evaluation] | None = None) -> None:  # fmt: skip
        self.path = path
        self.front: Front[Evaluation] = Front() if front is None else front
        self.by_index: dict[int, Evaluation] = {}  # in the order of arrival
        self._belongs = belongs
        self._outside: set[int] = set()  # indices of those whose genome does not belong
        self._file: LineFile | None = None
        self._whole = self._read() if path.exists() else 0  # bytes of the lines that were read

    @property
    def evaluations(self) -> list[Evaluation]:
        return list(self.by_index.values())

    @property
    def inside(self) -> list[Evaluation]:
        """Those that ended well and whose genome belongs to the space."""
        return [e for e in self if e.ok and e.index not in self._outside]

    def append(self, evaluation: Evaluation) -> bool:
        """True when it changes the front. UserError when the disk does not take it; the file is
        then as it was before.
        """
        line = json.dumps(evaluation.to_dict(), allow_nan=False, separators=(",", ":"))
        if self._file is None:  # only the run's owner appends: what is cut off is of a crash
            if self.path.exists() and self.path.stat().st_size > self._whole:
                os.truncate(self.path, self._whole)
            self._file = LineFile(self.path, sync=True)
        self._file.append(line)
        return self._admit(evaluation)

    def results(self) -> list[Evaluation]:
        """The front; where nothing was finished, that of the space's networks that were stopped."""
        if len(self.front):
            return list(self.front)
        stopped = [
            replace(e, status="ok")
            for e in self if e.status == "stopped" and e.index not in self._outside
        ]  # fmt: skip
        return [
            self.by_index[e.index]
            for e in pareto_front(stopped, self.front.objectives, self.front.constraints)
        ]

    def why_no_front(self, limits: Sequence[Constraint] = ()) -> str:
        """Why nothing is on the front, or within further limits, to be read."""
        done, limits = self.inside, (*self.front.constraints, *limits)
        for limit in limits:
            told = [e for e in done if limit.name in e.metrics]  # by older versions not all
            if told and all(limit.violation(e.metrics) for e in told):
                values = [e.metrics[limit.name] for e in told]
                return (
                    f"none of {len(told)} networks keeps {limit}; they have {min(values):.6g} to "
                    f"{max(values):.6g}"
                )
        if done:
            return f"none of {len(done)} networks keeps {' and '.join(map(str, limits))} at once"
        if outside := sum(e.status != "failed" for e in self if e.index in self._outside):
            return f"networks that were measured: {outside}, all from outside of the space"
        failed = [e.error for e in self if e.status == "failed"]
        if failed and len(failed) == len(self):
            return f"every evaluation failed, {most_often(failed)}; all are in {self.path}"
        return "no evaluation has ended"

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self.by_index.values())

    def __len__(self) -> int:
        return len(self.by_index)

    def _admit(self, evaluation: Evaluation) -> bool:
        self.by_index[evaluation.index] = evaluation
        if self._belongs is not None and not self._belongs(evaluation.genome):
            self._outside.add(evaluation.index)
            return False
        return evaluation.ok and self.front.add(evaluation)

    def _read(self) -> int:
        """Parse whole lines; returns how many bytes they take."""
        whole = 0
        names = [o.name for o in self.front.objectives] + [c.name for c in self.front.constraints]
        with open_regular(self.path) as file:
            for number, line in enumerate(lines_of(file, self.path), 1):
                where = f"{self.path}:{number}"
                if not line.endswith(b"\n"):
                    return whole
                try:
                    data = json.loads(line)
                except (ValueError, RecursionError):
                    raise UserError(
                        f"{where}: not valid JSON; delete that line to go on without it"
                    ) from None
                evaluation = Evaluation.from_dict(data, f"{where}: evaluation")
                missing = [name for name in names if name not in evaluation.metrics]
                if missing and evaluation.status != "failed":
                    raise UserError(f"{where}: metrics: no {', '.join(missing)}")
                if evaluation.index in self.by_index:
                    raise UserError(
                        f"{where}: a second evaluation of index {evaluation.index}; delete one of "
                        "the two lines"
                    )
                self._admit(evaluation)
                whole += len(line)
        return whole
