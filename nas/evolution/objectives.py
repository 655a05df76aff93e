"""What a search wants: objectives, hard constraints, and one penalised fitness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from nas.common.errors import UserError, one_of
from nas.common.schema import LARGEST, Choice, Float, Text, read
from nas.report.axes import LABELS, SHARES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Metrics = Mapping[str, float]
ALGORITHMS = ("nsga2+gp", "nsga2", "ga+gp", "ga", "random")  # see optimizer.py
T = TypeVar("T", bound="DataclassInstance")
MOST = 4  # objectives
DIRECTIONS = ("minimize", "maximize")
LARGE = (*SHARES, "fps")  # of which more is better; of others less, unless the user says more
ABOVE_0 = ("params", "fps")  # the optimizer divides by them, or takes their logarithm
Direction = Annotated[str, Choice(DIRECTIONS, "direction")]
Name = Annotated[str, Text(64)]
Number = Annotated[float, Float(-1e15, 1e15)]


def _check_bound(where: str, name: str, bound: Any) -> None:
    """UserError where no network's metric could be there; metrics of the user's own may be any."""
    if not isinstance(bound, int | float) or name not in LABELS:  # a text from Python is read later
        return
    if name in SHARES and not 0 <= bound <= 1:
        raise UserError(f"{where}: found {bound:g}; expected a share, 0 to 1")
    if bound < 0:
        raise UserError(f"{where}: found {bound:g}; expected 0 or more")


@dataclass(frozen=True)
class Objective:
    """A metric to minimize or maximize. worst: gains beyond it do not count; None: learnt.

    direction: None: maximize accuracy, balanced_accuracy, macro_f1 and fps, minimize any other.
    Learnt is, of a metric that training gives, what a typical random network has; of one that is
    known before, a tenth more than the worst that was evaluated.
    """

    name: Name
    direction: Direction | None = None
    worst: Number | None = None

    def __post_init__(self) -> None:
        if self.direction is None:
            object.__setattr__(self, "direction", DIRECTIONS[self.name in LARGE])
        elif self.direction not in DIRECTIONS:  # from Python; a file's is read by the rule
            raise one_of(f"objective {self.name}", self.direction, DIRECTIONS, "direction")
        _check_bound(f"objective {self.name}: worst", self.name, self.worst)

    @property
    def maximize(self) -> bool:
        return self.direction == "maximize"


OBJECTIVES = (Objective("accuracy"), Objective("params"), Objective("fps"))


@dataclass(frozen=True)
class Constraint:
    """Bounds that a metric must keep; a network that does not is never on the front."""

    name: Name
    at_least: Number | None = None
    at_most: Number | None = None

    def __post_init__(self) -> None:
        low, high = self.at_least, self.at_most
        if low is None and high is None:
            raise UserError(f"limit on {self.name}: none; expected at_least, at_most or both")
        if low is not None and high is not None and low > high:
            raise UserError(f"limit on {self.name}: nothing is within [{low:g}, {high:g}]")
        _check_bound(f"limit on {self.name}: at_least", self.name, low)
        _check_bound(f"limit on {self.name}: at_most", self.name, high)

    def __str__(self) -> str:
        bounds = {"at least": self.at_least, "at most": self.at_most}
        named = [f"{what} {bound:.6g}" for what, bound in bounds.items() if bound is not None]
        return f"{self.name} of {' and '.join(named)}"

    def violation(self, metrics: Metrics) -> float:
        """How far the metric is beyond its bounds, relative to them; 0: it keeps them."""
        value, excess = metrics[self.name], 0.0
        if self.at_most is not None:
            excess += max(0.0, value - self.at_most) / (abs(self.at_most) or 1.0)
        if self.at_least is not None:
            excess += max(0.0, self.at_least - value) / (abs(self.at_least) or 1.0)
        return excess


def check_measured(metrics: Metrics) -> None:
    """ValueError where what was measured cannot be meant, such as an accuracy in percent."""
    for name, value in metrics.items():
        if not -LARGEST <= value <= LARGEST:
            raise ValueError(f"metric {name} is {value:g}")
        if name in SHARES and not 0 <= value <= 1:
            raise ValueError(f"metric {name} is {value:g}; expected a share, 0 to 1")
        if name in ABOVE_0 and value <= 0:
            raise ValueError(f"metric {name} is {value:g}; expected more than 0")


def violation(metrics: Metrics, constraints: Sequence[Constraint]) -> float:
    """Sum over the constraints; 0 is feasible."""
    return sum(c.violation(metrics) for c in constraints)


def read_all(kind: type[T], given: Sequence[T | Mapping[str, Any]], where: str) -> tuple[T, ...]:
    """Mappings read, and objects too: who makes one in Python may give it a text for a number.

    UserError names the key that does not fit.
    """
    plain = (asdict(g) if isinstance(g, kind) else g for g in given)
    return tuple(read(kind, each, where) for each in plain)


def check_objectives(objectives: Sequence[Objective]) -> None:
    """UserError unless there are two to four, all different."""
    names = [o.name for o in objectives]
    if not 2 <= len(names) <= MOST or len(set(names)) < len(names):
        raise UserError(f"objectives: expected 2 to {MOST} different ones, got {names}")


@dataclass(frozen=True)
class Penalty(Constraint):
    """A soft bound: its relative excess, times the weight, is taken from the fitness."""

    weight: Annotated[float, Float(0, 1000)] = 0.1


@dataclass(frozen=True)
class Fitness:
    """One scalar, more is better: the metric (or, to be minimized, minus it) less its penalties."""

    metric: Name = "accuracy"
    direction: Direction = "maximize"
    penalties: tuple[Penalty, ...] = (
        Penalty("params", at_most=500_000.0),
        Penalty("fps", at_least=1000.0),
    )

    def __call__(self, metrics: Metrics) -> float:
        value = metrics[self.metric] if self.maximize else -metrics[self.metric]
        return value - self.penalty(metrics)

    @property
    def maximize(self) -> bool:
        return self.direction == "maximize"

    def penalty(self, metrics: Metrics) -> float:
        return sum(p.weight * p.violation(metrics) for p in self.penalties)

    def known(self, metrics: Metrics) -> float | None:
        """None where a metric that it needs is not there."""
        return self(metrics) if self.names.keys() <= metrics.keys() else None

    @property
    def names(self) -> dict[str, bool]:
        """The metrics that it needs, and whether more of each is better."""
        bounds = {p.name: p.at_least is not None for p in self.penalties}
        return {**bounds, self.metric: self.maximize}
