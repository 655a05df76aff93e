"""How a search ended, and the seconds that it ran: pauses between its processes are none of them.

The driver notes them with every evaluation. Of older runs, and of tables from elsewhere, they
follow from when trainings began and ended: a time in which nothing trained is a pause where it is
longer than a proposal can take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from nas.common.errors import UserError
from nas.common.files import read_json
from nas.common.schema import Float
from nas.search.archive import Evaluation

PAUSE = 60.0  # s; between two trainings of one process lie a proposal and a worker's start
SECONDS = Float(0.0, 1e12)


@dataclass(frozen=True)
class Ran:
    """How long processes ran. loop_seconds: without set-up and the front's measurements."""

    seconds: float = 0.0
    loop_seconds: float = 0.0


@dataclass
class Outcome:
    """How a search ended.

    seconds: of this process, set-up included. loop_seconds: without set-up and the last
    measurements; waited: the part of them in which the driver only waited for its workers. before:
    what earlier processes of the same search took.
    """

    stopped: str
    before: Ran = Ran()
    seconds: float = 0.0
    loop_seconds: float = 0.0
    waited: float = 0.0

    @property
    def total(self) -> Ran:
        """With what earlier processes took."""
        before = self.before
        return Ran(before.seconds + self.seconds, before.loop_seconds + self.loop_seconds)

    @property
    def overhead(self) -> float:
        """Share of the loop's time that the driver took."""
        return 1 - self.waited / self.loop_seconds if self.loop_seconds else 0.0


def by_elapsed(evaluations: Sequence[Evaluation]) -> list[tuple[float, Evaluation]]:
    """Each with the seconds that the search had run when it ended, in that order."""
    ended = sorted(evaluations, key=_when)
    # Of each and all that ended later, when the first began.
    begun = list(accumulate((e.started for e in reversed(ended)), min))[::-1]
    clock, last = 0.0, begun[0] if begun else 0.0
    found = []
    for evaluation, first in zip(ended, begun, strict=True):
        end = evaluation.started + evaluation.seconds
        if evaluation.elapsed is not None:
            clock = max(clock, evaluation.elapsed)
        else:
            clock += max(0.0, end - (first if first - last > PAUSE else last))
        last = max(last, end)
        found.append((clock, evaluation))
    return found


def running_seconds(evaluations: Sequence[Evaluation]) -> float:
    """Until the last evaluation ended."""
    return max((seconds for seconds, _ in by_elapsed(evaluations)), default=0.0)


def ran_before(summary: Path, evaluations: Sequence[Evaluation]) -> Ran:
    """What earlier processes took: by their summary.json, and beyond it, where the last one was
    killed, by the evaluations. UserError where the file is none.
    """
    plain = read_json(summary) if summary.exists() else {}
    if not isinstance(plain, dict):
        raise UserError(f"{summary}: must be a mapping")
    seconds, loop = (
        SECONDS.read(plain.get(name, 0.0), f"{summary}: {name}")
        for name in ("seconds", "loop_seconds")
    )
    reached = max(loop, running_seconds(evaluations))
    return Ran(seconds + reached - loop, reached)


def _when(e: Evaluation) -> tuple[bool, float]:
    """What has no note of its own was evaluated by an older version, before the rest."""
    if e.elapsed is not None:
        return True, e.elapsed
    return False, e.started + e.seconds
