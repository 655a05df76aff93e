"""The predictor of accuracy: what it learns, and that it knows what it does not know."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, spearmanr

from nas.evolution.surrogate import (
    JITTER,
    GaussianProcess,
    LaplaceARDKernel,
    Likelihood,
    OutcomeTransform,
)

GROUPS = (0, 1, 1, 1, 2, 3)


def networks(n, rng):
    """A number, a word of three, a number, a cost; the word and the first number interact."""
    word = rng.integers(3, size=n)
    x = np.column_stack([
        rng.integers(4, size=n) / 3, 0.5 * np.eye(3)[word], rng.integers(3, size=n) / 2,
        rng.random(n),
    ])  # fmt: skip
    accuracy = 0.4 + 0.1 * x[:, 0] * (word == 1) + 0.08 * x[:, 4] + 0.1 * x[:, 5]
    return x, accuracy + rng.normal(0, 0.005, n)


def test_it_ranks_networks_it_has_not_seen(rng):
    x, accuracy = networks(60, rng)
    surrogate = GaussianProcess(GROUPS)
    surrogate.fit(x[:40], accuracy[:40])
    mean, deviation = surrogate.predict(x[40:])
    assert spearmanr(mean, accuracy[40:]).statistic > 0.9
    off = np.abs(mean - surrogate.scale(accuracy[40:])) / deviation
    assert 0.1 < np.median(off) < 2


def test_without_tuning_it_takes_in_new_networks(rng):
    x, accuracy = networks(60, rng)
    surrogate = GaussianProcess(GROUPS)
    surrogate.fit(x[:12], accuracy[:12])
    before = spearmanr(surrogate.predict(x[40:])[0], accuracy[40:]).statistic
    surrogate.fit(x[:40], accuracy[:40], tune=False)
    assert spearmanr(surrogate.predict(x[40:])[0], accuracy[40:]).statistic > before


def test_believing_narrows_the_doubt_and_keeps_the_mean(rng):
    x, accuracy = networks(40, rng)
    surrogate = GaussianProcess(GROUPS)
    surrogate.fit(x[:20], accuracy[:20])
    mean, deviation = surrogate.predict(x[20:])
    believed = surrogate.condition_on(x[20:])
    later, narrower = surrogate.predict(x[20:])
    assert surrogate.scale(believed) == pytest.approx(mean)
    assert later == pytest.approx(mean, abs=0.05)
    assert (narrower < deviation).all()


def test_likelihood_is_that_of_the_process_and_falls_as_its_gradient_says(rng):
    x, accuracy = networks(20, rng)
    surrogate = GaussianProcess(GROUPS)
    surrogate.fit(x, accuracy, tune=False)
    y, theta = surrogate.scale(accuracy), surrogate.theta + rng.normal(0, 0.5, 7)
    likelihood = Likelihood(x, y, GROUPS)
    value, gradient = likelihood(theta)
    kernel = LaplaceARDKernel(theta, GROUPS)
    covariance = kernel(x, x) + (kernel.noise + JITTER) * np.eye(20)
    assert value == pytest.approx(-multivariate_normal(cov=covariance).logpdf(y))
    for i, moved in enumerate(1e-6 * np.eye(7)):
        numeric = (likelihood(theta + moved)[0] - likelihood(theta - moved)[0]) / 2e-6
        assert gradient[i] == pytest.approx(numeric, rel=1e-4, abs=1e-5)


def test_predictions_are_those_of_the_joint_normal(rng):
    """Mean and deviation of a measurement, given the others, by plain linear algebra."""
    x, accuracy = networks(25, rng)
    surrogate = GaussianProcess(GROUPS)
    surrogate.fit(x[:20], accuracy[:20])
    mean, deviation = surrogate.predict(x[20:])
    kernel = surrogate.kernel
    joint = kernel(x, x) + (kernel.noise + JITTER) * np.eye(25)
    across = joint[20:, :20] @ np.linalg.inv(joint[:20, :20])
    assert mean == pytest.approx(across @ surrogate.scale(accuracy[:20]))
    variance = np.diag(joint[20:, 20:] - across @ joint[:20, 20:])
    assert deviation == pytest.approx(np.sqrt(variance), rel=1e-5)


def test_less_may_be_better_and_any_number_is_a_metric(rng):
    x, accuracy = networks(60, rng)
    loss = 300 - 500 * accuracy
    surrogate = GaussianProcess(GROUPS, maximize=False)
    surrogate.fit(x[:40], loss[:40])
    mean, _ = surrogate.predict(x[40:])
    assert spearmanr(mean, loss[40:]).statistic < -0.9  # more is better on its scale
    assert surrogate.scale.inverse(mean) == pytest.approx(loss[40:], abs=25)
    assert surrogate.scale.inverse(surrogate.scale(loss)) == pytest.approx(loss)


def test_tuning_finds_which_genes_matter(rng):
    x, accuracy = networks(80, rng)
    surrogate = GaussianProcess((*GROUPS, 4))
    surrogate.fit(np.column_stack([x, rng.random(80)]), accuracy)
    weights = surrogate.kernel.weights
    assert weights[4] == min(weights)  # the last column is noise


def test_scale_and_back_and_order():
    accuracy = np.array([0.1, 0.14, 0.5, 0.55, 0.6, 0.61, 0.62, 0.63])
    scale = OutcomeTransform(accuracy)
    grid = np.linspace(0, 0.99, 200)
    assert (np.diff(scale(grid)) > 0).all()
    assert scale.inverse(scale(grid)) == pytest.approx(grid)
    # Two networks that learnt nothing do not squeeze the good ones together.
    assert scale(0.63) - scale(0.55) > 0.3 * (scale(0.55) - scale(0.1))


@pytest.mark.parametrize("accuracy", [[0.5] * 9, [0.0] * 9, [1.0] * 9, [0.1] * 8 + [0.9]])
def test_networks_that_are_all_alike(accuracy, rng):
    x, _ = networks(9, rng)
    surrogate = GaussianProcess(GROUPS)
    surrogate.fit(x, np.array(accuracy))
    mean, deviation = surrogate.predict(x)
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()
