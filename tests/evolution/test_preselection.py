"""Screening: what is chosen among children, and that a long archive costs no more."""

import numpy as np
import pytest

from nas.arch.lowering import cost
from nas.evolution import preselection as screening
from nas.evolution.objectives import OBJECTIVES, Fitness
from nas.evolution.pareto import pareto_front
from nas.evolution.preselection import Preselection
from nas.search.archive import Evaluation, Fidelity


def known(genome):
    found = cost(genome)
    return {"params": float(found.params), "macs": float(found.macs), "fps": 1e9 / found.macs}


def accuracy(genome):
    """More blocks and more parameters are better, up to a limit."""
    kinds = [b.kind for s in genome.stages for b in s.blocks]
    return 0.3 + 0.03 * len(kinds) + 0.04 * np.log10(cost(genome).params)


def told(index, genome, **changed):
    metrics = {"accuracy": accuracy(genome), **known(genome), **changed}
    return Evaluation(index, genome, Fidelity(), 0, "ok", metrics)


@pytest.fixture
def screen(quick):
    return Preselection(quick, known, OBJECTIVES)


def fill(screen, space, rng, n):
    for i in range(n):
        genotype = space.sample(rng)
        screen.tell(told(i, genotype.genome), genotype)


def test_it_is_ready_after_the_warm_up(screen, quick, rng):
    fill(screen, quick, rng, screening.WARM_UP - 1)
    assert not screen.ready
    fill(screen, quick, rng, 1)
    assert screen.ready


def test_the_fitness_decides_where_there_is_one(quick, rng):
    screen = Preselection(quick, known, OBJECTIVES, Fitness(params_limit=1e12, fps_target=0.001))
    fill(screen, quick, rng, 40)
    children = [quick.sample(rng) for _ in range(60)]
    chosen = screen.choose(lambda: children, [], set())
    better = sum(accuracy(c.genome) > accuracy(chosen.genome) for c in children)
    assert better <= 6


def test_most_that_is_chosen_extends_the_front(screen, quick, rng):
    fill(screen, quick, rng, 40)
    front = pareto_front(screen._told)
    extending = {True: [], False: []}  # chosen, all children
    for _ in range(10):
        children = [quick.sample(rng) for _ in range(20)]
        chosen = screen.choose(lambda: children, [], set())  # noqa: B023 - called at once
        screen._ranked = []
        for child in children:
            evaluation = told(99, child.genome)
            extends = evaluation in pareto_front([*front, evaluation])
            extending[child is chosen].append(extends)
    assert np.mean(extending[True]) > np.mean(extending[False]) + 0.3


def test_pending_children_are_believed(screen, quick, rng):
    """A twin of what is in training gains less than it would by itself."""
    fill(screen, quick, rng, 30)
    children = [quick.sample(rng) for _ in range(30)]
    screen._fit()
    alone = screen._gain(children, [])
    screen._fit()
    best = int(np.argmax(alone))
    beside = screen._gain(children, [children[best]])
    assert beside[best] < 0.5 * alone[best]


def test_pending_children_are_believed_in_the_fitness_too(quick, rng, monkeypatch):
    screen = Preselection(quick, known, OBJECTIVES, Fitness(params_limit=1e12, fps_target=0.001))
    fill(screen, quick, rng, 30)
    children = [quick.sample(rng) for _ in range(30)]
    screen._fit()
    assert screen._gain(children, []).max() > 0.001
    monkeypatch.setattr(screen._surrogate, "condition_on", lambda x: np.ones(len(x)))
    # What is in training is believed to be perfect: no child can beat it.
    assert screen._gain(children, [children[0]]).max() < 1e-9


def test_nothing_to_choose_from(screen, quick, rng):
    fill(screen, quick, rng, 10)
    assert screen.choose(list, [], set()) is None


@pytest.mark.parametrize("pool", [60, 1000])
def test_a_long_archive_trains_on_a_part_with_the_front(screen, quick, rng, monkeypatch, pool):
    monkeypatch.setattr(screening, "TRAINING_SET", 120)
    monkeypatch.setattr(screening, "POOL", pool)
    fill(screen, quick, rng, 200)
    rows = screen._training_set(200)
    assert len(rows) == len(set(rows)) == 120
    told_front = pareto_front(screen._told)
    on_front = {i for i, e in enumerate(screen._told) if e in told_front}
    assert on_front <= set(rows)
    assert screen.choose(lambda: [quick.sample(rng)], [], set()) is not None


def test_late_in_a_search_one_screening_serves_several(screen, quick, rng, monkeypatch):
    monkeypatch.setattr(screening, "REUSE", 5)
    fill(screen, quick, rng, 20)
    calls = []

    def make():
        calls.append(1)
        return [quick.sample(rng) for _ in range(10)]

    chosen = [screen.choose(make, [], set()) for _ in range(4)]
    assert len(calls) == 1
    assert len({g.id for g in chosen}) == 4
    for _ in range(2):  # many workers at once, or failures, which are not told
        screen.choose(make, [], set())
    assert len(calls) == 2
    fill(screen, quick, rng, 6)
    screen.choose(make, [], set())
    assert len(calls) == 3


@pytest.mark.parametrize("training_set", [20, 300])
def test_it_follows_from_what_was_told_alone(screen, quick, rng, monkeypatch, training_set):
    """One that screened all along and one that resumes choose alike."""
    monkeypatch.setattr(screening, "TRAINING_SET", training_set)
    monkeypatch.setattr(screening, "POOL", 10)
    resumed = Preselection(quick, known, OBJECTIVES)
    genotypes = [quick.sample(rng) for _ in range(45)]
    children = [quick.sample(rng) for _ in range(40)]
    for i, genotype in enumerate(genotypes):
        screen.tell(told(i, genotype.genome), genotype)
        resumed.tell(told(i, genotype.genome), genotype)
        if screen.ready:
            screen.choose(lambda: children, [], set())
    assert screen.choose(lambda: children, [], set()) == resumed.choose(lambda: children, [], set())


@pytest.mark.parametrize(("evaluations", "point"), [(8, 8), (9, 8), (10, 10), (12, 12), (13, 12)])
def test_weights_are_tuned_as_the_archive_grows(evaluations, point):
    assert screening._tuning_point(evaluations) == point
    later = screening._tuning_point(10_049)
    assert 10_000 <= later <= 10_049
    assert screening._tuning_point(10_049 + screening.RETUNE_AFTER) == later + 50


def test_beside_many_in_training_one_screening_serves_several(screen, quick, rng, monkeypatch):
    monkeypatch.setattr(screening, "CROWD", 10)
    fill(screen, quick, rng, 20)
    pending = [quick.sample(rng) for _ in range(30)]
    calls = []

    def make():
        calls.append(1)
        return [quick.sample(rng) for _ in range(10)]

    for _ in range(8):
        assert screen.choose(make, pending, set()) is not None
        fill(screen, quick, rng, 1)
    assert len(calls) == 2
