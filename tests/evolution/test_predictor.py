"""How the Gaussian processes read what was measured."""

import numpy as np
import pytest

from nas.evolution.predictor import readings


def found(accuracy, loss):
    return [{"accuracy": a, "loss": b} for a, b in zip(accuracy, loss, strict=True)]


def test_an_accuracy_is_read_with_its_cross_entropy():
    """Where the cross entropy says more of the truth than right or wrong does."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.4, 0.6, 40)
    accuracy = truth + rng.normal(0, 0.02, 40)
    loss = 2.5 - 2 * truth + rng.normal(0, 0.01, 40)
    read = readings("accuracy", found(accuracy, loss))
    assert np.abs(read - truth).mean() < 0.6 * np.abs(accuracy - truth).mean()


def test_the_weight_is_what_the_line_explains():
    accuracy = np.linspace(0.4, 0.6, 9)
    on_the_line = found(accuracy, 3 - 4 * accuracy)
    assert readings("accuracy", on_the_line) == pytest.approx(accuracy)
    even = found(accuracy, [1, 0, 1, 0, 1, 0, 1, 0, 1])  # explains nothing
    assert readings("accuracy", even) == pytest.approx(accuracy)
    half = found([0, 0, 1, 1] * 2, [1, 0, 0, -1] * 2)  # r = -0.707, the line 0.5 - 0.5 * loss
    assert readings("accuracy", half) == pytest.approx([0, 0.25, 0.75, 1] * 2)


@pytest.mark.parametrize("metrics", [
    [{"accuracy": 0.5, "macro_f1": 0.1 * i, "loss": 1.0} for i in range(9)],  # constant
    found(np.linspace(0, 1, 7), np.linspace(0, 1, 7) ** 2),  # too few
    [{"accuracy": 0.1 * i, "macro_f1": 0.2} for i in range(9)],  # no loss
])  # fmt: skip
def test_else_it_is_what_was_measured(metrics):
    assert readings("accuracy", metrics).tolist() == [m["accuracy"] for m in metrics]


def test_other_metrics_are_what_was_measured():
    metrics = [{"macro_f1": 0.1 * (i % 3), "loss": 1.0 - 0.1 * i} for i in range(9)]
    assert readings("macro_f1", metrics).tolist() == [m["macro_f1"] for m in metrics]


@pytest.mark.parametrize("far", [6.0, 50.0, 2.0**63])
def test_a_network_that_diverged_does_not_decide_the_line(far):
    """Alone far off, it would be what the line explains; the others would be read as all alike."""
    accuracy = np.linspace(0.5, 0.6, 20)
    others = found(accuracy, 2.5 - 2 * accuracy)
    assert readings("accuracy", [*others, {"accuracy": 0.14, "loss": far}]) == pytest.approx(
        [*accuracy, 0.14]
    )


def test_a_reading_is_a_share():
    """The line of those that learnt something says less than nothing of one that did not."""
    loss = np.linspace(1.0, 1.5, 20)
    read = readings("accuracy", found([*(0.9 - 1.6 * (loss - 1)), 0.1], [*loss, 1.9]))
    assert read.min() == 0 <= read.max() <= 1


def test_networks_of_an_older_version_stand_beside_newer_ones():
    accuracy = np.linspace(0.4, 0.6, 9)
    mixed = [{"accuracy": 0.9}, *found(accuracy, 3 - 4 * accuracy)]
    assert readings("accuracy", mixed) == pytest.approx([0.9, *accuracy])
