"""How the Gaussian processes read what was measured."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import spearmanr

from nas.evolution.objectives import Objective
from nas.evolution.predictor import Predictor, readings


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


@dataclass(frozen=True)
class Network:
    """Twelve genes that say nothing, and a cost that says all."""

    genes: tuple[float, ...]
    cost: float

    @property
    def genome(self):
        return self


class Toy:
    groups = tuple(range(12))

    def encode(self, genotype):
        return np.array(genotype.genes)

    def sample(self, rng):
        return Network(tuple(map(float, rng.integers(0, 2, 12))), float(np.exp(0.1 * rng.normal())))


def told(rng, networks, unit=1.0):
    predictor = Predictor(
        Toy(), lambda g: {"cost": g.cost * unit}, {"accuracy": True}, [Objective("accuracy")]
    )
    for network in networks:
        accuracy = 0.5 + 0.1 * np.tanh(10 * np.log(network.cost)) + 0.005 * rng.normal()
        predictor.tell(network, {"accuracy": accuracy})
    predictor.fit()
    return predictor


def test_a_cost_says_as_much_from_few_networks_as_many_genes():
    """Standardised, as inputs should be: scaled to 0..1, it ranks at 0.75, not at 0.94."""
    correlations = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        known, new = ([Toy().sample(rng) for _ in range(n)] for n in (10, 100))
        mean, _ = told(rng, known).predict("accuracy", new)
        correlations.append(spearmanr(mean, [n.cost for n in new]).statistic)
    assert np.mean(correlations) > 0.9


def test_the_unit_of_a_cost_does_not_matter():
    known = [Toy().sample(np.random.default_rng(i)) for i in range(20)]
    mean, deviation = told(np.random.default_rng(0), known[:10]).predict("accuracy", known[10:])
    other = told(np.random.default_rng(0), known[:10], unit=1e6).predict("accuracy", known[10:])
    assert mean == pytest.approx(other[0], rel=1e-6)
    assert deviation == pytest.approx(other[1], rel=1e-6)


def test_a_cost_in_which_all_known_networks_are_alike_says_nothing():
    rng = np.random.default_rng(0)
    known = [Network(Toy().sample(rng).genes, 3.0) for _ in range(10)]
    new = [Network(known[0].genes, cost) for cost in (3.0, 4.0)]
    mean, deviation = told(rng, known).predict("accuracy", new)
    assert np.abs(mean).max() < 3
    assert deviation.max() < 3
