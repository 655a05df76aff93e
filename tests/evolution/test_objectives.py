import math

import pytest

from nas.common.errors import UserError
from nas.common.options import with_key
from nas.common.schema import read
from nas.evolution.objectives import (
    Constraint,
    Fitness,
    Objective,
    Penalty,
    check_objectives,
    read_all,
    violation,
)
from nas.search.settings import Settings


def test_fitness_by_hand():
    fitness = Fitness(
        penalties=(Penalty("params", at_most=100, weight=0.2), Penalty("fps", 50, weight=0.4))
    )
    within = {"accuracy": 0.7, "params": 80, "fps": 60}
    assert fitness(within) == 0.7
    beyond = {"accuracy": 0.7, "params": 150, "fps": 25}
    assert math.isclose(fitness(beyond), 0.7 - 0.2 * 0.5 - 0.4 * 0.5)


def test_fitness_of_any_metric():
    fitness = Fitness(
        "loss", direction="minimize", penalties=(Penalty("energy", at_most=2, weight=1),)
    )
    assert fitness({"loss": 0.4, "energy": 3}) == pytest.approx(-0.4 - 0.5)
    assert fitness.names == {"loss": False, "energy": False}


def test_the_short_form_of_version_0_1_is_read():
    plain = {"params_limit": 100, "fps_weight": 0.4, "fps_target": 50}
    assert read(Fitness, plain, "fitness") == Fitness(
        penalties=(Penalty("params", at_most=100), Penalty("fps", at_least=50, weight=0.4))
    )
    penalties = [{"name": "energy", "at_most": 2}]
    found = read(Fitness, {"penalties": penalties, "params_limit": 100}, "fitness")
    assert found.penalties == (Penalty("energy", at_most=2), Penalty("params", at_most=100))


def test_violation_is_relative_and_adds_up():
    constraints = [Constraint("ms", at_most=10), Constraint("recall", at_least=0.5)]
    assert violation({"ms": 10, "recall": 0.5}, constraints) == 0
    assert violation({"ms": 15, "recall": 0.4}, constraints) == pytest.approx(0.5 + 0.2)


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "b", "c", "d", "e"]])
def test_two_to_four_different_objectives(names):
    with pytest.raises(UserError, match="expected 2 to 4 different ones"):
        check_objectives([Objective(name) for name in names])


def test_the_direction_is_said_or_known():
    """Nobody means to minimize accuracy; a metric of one's own is a cost unless it is said."""
    known = {name: Objective(name).direction for name in ("accuracy", "macro_f1", "fps", "params")}
    assert known == dict.fromkeys(("accuracy", "macro_f1", "fps"), "maximize") | {
        "params": "minimize"
    }
    assert Objective("energy").direction == "minimize"
    assert Objective("energy", "maximize").maximize
    assert not Objective("accuracy", "minimize").maximize
    with pytest.raises(UserError, match=r"unknown direction 'maximise'.*did you mean 'maximize'"):
        Objective("energy", "maximise")
    with pytest.raises(UserError, match=r"o\.direction: unknown direction 1"):
        read(Objective, {"name": "energy", "direction": 1}, "o")


@pytest.mark.parametrize(("old", "now"), [(True, "maximize"), (False, "minimize")])
def test_the_spelling_of_a_draft_is_read(old, now):
    assert read(Objective, {"name": "score", "maximise": old}, "o").direction == now
    assert read(Fitness, {"metric": "loss", "maximise": old}, "fitness").direction == now
    with pytest.raises(UserError, match="unknown key 'maximise'"):  # both: which one holds?
        read(Objective, {"name": "score", "maximise": old, "direction": now}, "o")


def test_a_limit_limits():
    with pytest.raises(UserError, match="limit on ms: none; expected at_least, at_most or both"):
        Constraint("ms")
    with pytest.raises(UserError, match=r"limit on ms: nothing is within \[2, 1\]"):
        read(Penalty, {"name": "ms", "at_least": 2, "at_most": 1}, "fitness")
    assert str(Constraint("ms", at_least=1, at_most=2.5)) == "ms of at least 1 and at most 2.5"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: with_key(Settings(), "fitness.params_limit=-3"),
         "limit on params: at_most: found -3; expected 0 or more"),
        (lambda: with_key(Settings(), "fitness.fps_target=-1"), "limit on fps: at_least: found -1"),
        (lambda: with_key(Settings(), "fitness.params_weight=-1"), r"must be in \[0, 1000\]"),
        (lambda: Constraint("macs", at_least=-1), "limit on macs: at_least: found -1"),
        (lambda: Constraint("accuracy", at_least=61),
         "limit on accuracy: at_least: found 61; expected a share, 0 to 1"),
        (lambda: Objective("macro_f1", worst=20), "objective macro_f1: worst: found 20"),
        (lambda: Objective("peak_memory", worst=-1), "objective peak_memory: worst: found -1"),
    ],
)  # fmt: skip
def test_a_bound_is_where_networks_can_be(make, why):
    with pytest.raises(UserError, match=why):
        make()


def test_a_bound_on_a_metric_of_ones_own_is_any_number():
    assert Constraint("gain", at_least=-3).violation({"gain": -3}) == 0
    assert Constraint("gain", at_least=-4).violation({"gain": -5}) == 0.25
    assert Constraint("gain", at_most=-4).violation({"gain": -3}) == 0.25
    assert Objective("score", worst=-61.0).worst == -61
    assert Constraint("accuracy", at_least=0, at_most=1).at_most == 1


def test_objects_from_python_are_read_as_mappings_are():
    limit = Constraint("ms", at_most=3)
    assert read_all(Constraint, [limit], "constraints") == (Constraint("ms", at_most=3.0),)
    with pytest.raises(UserError, match=r"constraints\.at_most: got the text"):
        read_all(Constraint, [Constraint("ms", at_most="3")], "constraints")
    with pytest.raises(UserError, match=r"objectives\.worst: got the text"):
        read_all(Objective, [Objective("ms", worst="3")], "objectives")
