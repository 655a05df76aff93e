"""Screening: what is chosen among children, and that a long archive costs no more."""

import copy

import numpy as np
import pytest

from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.evolution import predictor
from nas.evolution import preselection as screening
from nas.evolution.objectives import OBJECTIVES, Constraint, Fitness, Objective, Penalty
from nas.evolution.predictor import Told
from nas.evolution.preselection import Preselection


def known(genome):
    found = cost(genome)
    return {"params": float(found.params), "macs": float(found.macs), "fps": 1e9 / found.macs}


def accuracy(genome):
    """More blocks and more parameters are better, up to a limit."""
    kinds = [b.kind for s in genome.stages for b in s.blocks]
    return 0.3 + 0.03 * len(kinds) + 0.04 * np.log10(cost(genome).params)


def metrics_of(genome):
    return {"accuracy": accuracy(genome), **known(genome)}


def nothing(genotype):
    """Nothing was asked for since the last screening."""
    return False


@pytest.fixture
def screen(quick):
    return Preselection(quick, known, OBJECTIVES)


def fill(screen, space, rng, n, of=metrics_of):
    for _ in range(n):
        genotype = space.sample(rng)
        screen.tell(genotype, of(genotype.genome))


def test_it_is_ready_after_the_warm_up(screen, quick, rng):
    fill(screen, quick, rng, predictor.WARM_UP - 1)
    assert not screen.ready
    fill(screen, quick, rng, 1)
    assert screen.ready


def test_the_fitness_decides_where_there_is_one(quick, rng):
    screen = Preselection(quick, known, OBJECTIVES, Fitness(penalties=()))
    fill(screen, quick, rng, 40)
    children = [quick.sample(rng) for _ in range(60)]
    chosen, forecast = screen.choose(lambda: children, [], nothing)
    better = sum(accuracy(c.genome) > accuracy(chosen.genome) for c in children)
    assert better <= 6
    mean, low, high = forecast["accuracy"]
    assert low < accuracy(chosen.genome) < high
    assert low < mean < high


@pytest.mark.slow
def test_most_that_is_chosen_extends_the_front(screen, quick, rng):
    fill(screen, quick, rng, 40)
    extending = {True: [], False: []}  # chosen, all children
    for _ in range(10):
        children = [quick.sample(rng) for _ in range(20)]
        screen.predictor.fit()
        chosen = children[int(np.argmax(screen.gain(children, [])))]
        for child in children:
            extends = copy.deepcopy(screen.front).add(Told(99, child, metrics_of(child.genome)))
            extending[child is chosen].append(extends)
    assert np.mean(extending[True]) > np.mean(extending[False]) + 0.3


def test_pending_children_are_believed(screen, quick, rng):
    """A twin of what is in training gains less than it would by itself."""
    fill(screen, quick, rng, 30)
    children = [quick.sample(rng) for _ in range(30)]
    screen.predictor.fit()
    alone = screen.gain(children, [])
    screen.predictor.fit()
    best = int(np.argmax(alone))
    beside = screen.gain(children, [children[best]])
    assert beside[best] < 0.5 * alone[best]


def test_pending_children_are_believed_in_the_fitness_too(quick, rng, monkeypatch):
    screen = Preselection(quick, known, OBJECTIVES, Fitness(penalties=()))
    fill(screen, quick, rng, 30)
    children = [quick.sample(rng) for _ in range(30)]
    screen.predictor.fit()
    assert screen.gain(children, []).max() > 0.001
    monkeypatch.setattr(
        screen.predictor, "condition_on", lambda pending: {"accuracy": np.ones(len(pending))}
    )
    # What is in training is believed to be perfect: no child can beat it.
    assert screen.gain(children, [children[0]]).max() < 1e-9


def test_nothing_to_choose_from(screen, quick, rng):
    fill(screen, quick, rng, 10)
    assert screen.choose(list, [], nothing) is None


@pytest.mark.parametrize("pool", [60, 1000])
def test_a_long_archive_trains_on_a_part_with_the_front(screen, quick, rng, monkeypatch, pool):
    monkeypatch.setattr(predictor, "TRAINING_SET", 120)
    monkeypatch.setattr(predictor, "POOL", pool)
    fill(screen, quick, rng, 200)
    rows = screen.predictor.training_set(200)
    assert len(rows) == len(set(rows)) == 120
    assert {told.index for told in screen.front} <= set(rows)
    assert screen.choose(lambda: [quick.sample(rng)], [], nothing) is not None


def test_late_in_a_search_one_screening_serves_several(screen, quick, rng, monkeypatch):
    monkeypatch.setattr(screening, "REUSE", 5)
    fill(screen, quick, rng, 20)
    calls = []

    def make():
        calls.append(1)
        return [quick.sample(rng) for _ in range(10)]

    chosen = [screen.choose(make, [], nothing) for _ in range(4)]
    assert len(calls) == 1
    assert len({g.id for g, _ in chosen}) == 4
    for _ in range(2):  # many workers at once, or failures, which are not told
        screen.choose(make, [], nothing)
    assert len(calls) == 2
    fill(screen, quick, rng, 6)
    screen.choose(make, [], nothing)
    assert len(calls) == 3


@pytest.mark.slow
@pytest.mark.parametrize("training_set", [20, 300])
def test_it_follows_from_what_was_told_alone(screen, quick, rng, monkeypatch, training_set):
    """One that screened all along and one that resumes choose alike."""
    monkeypatch.setattr(predictor, "TRAINING_SET", training_set)
    monkeypatch.setattr(predictor, "POOL", 10)
    resumed = Preselection(quick, known, OBJECTIVES)
    genotypes = [quick.sample(rng) for _ in range(45)]
    children = [quick.sample(rng) for _ in range(40)]
    for genotype in genotypes:
        screen.tell(genotype, metrics_of(genotype.genome))
        resumed.tell(genotype, metrics_of(genotype.genome))
        if screen.ready:
            screen.choose(lambda: children, [], nothing)
    chosen = [s.choose(lambda: children, [], nothing) for s in (screen, resumed)]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(("evaluations", "point"), [(8, 8), (9, 8), (10, 10), (12, 12), (13, 12)])
def test_weights_are_tuned_as_the_archive_grows(evaluations, point):
    assert predictor.tuning_point(evaluations) == point
    later = predictor.tuning_point(10_049)
    assert 10_000 <= later <= 10_049
    assert predictor.tuning_point(10_049 + predictor.RETUNE_AFTER) == later + 50


def test_beside_many_in_training_one_screening_serves_several(screen, quick, rng, monkeypatch):
    monkeypatch.setattr(screening, "CROWD", 10)
    fill(screen, quick, rng, 20)
    pending = [quick.sample(rng) for _ in range(30)]
    calls = []

    def make():
        calls.append(1)
        return [quick.sample(rng) for _ in range(10)]

    for _ in range(8):
        assert screen.choose(make, pending, nothing) is not None
        fill(screen, quick, rng, 1)
    assert len(calls) == 2


def energy(genome):
    """Of which less is better, and which only a measurement gives."""
    return 1e-4 * cost(genome).macs ** 0.5 + 0.05 * len(genome.stages[-1].blocks)


def measured(genome):
    return {**metrics_of(genome), "energy": energy(genome)}


TWO_UNCERTAIN = (Objective("accuracy"), Objective("energy"))
FOUR = (*OBJECTIVES, Objective("energy"))


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [TWO_UNCERTAIN, (*TWO_UNCERTAIN, Objective("params")), FOUR])
def test_any_objectives_and_more_than_one_uncertain(quick, rng, objectives):
    """What is chosen extends the front more often than a random child."""
    extends = {True: 0, False: 0}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        screen = Preselection(quick, known, objectives)
        fill(screen, quick, rng, 30, measured)
        for _ in range(5):
            children = [quick.sample(rng) for _ in range(30)]
            chosen, _ = screen.choose(lambda: children, [], lambda child: True)  # noqa: B023
            for genotype in (chosen, children[0]):
                told = Told(99, genotype, measured(genotype.genome))
                extends[genotype is chosen] += copy.deepcopy(screen.front).add(told)
    assert extends[True] > extends[False] + 4
    assert screen.predictor.names.keys() == {"accuracy", "energy"}


def test_frames_a_second_count_as_the_time_of_a_frame(quick, rng):
    """Gains from 10 to 20 fps and from 1000 to 2000 are not alike: those in seconds are."""

    def with_time(genome):
        found = known(genome)
        return {**found, "s": 1 / found["fps"]}

    genotypes, children = ([quick.sample(rng) for _ in range(n)] for n in (20, 30))
    gains = []
    for speed in ("fps", "s"):
        screen = Preselection(quick, with_time, (Objective("accuracy"), Objective(speed)))
        for genotype in genotypes:
            screen.tell(genotype, {**metrics_of(genotype.genome), **with_time(genotype.genome)})
        screen.predictor.fit()
        gains.append(screen.gain(children, []))
    assert gains[0].max() > 0
    np.testing.assert_allclose(gains[0], gains[1], rtol=1e-9)


def test_a_worst_frame_rate_of_0_is_refused_before_anything_is_measured(quick):
    """Its reciprocal ended a search with a traceback, after eight evaluations."""
    objectives = (Objective("accuracy"), Objective("fps", worst=0))
    with pytest.raises(UserError, match="objective fps: worst: found 0; expected above 0"):
        Preselection(quick, known, objectives)
    Preselection(quick, known, (Objective("accuracy"), Objective("params", worst=0)))


def test_four_objectives_say_how_they_are_screened(quick, caplog):
    caplog.set_level("INFO")
    Preselection(quick, known, FOUR)
    assert "4 objectives: children are screened by ParEGO" in caplog.text


def test_a_fitness_with_an_uncertain_penalty(quick, rng):
    """Two uncertain metrics: the one that is chosen is among the best of what it promises."""
    fitness = Fitness(penalties=(Penalty("energy", at_most=0.05, weight=0.3),))
    screen = Preselection(quick, known, OBJECTIVES, fitness)
    fill(screen, quick, rng, 40, measured)
    children = [quick.sample(rng) for _ in range(60)]
    chosen, _ = screen.choose(lambda: children, [], nothing)
    values = [fitness(measured(c.genome)) for c in children]
    assert sum(v > fitness(measured(chosen.genome)) for v in values) <= 10


def test_a_measured_constraint_is_kept_where_it_can_be(quick, rng):
    energies = [energy(quick.sample(rng).genome) for _ in range(200)]
    limit = float(np.quantile(energies, 0.3))
    screen = Preselection(quick, known, OBJECTIVES, None, [Constraint("energy", at_most=limit)])
    fill(screen, quick, rng, 40, measured)
    assert all(told.metrics["energy"] <= limit for told in screen.front)
    kept = 0
    for _ in range(10):
        children = [quick.sample(rng) for _ in range(30)]
        chosen, _ = screen.choose(lambda: children, [], lambda child: True)  # noqa: B023
        kept += energy(chosen.genome) <= limit
    assert kept >= 7
