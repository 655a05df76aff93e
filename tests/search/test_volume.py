"""The box that runs are measured in, and the share of it that a front dominates."""

import pytest
from fakes import evaluation

from nas.evolution.objectives import Objective
from nas.search.volume import Box

OBJECTIVES = (Objective("accuracy"), Objective("params"))


def test_a_share_by_hand(quick, rng):
    """Accuracy counts from chance, parameters by their logarithm: 10,000 lie half way."""
    found = [
        evaluation(quick.sample(rng).genome, index, accuracy, params)
        for index, (accuracy, params) in enumerate([(0.5, 1000), (0.5, 100_000), (0.75, 10_000)])
    ]
    box = Box.around([found], 2, OBJECTIVES)
    assert [(side.worst, side.best) for side in box.sides] == [(0.5, 1.0), (100_000, 1000)]
    evaluations, _, share = box.curve(found)[-1]
    assert (evaluations, share) == (3, pytest.approx(0.5 * 0.5))


def test_what_may_be_0_is_counted_as_it_is(quick, rng):
    found = [
        evaluation(quick.sample(rng).genome, index, metrics={"accuracy": accuracy, "ms": ms})
        for index, (accuracy, ms) in enumerate([(0.5, 0.0), (0.5, 4.0), (0.75, 1.0)])
    ]
    box = Box.around([found], 2, (Objective("accuracy"), Objective("ms")))
    assert box.curve(found)[-1][2] == pytest.approx(0.5 * 0.75)
