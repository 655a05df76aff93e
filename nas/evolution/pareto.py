"""Dominance: the one place that decides which of two points is better, and what a front is.

Notation: points (N, M) of M objectives, each smaller is better; a point dominates another where it
is no worse in any objective and better in one. Volumes are dominated up to a reference point (M,).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import moocore
import numpy as np
import numpy.typing as npt

from nas.evolution.objectives import OBJECTIVES, Constraint, Metrics, Objective, violation

Points = npt.NDArray[np.float64]


def nondominated(points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which of the points (N, M) no other dominates; of equal ones the first."""
    return np.asarray(moocore.is_nondominated(np.asarray(points, float), keep_weakly=False))


def front_ranks(points: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """(N,): 0 for the front of the points (N, M), 1 for the front of what is left, and so on."""
    return np.asarray(moocore.pareto_rank(np.asarray(points, float)))


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Volume that the points (N, M) dominate up to the reference point (M,)."""
    found = np.asarray(points, float)
    return (
        float(moocore.hypervolume(found, ref=np.asarray(reference, float))) if len(found) else 0.0
    )


def minimized(metrics: Iterable[Metrics], objectives: Sequence[Objective]) -> Points:
    """Metrics as points (N, M): what is to be maximized changes its sign."""
    rows = [[-m[o.name] if o.maximize else m[o.name] for o in objectives] for m in metrics]
    return np.array(rows, dtype=float).reshape(-1, len(objectives))


class Measured(Protocol):
    """What has a place on a front: metrics, unless it failed, and its number in the search."""

    @property
    def index(self) -> int: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def ok(self) -> bool: ...


T = TypeVar("T", bound=Measured)


@dataclass(frozen=True)
class Member(Generic[T]):
    """A network on a front. metrics: believed; `measured.metrics` are those of its one reading.

    interval: of the metrics that the process knows, what is believed less and plus one deviation.
    """

    measured: T
    metrics: dict[str, float]
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    ok: bool = True

    @property
    def index(self) -> int:
        return self.measured.index


class Front(Generic[T]):
    """The Pareto front of what was added so far; adding looks at its members alone.

    Of equal points the one asked first stays, in whatever order they are added. What breaks a hard
    constraint never enters.
    """

    def __init__(
        self, objectives: Sequence[Objective] = OBJECTIVES, constraints: Sequence[Constraint] = ()
    ) -> None:
        self.objectives, self.constraints = tuple(objectives), tuple(constraints)
        self.points: Points = np.empty((0, len(objectives)))  # one row a member, as they came
        self._members: list[T] = []

    def add(self, member: T) -> bool:
        """True when this changed the front."""
        if not member.ok or violation(member.metrics, self.constraints):
            return False
        point = minimized([member.metrics], self.objectives)[0]
        no_worse = (self.points <= point).all(axis=1)
        no_better = (self.points >= point).all(axis=1)
        for i in np.flatnonzero(no_worse):
            if not no_better[i] or self._members[i].index <= member.index:
                return False
        kept = zip(self._members, no_better, strict=True)
        self._members = [*(other for other, out in kept if not out), member]
        self.points = np.vstack([self.points[~no_better], point])
        return True

    def __iter__(self) -> Iterator[T]:
        """By the first objective that is to be minimized."""
        first = next((o for o in self.objectives if not o.maximize), self.objectives[0])
        return iter(sorted(self._members, key=lambda e: (e.metrics[first.name], e.index)))

    def __len__(self) -> int:
        return len(self._members)


def pareto_front(
    found: Iterable[T], objectives: Sequence[Objective] = OBJECTIVES,
    constraints: Sequence[Constraint] = (),
) -> list[T]:  # fmt: skip
    """The members of the `Front` of all that was found, in its order."""
    front: Front[T] = Front(objectives, constraints)
    for member in found:
        front.add(member)
    return list(front)
