"""Expected gains, against sampling and by hand."""

import moocore
import numpy as np
import pytest

from nas.evolution.acquisition import (
    Known,
    Uncertain,
    expected_hypervolume_improvement,
    expected_improvement,
    nondominated_boxes,
    sampled_improvement,
)

# Values of which less is better: minus a share, and two costs.
FRONT = np.array([[-0.60, 2.0, 5.0], [-0.70, 4.0, 4.0], [-0.80, 8.0, 9.0], [-0.75, 9.0, 2.0]])
REFERENCE = np.array([-0.5, 10.0, 12.0])


def identity(value):
    return np.asarray(value)


def uncertain(mean, deviation, best=-0.8, ideal=-1.0):
    """Of minus a value; the mean is of the value itself."""
    return Uncertain(np.array([mean]), np.array([deviation]), identity, ideal, best)


def sampled_gain(front, reference, draws):
    """The hypervolume that draws (samples, M) add, on average."""
    before = moocore.hypervolume(front, ref=reference)
    return np.mean([
        moocore.hypervolume(np.vstack([front, draw]), ref=reference) - before for draw in draws
    ])  # fmt: skip


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("mean", [0.55, 0.72, 0.85])
@pytest.mark.parametrize("costs", [(1.0, 1.0), (5.0, 3.0), (9.5, 11.0)])
def test_gain_is_the_mean_of_sampled_gains(objectives, mean, costs, rng):
    front, reference = FRONT[:, :objectives], REFERENCE[:objectives]
    known = [Known(np.array([c])) for c in costs[: objectives - 1]]
    ours = expected_hypervolume_improvement([uncertain(mean, 0.05), *known], front, reference)
    shares = np.minimum(rng.normal(mean, 0.05, 1500), 1.0)
    draws = np.column_stack([-shares, np.tile(costs[: objectives - 1], (1500, 1))])
    theirs = sampled_gain(front, reference, draws)
    assert ours[0] == pytest.approx(theirs, rel=0.1, abs=0.003 * (reference[1:]).prod())


@pytest.mark.parametrize("uncertain_ones", [(0, 1), (1, 2), (0, 1, 2)])
def test_several_uncertain_objectives_are_independent(uncertain_ones, rng):
    means, deviations = (-0.78, 5.0, 6.0), (0.06, 2.0, 3.0)
    values, draws = [], np.tile(means, (4000, 1))
    for j, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        if j in uncertain_ones:
            ideal = mean - 6 * deviation
            values.append(uncertain(-mean, deviation, FRONT[:, j].min(), ideal))
            draws[:, j] = rng.normal(mean, deviation, 4000)
        else:
            values.append(Known(np.array([mean])))
    ours = expected_hypervolume_improvement(values, FRONT, REFERENCE)
    assert ours[0] == pytest.approx(sampled_gain(FRONT, REFERENCE, draws), rel=0.05)


def test_an_uncertain_scale_is_taken_through():
    """scale(value) is normal, the gain is in the value's own units."""
    share = Uncertain(np.array([1.2]), np.array([1e-4]), lambda v: -np.log(1 - v), -1.0, -0.6)
    front, reference = np.array([[-0.6, 2.0]]), np.array([-0.5, 3.0])
    gain = expected_hypervolume_improvement([share, Known(np.array([1.0]))], front, reference)
    value = 1 - np.exp(-1.2)
    assert gain[0] == pytest.approx((value - 0.5) * 2 - 0.1, rel=0.01)


@pytest.mark.parametrize("objectives", [2, 3])
def test_boxes_tile_what_is_not_dominated(objectives, rng):
    """Their volume, and a point lies in one box, or in none where a front's point dominates it."""
    front = rng.integers(0, 8, (40, objectives)) / 8  # many equal coordinates
    reference = np.ones(objectives)
    lower, upper = nondominated_boxes(front, reference)
    sides = upper - np.maximum(lower, 0.0)
    volume = np.maximum(sides, 0).prod(1).sum()
    assert volume == pytest.approx(1 - moocore.hypervolume(front, ref=reference))
    for point in rng.random((500, objectives)):
        inside = ((lower <= point) & (point < upper)).all(1).sum()
        assert inside == (not (front <= point).all(1).any())
    assert len(lower) <= 3 * len(front) + 1


def test_without_a_front_everything_up_to_the_reference_is_gained():
    values = [Known(np.array([0.25])), Known(np.array([0.5]))]
    gain = expected_hypervolume_improvement(values, np.empty((0, 2)), np.ones(2))
    assert gain.tolist() == [0.75 * 0.5]


def test_what_costs_more_than_the_limits_gains_nothing():
    share = Uncertain(np.full(2, 0.9), np.full(2, 0.01), identity, -1.0, -0.8)
    costs = [Known(np.array([11.0, 1.0])), Known(np.array([1.0, 12.5]))]
    gain = expected_hypervolume_improvement([share, *costs], FRONT, REFERENCE)
    assert gain.tolist() == [0.0, 0.0]


def test_improvement_over_a_negative_best():
    """Then a penalty counts though the accuracy is 0 or more for certain."""
    found = expected_improvement(
        np.array([0.4, 0.5]), np.array([0.01, 0.01]), identity, np.array([0.1, 40.0]), -50.0
    )
    np.testing.assert_allclose(found, [50.3, 10.5], rtol=0.005)


def test_improvement_is_that_of_the_penalised_fitness(rng):
    mean, deviation = np.array([0.7, 0.7, 0.5]), np.array([0.05, 0.05, 0.05])
    penalties, best = np.array([0.0, 0.2, 0.0]), 0.68
    ours = expected_improvement(mean, deviation, identity, penalties, best)
    draws = np.minimum(rng.normal(mean, deviation, (200_000, 3)), 1.0) - penalties
    assert ours == pytest.approx(sampled_improvement(draws, best), rel=0.15, abs=2e-4)
    assert ours[0] > ours[1]
