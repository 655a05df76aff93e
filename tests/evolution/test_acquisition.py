"""Expected gains, against sampling and by hand."""

import moocore
import numpy as np
import pytest

from nas.evolution.acquisition import expected_hypervolume_improvement, expected_improvement

FRONT = np.array([[0.60, 2.0, 5.0], [0.70, 4.0, 4.0], [0.80, 8.0, 9.0], [0.75, 9.0, 2.0]])
LIMITS = np.array([10.0, 12.0])
LOWEST = 0.5


def identity(accuracy):
    return accuracy


def sampled_gain(mean, deviation, costs, k, rng):
    """The hypervolume that draws of the accuracy add, on average."""
    front = np.column_stack([-FRONT[:, 0], FRONT[:, 1 : 1 + k]])
    reference = np.array([-LOWEST, *LIMITS[:k]])
    before = moocore.hypervolume(front, ref=reference)
    draws = np.minimum(rng.normal(mean, deviation, 1500), 1.0)
    return np.mean([
        moocore.hypervolume(np.vstack([front, [-a, *costs]]), ref=reference) - before
        for a in draws
    ])  # fmt: skip


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("mean", [0.55, 0.72, 0.85])
@pytest.mark.parametrize("costs", [(1.0, 1.0), (5.0, 3.0), (9.5, 11.0)])
def test_gain_is_the_mean_of_sampled_gains(k, mean, costs, rng):
    ours = expected_hypervolume_improvement(
        np.array([mean]), np.array([0.05]), identity, np.array([costs[:k]]),
        FRONT[:, 0], FRONT[:, 1 : 1 + k], (LOWEST, LIMITS[:k]),
    )  # fmt: skip
    theirs = sampled_gain(mean, 0.05, costs[:k], k, rng)
    assert ours[0] == pytest.approx(theirs, rel=0.1, abs=0.003 * LIMITS[:k].prod())


def test_improvement_over_a_negative_best():
    """Then a penalty counts though the accuracy is 0 or more for certain."""
    found = expected_improvement(
        np.array([0.4, 0.5]), np.array([0.01, 0.01]), identity, np.array([0.1, 40.0]), -50.0
    )
    np.testing.assert_allclose(found, [50.3, 10.5], rtol=0.005)


def test_what_costs_more_than_the_limits_gains_nothing():
    gain = expected_hypervolume_improvement(
        np.array([0.9, 0.9]), np.array([0.01, 0.01]), identity,
        np.array([[11.0, 1.0], [1.0, 12.5]]), FRONT[:, 0], FRONT[:, 1:], (LOWEST, LIMITS),
    )  # fmt: skip
    assert gain.tolist() == [0.0, 0.0]


def test_improvement_is_that_of_the_penalised_fitness(rng):
    mean, deviation = np.array([0.7, 0.7, 0.5]), np.array([0.05, 0.05, 0.05])
    penalties, best = np.array([0.0, 0.2, 0.0]), 0.68
    ours = expected_improvement(mean, deviation, identity, penalties, best)
    for i in range(3):
        draws = np.minimum(rng.normal(mean[i], deviation[i], 200_000), 1.0)
        theirs = np.maximum(0, draws - penalties[i] - best).mean()
        assert ours[i] == pytest.approx(theirs, rel=0.15, abs=2e-4)
    assert ours[0] > ours[1]
