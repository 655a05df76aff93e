import numpy as np
import pytest

from nas.arch.lowering import cost
from nas.evolution.objectives import OBJECTIVES
from nas.evolution.optimizer import Evolution, SpaceExhausted
from nas.evolution.pareto import hypervolume, minimised
from nas.search.archive import Evaluation, Fidelity
from nas.space.space import SearchSpace


def told(index, genome, accuracy=None, status="ok"):
    found = cost(genome)
    if accuracy is None:  # prefers depth and inverted blocks: something to learn
        kinds = [b.kind for s in genome.stages for b in s.blocks]
        accuracy = 0.1 * kinds.count("inverted") + 0.05 * len(kinds)
    metrics = {"accuracy": accuracy, "params": found.params, "fps": 1e6 / (1 + found.macs)}
    return Evaluation(index, genome, Fidelity(), 0, status, metrics if status == "ok" else {})


def drive(evolution, n):
    for _ in range(n):
        index, genome = evolution.ask()
        yield told(index, genome)


def known(genome):
    found = told(0, genome).metrics
    return {"params": found["params"], "fps": found["fps"]}


def run(space, algorithm, n, seed=0, screened=False):
    evolution = Evolution(space, algorithm, seed, population=10, known=known if screened else None)
    found = []
    for e in drive(evolution, n):
        evolution.tell(e)
        found.append(e)
    return found


@pytest.mark.parametrize("screened", [False, True])
@pytest.mark.parametrize("algorithm", ["nsga2", "ga", "random"])
def test_same_seed_same_genomes_and_no_duplicates(quick, algorithm, screened):
    n = 14 if screened else 60
    first, second = (run(quick, algorithm, n, screened=screened) for _ in range(2))
    assert [e.id for e in first] == [e.id for e in second]
    assert len({e.id for e in first}) == n
    other = run(quick, algorithm, n, seed=1, screened=screened)
    assert [e.id for e in first] != [e.id for e in other]


def volume_of(found):
    """Of accuracy and params, up to no accuracy and 60,000 parameters."""
    return hypervolume(minimised((e.metrics for e in found), OBJECTIVES[:2]), (0.0, 60_000.0))


def test_evolution_beats_random_search(quick):
    def volume(algorithm, seed):
        return volume_of(run(quick, algorithm, 120, seed))

    ours, theirs = ([volume(a, s) for s in range(10)] for a in ("nsga2", "random"))
    assert np.mean(ours) > 1.03 * np.mean(theirs)


def test_what_fails_is_avoided(quick):
    """Every network with a hardswish in a block fails: of random ones three in four."""

    def fails(genome):
        blocks = (b for s in genome.stages[1:] for b in s.blocks)
        return any(getattr(b, "activation", "") == "hardswish" for b in blocks)

    shares = []
    for seed in (1, 2):
        evolution = Evolution(quick, seed=seed, population=10, known=known)
        failed = []
        for index in range(70):
            _, genome = evolution.ask()
            failed.append(fails(genome))
            evolution.tell(told(index, genome, status="failed" if failed[-1] else "ok"))
        shares.append(np.mean(failed[35:]))
    assert max(shares) < 0.4


def test_screening_needs_fewer_networks(quick):
    """After 30 networks it is where evolution alone is after 90."""

    def volume(n, seed, screened):
        return volume_of(run(quick, "nsga2", n, seed, screened))

    wins = sum(volume(30, s, True) > volume(90, s, False) for s in range(2))
    assert wins == 2


def test_exploration_never_dies_out(quick, monkeypatch):
    """Some proposals come straight from the space, whatever the surrogate believes."""
    evolution = Evolution(quick, population=10, known=known)
    unscreened = 0
    choose = evolution.screen.choose

    def counting(*arguments):
        nonlocal unscreened
        unscreened -= 1
        return choose(*arguments)

    monkeypatch.setattr(evolution.screen, "choose", counting)
    for e in drive(evolution, 45):
        if evolution.screen.ready:
            unscreened += 1
        evolution.tell(e)
    assert 1 <= unscreened <= 10


def test_many_may_be_in_training_at_once(quick):
    evolution = Evolution(quick, population=10, known=known)
    waiting = [evolution.ask() for _ in range(12)]
    for _ in range(20):
        index, genome = waiting.pop(0)
        evolution.tell(told(index, genome))
        waiting.append(evolution.ask())
    assert len({g.id for _, g in waiting} | evolution._seen) == evolution.asked == 32


def test_ga_climbs_its_fitness(quick):
    found = [e.metrics["accuracy"] for e in run(quick, "ga", 120)]
    assert np.mean(found[-30:]) > np.mean(found[:30]) + 0.05


def test_failed_and_foreign_evaluations_never_breed(quick, proposed):
    evolution = Evolution(quick, population=4)
    for i in range(8):
        index, genome = evolution.ask()
        evolution.tell(told(index, genome, 0.9 - 0.01 * i, "failed" if i % 2 else "ok"))
    evolution.tell(told(99, proposed, 1.0), breed=False)
    assert len(evolution.population) == 4
    assert proposed.id not in {i.genotype.id for i in evolution.population}


def test_initial_genomes_come_first_and_once(quick, rng):
    a, b = quick.sample(rng).genome, quick.sample(rng).genome
    evolution = Evolution(quick, initial=[a, b, a])
    asked = [evolution.ask()[1].id for _ in range(10)]
    assert asked[:2] == [a.id, b.id]
    assert len(set(asked)) == 10


def test_a_space_comes_to_its_end(quick):
    space = SearchSpace(
        1, "two", quick.input, 7, quick.stem,
        (type(quick.stages[0])((8,), (1,), ("conv",), ("max",)),),
        type(quick.head)(("avg",)),
    )  # fmt: skip
    evolution = Evolution(space, population=4)
    size = space.size()
    with pytest.raises(SpaceExhausted):  # noqa: PT012
        for e in drive(evolution, size + 1):
            evolution.tell(e)
    assert evolution.asked >= size * 0.9
