import math

import numpy as np
import pytest
from fakes import evaluation

from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.evolution.objectives import OBJECTIVES, Constraint, Fitness
from nas.evolution.optimizer import ALGORITHMS, Optimizer, SpaceExhausted
from nas.evolution.pareto import hypervolume, minimized
from nas.evolution.predictor import WARM_UP
from nas.evolution.preselection import Preselection
from nas.space.space import SearchSpace


def accuracy(genome):
    """Prefers depth and inverted blocks: something to learn."""
    kinds = [b.kind for s in genome.stages for b in s.blocks]
    return 0.1 * kinds.count("inverted") + 0.05 * len(kinds)


def known(genome):
    found = cost(genome)
    return {"params": found.params, "fps": 1e6 / (1 + found.macs)}


def drive(optimizer, n):
    """Ask and tell; yields each evaluation before it is told."""
    for _ in range(n):
        index, genome = optimizer.asked, optimizer.ask()
        found = evaluation(genome, index, metrics={"accuracy": accuracy(genome), **known(genome)})
        yield found
        optimizer.tell(genome, found.metrics)


def run(space, algorithm, n, seed=0):
    optimizer = Optimizer(
        space, algorithm=algorithm, seed=seed, population=10, static_metrics=known,
        fitness=Fitness(penalties=()),
    )  # fmt: skip
    return list(drive(optimizer, n))


@pytest.mark.parametrize(
    "algorithm",
    [pytest.param(a, marks=pytest.mark.slow if a == "ga+gp" else ()) for a in ALGORITHMS],
)
def test_same_seed_same_genomes_and_no_duplicates(quick, algorithm):
    n = 14 if algorithm.endswith("+gp") else 60
    first, second = (run(quick, algorithm, n) for _ in range(2))
    assert [e.id for e in first] == [e.id for e in second]
    assert len({e.id for e in first}) == n
    other = run(quick, algorithm, n, seed=1)
    assert [e.id for e in first] != [e.id for e in other]


def volume_of(found):
    """Of accuracy and params, up to no accuracy and 60,000 parameters."""
    return hypervolume(minimized((e.metrics for e in found), OBJECTIVES[:2]), (0.0, 60_000.0))


@pytest.mark.slow
def test_evolution_beats_random_search(quick):
    def volume(algorithm, seed):
        return volume_of(run(quick, algorithm, 120, seed))

    ours, theirs = ([volume(a, s) for s in range(10)] for a in ("nsga2", "random"))
    assert np.mean(ours) > 1.03 * np.mean(theirs)


@pytest.mark.slow
def test_what_fails_is_avoided(quick):
    """Every network with a hardswish in a block fails: of random ones three in four."""

    def fails(genome):
        blocks = (b for s in genome.stages[1:] for b in s.blocks)
        return any(getattr(b, "activation", "") == "hardswish" for b in blocks)

    shares = []
    for seed in (1, 2):
        optimizer = Optimizer(quick, seed=seed, population=10, static_metrics=known)
        failed = []
        for _ in range(70):
            genome = optimizer.ask()
            failed.append(fails(genome))
            optimizer.tell(genome, None if failed[-1] else {"accuracy": accuracy(genome)})
        shares.append(np.mean(failed[35:]))
    assert max(shares) < 0.4


@pytest.mark.slow
def test_screening_needs_fewer_networks(quick):
    """After 30 networks it is where evolution alone is after 90."""
    volumes = [[volume_of(run(quick, *of, seed=s)) for s in range(2)]
               for of in (("nsga2+gp", 30), ("nsga2", 90))]  # fmt: skip
    assert all(ours > theirs for ours, theirs in zip(*volumes, strict=True))


@pytest.mark.slow
def test_exploration_never_dies_out(quick, monkeypatch):
    """Some proposals come straight from the space, whatever the surrogate believes."""
    optimizer = Optimizer(quick, population=10, static_metrics=known)
    screened, choose = [], Preselection.choose
    monkeypatch.setattr(
        Preselection, "choose", lambda *a: screened.append(1) or choose(*a)
    )  # fmt: skip
    ready = sum(index >= WARM_UP for index, _ in enumerate(drive(optimizer, 45)))
    assert 1 <= ready - len(screened) <= 10


@pytest.mark.slow
def test_many_may_be_in_training_at_once(quick):
    optimizer = Optimizer(quick, population=10, static_metrics=known)
    asked = [optimizer.ask() for _ in range(12)]
    for told in range(20):
        optimizer.tell(asked[told], {"accuracy": accuracy(asked[told])})
        asked.append(optimizer.ask())
    assert len({g.id for g in asked}) == optimizer.asked == 32


@pytest.mark.slow
def test_it_is_a_function_of_what_was_measured_and_is_in_flight(quick):
    """One that is told of the past and of what is in flight asks as the one that was there."""
    there = Optimizer(quick, population=10, static_metrics=known)
    past = list(drive(there, 20))
    flying = [(there.asked, there.ask()) for _ in range(3)]
    later = Optimizer(quick, population=10, static_metrics=known)
    for e in past:
        later.tell(e.genome, e.metrics, foreign=True)
    for index, genome in flying:
        later.asked_before(index, genome)
    assert [later.ask().id for _ in range(3)] == [there.ask().id for _ in range(3)]


def test_ga_climbs_its_fitness(quick):
    found = [e.metrics["accuracy"] for e in run(quick, "ga", 120)]
    assert np.mean(found[-30:]) > np.mean(found[:30]) + 0.05


def test_failed_and_foreign_networks_never_breed(quick, proposed):
    optimizer = Optimizer(quick, algorithm="nsga2", population=4, static_metrics=known)
    for i in range(8):
        optimizer.tell(optimizer.ask(), None if i % 2 else {"accuracy": 0.9 - 0.01 * i})
    optimizer.tell(proposed, {"accuracy": 1.0}, foreign=True)
    assert len(optimizer.population) == 4
    assert proposed.id not in {i.genotype.id for i in optimizer.population}


def test_a_network_from_elsewhere_breeds(quick, rng):
    optimizer = Optimizer(quick, algorithm="nsga2", population=4, static_metrics=known)
    genome = quick.sample(rng).genome
    assert optimizer.tell(genome, {"accuracy": 0.9}, foreign=True)
    assert [i.genotype.id for i in optimizer.population] == [genome.id]


def test_misuse_is_refused(quick, rng):
    optimizer = Optimizer(quick, static_metrics=known)
    genome = optimizer.ask()
    stranger = quick.mutate(quick.sample(rng), rng).genome
    with pytest.raises(UserError, match=f"{stranger.id} was never asked"):
        optimizer.tell(stranger, {"accuracy": 0.5})
    with pytest.raises(ValueError, match=r"no accuracy; got \['f1'\]"):
        optimizer.tell(genome, {"f1": 0.5})
    assert optimizer.tell(genome, {"accuracy": 0.5})
    with pytest.raises(UserError, match=f"{genome.id} was told before"):
        optimizer.tell(genome, {"accuracy": 0.5})


@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        ({"accuracy": 61.0}, "tell: metric accuracy is 61; expected a share, 0 to 1"),
        ({"accuracy": 0.6, "params": -5}, "tell: metric params is -5; expected more than 0"),
        ({"accuracy": 0.6, "fps": 0}, "tell: metric fps is 0; expected more than 0"),
        ({"accuracy": 0.6, "joules": 1e300}, r"tell: metric joules is 1e\+300"),
    ],
)
def test_what_cannot_be_meant_is_refused(quick, metrics, why):
    """As from an evaluator; the genome is still waited for. Metrics of one's own may be any."""
    optimizer = Optimizer(quick, static_metrics=known)
    genome = optimizer.ask()
    with pytest.raises(UserError, match=why):
        optimizer.tell(genome, metrics)
    assert optimizer.population == []
    assert optimizer.tell(genome, {"accuracy": 0.61, "score": 61.0, "gain": -5.0})


@pytest.mark.parametrize("metrics", [None, {"accuracy": math.nan}, {"accuracy": math.inf},
                                     {"accuracy": "high"}])  # fmt: skip
def test_what_is_no_finite_number_failed(quick, metrics):
    optimizer = Optimizer(quick, algorithm="nsga2", static_metrics=known)
    assert not optimizer.tell(optimizer.ask(), metrics)
    assert optimizer.population == []


@pytest.mark.parametrize("algorithm", ["nsga2", pytest.param("nsga2+gp", marks=pytest.mark.slow)])
def test_a_static_constraint_is_never_broken(quick, algorithm):
    found = []
    optimizer = Optimizer(
        quick, algorithm=algorithm, population=10, static_metrics=known,
        constraints=[Constraint("params", at_most=20_000)],
    )  # fmt: skip
    for e in drive(optimizer, 30):
        found.append(e.metrics["params"])
    assert max(found) <= 20_000


def test_what_breaks_a_measured_constraint_comes_last(quick):
    optimizer = Optimizer(
        quick, algorithm="nsga2", population=4, static_metrics=known,
        constraints=[Constraint("energy", at_most=1)],
    )  # fmt: skip
    for energy in (3, 0.5, 2, 4, 1.5, 0.9):
        optimizer.tell(optimizer.ask(), {"accuracy": 0.5, "energy": energy})
    assert sorted(i.excess for i in optimizer.population) == [0, 0, 0.5, 1]


@pytest.mark.slow
def test_a_proposal_says_who_its_parents_are(quick):
    optimizer = Optimizer(quick, algorithm="nsga2+gp", population=10, static_metrics=known)
    told = {e.id for e in drive(optimizer, 20)}
    proposals = [optimizer.propose() for _ in range(10)]
    parents = [p.parents for p in proposals if p.parents]
    assert len(parents) > 3
    assert all(parent.id in told for both in parents for parent in both)


def test_initial_genomes_come_first_and_once(quick, rng):
    a, b = quick.sample(rng).genome, quick.sample(rng).genome
    optimizer = Optimizer(quick, initial=[a, b, a])
    asked = [optimizer.ask().id for _ in range(10)]
    assert asked[:2] == [a.id, b.id]
    assert len(set(asked)) == 10


def test_a_space_comes_to_its_end(quick):
    space = SearchSpace(
        1, "two", quick.stem,
        (type(quick.stages[0])((8,), (1,), ("conv",), ("max",)),),
        type(quick.head)(("avg",)),
    )  # fmt: skip
    optimizer = Optimizer(space, algorithm="nsga2", population=4, static_metrics=known)
    size = space.size()
    with pytest.raises(SpaceExhausted):
        list(drive(optimizer, size + 1))
    assert optimizer.asked >= size * 0.9


def test_objectives_and_constraints_are_read_as_a_search_reads_them(quick):
    """And wrong ones are said so, not found out later."""
    plain = [{"name": "accuracy"}, {"name": "params"}]
    limits = [{"name": "params", "at_most": 20_000}]
    optimizer = Optimizer(quick, plain, constraints=limits, static_metrics=known)
    assert optimizer.objectives == OBJECTIVES[:2]
    assert all(known(optimizer.ask())["params"] <= 20_000 for _ in range(5))
    with pytest.raises(UserError, match="objectives: unknown key 'nme'"):
        Optimizer(quick, [{"nme": "accuracy"}, {"name": "params"}])
    with pytest.raises(UserError, match=r"unknown algorithm .nsga3..*did you mean"):
        Optimizer(quick, algorithm="nsga3")


def test_nothing_need_be_known_before(quick):
    """Then every objective is uncertain: a process for each, and the search goes on."""
    optimizer = Optimizer(quick)
    for _ in range(WARM_UP + 3):
        genome = optimizer.ask()
        optimizer.tell(genome, {"accuracy": accuracy(genome), **known(genome)})
    assert set(optimizer.screen.predictor.names) == {"accuracy", "params", "fps"}
