"""How a search ended, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass

from nas.search.elapsed import Ran


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
