"""Dominance, by hand and in whatever order points come."""

import math
from dataclasses import dataclass, field

import numpy as np

from nas.evolution.objectives import OBJECTIVES, Constraint
from nas.evolution.pareto import (
    Front,
    front_ranks,
    hypervolume,
    minimized,
    nondominated,
    pareto_front,
)


@dataclass(frozen=True)
class Network:
    index: int
    metrics: dict[str, float] = field(default_factory=dict)
    ok: bool = True


def network(index=0, accuracy=0.5, params=100.0, fps=10.0, ok=True):
    return Network(index, {"accuracy": accuracy, "params": params, "fps": fps} if ok else {}, ok)


def test_of_equal_points_the_first_is_not_dominated():
    points = [[1, 2], [2, 1], [1, 2], [2, 2], [3, 3]]
    assert nondominated(points).tolist() == [True, True, False, False, False]
    assert front_ranks(points).tolist() == [0, 0, 0, 1, 2]


def test_of_equal_networks_the_one_asked_first_stays_whatever_came_first():
    for order in ((3, 1, 2), (1, 2, 3)):
        front = Front()
        assert [front.add(network(index)) for index in order] == [
            index == min(order[: place + 1]) for place, index in enumerate(order)
        ]
        assert [e.index for e in front] == [1]


def test_front_keeps_what_nothing_dominates():
    points = [(0.5, 100, 10), (0.6, 100, 10), (0.4, 50, 10), (0.3, 60, 9), (0.3, 60, 20)]
    found = [network(i, *p) for i, p in enumerate(points)]
    found.append(network(5, ok=False))
    assert [e.index for e in pareto_front(found)] == [2, 4, 1]
    assert pareto_front([]) == []


def test_of_equal_points_one_stays():
    assert len(pareto_front([network(i) for i in range(3)])) == 1


def front_of_all(found):
    """By all points at once; of equal ones the first asked."""
    ok = sorted((e for e in found if e.ok), key=lambda e: e.index)
    keep = nondominated(minimized((e.metrics for e in ok), OBJECTIVES)) if ok else []
    return {e.index for e, kept in zip(ok, keep, strict=True) if kept}


def test_a_front_that_grows_is_the_front_of_all():
    """Whatever the order of adding, and with many equal points."""
    rng = np.random.default_rng(0)
    found = [
        network(i, *(float(v) for v in rng.integers(0, 12, 3)), ok=i % 17 != 0) for i in range(200)
    ]
    fronts = []
    for order in range(3):
        front, told = Front(), []
        for i in np.random.default_rng(order).permutation(len(found)):
            told.append(found[i])
            before = list(front)
            assert front.add(found[i]) == (list(front) != before)
            assert {e.index for e in front} == front_of_all(told)
        fronts.append([e.index for e in front])
    assert fronts[0] == fronts[1] == fronts[2]
    assert len(fronts[0]) > 3


def test_what_breaks_a_constraint_is_never_on_the_front():
    found = [network(0, 0.9, 200), network(1, 0.5, 100), network(2, 0.4, 50, 5)]
    constraints = [Constraint("params", at_most=150), Constraint("fps", at_least=6)]
    front = Front(OBJECTIVES, constraints)
    assert [front.add(e) for e in found] == [False, True, False]
    assert pareto_front(found, OBJECTIVES, constraints) == list(front) == [found[1]]


def test_hypervolume_by_hand():
    found = [network(0, 0.5, 50), network(1, 0.75, 75)]
    points = minimized((e.metrics for e in found), OBJECTIVES[:2])
    volume = hypervolume(points, (0.0, 100.0))
    assert hypervolume(points[:0], (0.0, 100.0)) == 0
    assert math.isclose(volume, 50 * 0.5 + 25 * 0.25)
