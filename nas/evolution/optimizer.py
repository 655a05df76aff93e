"""The optimizer: it proposes genomes (ask) and learns from measurements (tell). Imports DEAP.

Steady state (mu + 1): every measurement may enter the population at once, nobody waits for a
generation. One loop serves every algorithm: `nsga2` ranks by all objectives, `ga` by the penalised
fitness alone, `random` learns nothing. With `+gp` many children are made and the one that promises
most is asked for (see preselection.py). Child k's randomness comes from (seed, k), so the state
follows from the order of asking and telling: the optimizer is a function of what was measured and
what is in flight.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from deap import base, tools

from nas.common.errors import UserError, expect, one_of, shown
from nas.common.schema import LARGEST, Int
from nas.evolution.objectives import (
    ALGORITHMS,
    OBJECTIVES,
    Constraint,
    Fitness,
    Objective,
    check_measured,
    check_objectives,
    read_all,
    violation,
)
from nas.evolution.predictor import Prediction, Space, StaticMetrics
from nas.evolution.preselection import Preselection
from nas.space.operators import Rng

TOURNAMENT = 3
CROSSOVER_RATE = 0.5
TRIES_FOR_A_NEW_GENOME = 100
CHILDREN = 100  # screened for each one proposed
RANDOM_IMMIGRANTS = 0.25  # share of them that is random, not bred
EXPLORATION = 0.05  # share of proposals that is random and not screened: it never dies out


class SpaceExhausted(Exception):  # noqa: N818 - not an error: the search is complete
    """No genome that has not been asked before was found."""


@dataclass(frozen=True)
class Proposal:
    """A genome to measure.

    genotype: None for an initial genome. parents: genotypes that it was bred from. predicted: what
    the surrogate expects of a measurement, by metric; empty where it did not choose.
    """

    genome: Any
    genotype: Any = None
    parents: tuple[Any, ...] = ()
    predicted: Mapping[str, Prediction] = field(default_factory=dict)

    @classmethod
    def of(cls, genotype: Any, *parents: Any) -> Proposal:
        """A child of these parents."""
        return cls(genotype.genome, genotype, parents)


@dataclass
class Individual:
    """A parent. fitness: DEAP's, with this search's weights; excess: beyond hard constraints."""

    genotype: Any
    fitness: Any
    excess: float


def _expect_genome(value: Any, where: str) -> None:
    if not hasattr(value, "id"):
        raise UserError(f"{where}: found {shown(value)}; expected a genome")


def _finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


class Optimizer:
    """Ask and tell over a search space; any object with its ways to make a genotype will do.

    objectives: two to four, `Objective`s or mappings such as {"name": "accuracy"}. constraints: so
    too, {"name": "macs", "at_most": 5e6}; hard: a static metric that breaks one is never proposed.
    static_metrics: genome -> the metrics that need no measurement, all above 0; what is not among
    them a measurement must give. population: mu, how many parents survive. initial: genomes
    proposed first. fitness: what `ga` climbs.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective | Mapping[str, Any]] = OBJECTIVES,
        *,
        algorithm: str = ALGORITHMS[0],
        seed: int = 0,
        population: int = 20,
        initial: Sequence[Any] = (),
        fitness: Fitness | None = None,
        constraints: Sequence[Constraint | Mapping[str, Any]] = (),
        static_metrics: StaticMetrics | None = None,
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise one_of("algorithm", algorithm, ALGORITHMS, "algorithm")
        expect(space, Space, "Optimizer: space", 'a SearchSpace, such as SearchSpace.load("fer")')
        expect(objectives, (list, tuple), "Optimizer: objectives", "a list of them")
        expect(initial, (list, tuple), "Optimizer: initial", "a list of genomes")
        for genome in initial:
            _expect_genome(genome, "Optimizer: initial")
        seed = Int(0, LARGEST).read(seed, "Optimizer: seed")
        population = Int(1, 100_000).read(population, "Optimizer: population")
        self.objectives: tuple[Objective, ...] = read_all(Objective, objectives, "objectives")
        self.constraints: tuple[Constraint, ...] = read_all(Constraint, constraints, "constraints")
        check_objectives(self.objectives)
        self.space, self.seed, self.size = space, seed, population
        self.algorithm, _, screened = algorithm.partition("+")
        self.initial = list({g.id: g for g in initial}.values())
        self.fitness = fitness or Fitness()
        self.static_metrics = static_metrics or (lambda genome: {})
        self.asked = 0  # one more than the highest index
        self.population: list[Individual] = []
        self._best_first: list[Individual] = []  # the population, ranked when it is asked for
        self._pending: dict[str, Proposal] = {}  # asked, not told
        self._told: set[str] = set()
        self._parents: dict[str, tuple[Any, ...]] = {}  # of the children of the last screening
        self.screen: Preselection | None = None
        single = self.algorithm == "ga"
        if screened:
            self.screen = Preselection(
                space, self.static_metrics, self.objectives, self.fitness if single else None,
                self.constraints,
            )  # fmt: skip
        weights = tuple(1.0 if o.maximize else -1.0 for o in self.objectives)
        self._fitness_class = type(
            "SearchFitness", (base.Fitness,), {"weights": (1.0,) if single else weights}
        )

    def ask(self) -> Any:
        """The next genome to measure. SpaceExhausted when nothing new is found."""
        return self.propose().genome

    def propose(self) -> Proposal:
        """As `ask`, with where it comes from. It is the one of index `asked`, counted before."""
        index = self.asked
        first = index < len(self.initial)
        proposal = Proposal(self.initial[index]) if first else self._propose(index)
        self._pending[proposal.genome.id] = proposal
        self.asked = index + 1
        return proposal

    def asked_before(self, index: int, genome: Any) -> None:
        """Take note of a genome that an earlier process asked for and that is in flight."""
        genotype = self.space.find(genome) if index >= len(self.initial) else None
        self._pending[genome.id] = Proposal(genome, genotype)
        self.asked = max(self.asked, index + 1)

    def tell(
        self, genome: Any, metrics: Mapping[str, float] | None, *, foreign: bool = False
    ) -> bool:
        """Learn what was measured of a genome; None, or a metric that is not finite: it failed.

        Metrics that are static need not be among them. foreign: not what was asked here and is
        waited for, but known from elsewhere, from before a search resumed, or measured again. What
        the space does not hold is taken note of, but never bred. True where the genome counts as
        measured. UserError: it was never asked or told before, and is not foreign; or a metric
        that is wanted is missing, or cannot be meant (an accuracy in percent).
        """
        _expect_genome(genome, "tell: genome")
        expect(metrics, (Mapping, types.NoneType), "tell: metrics", "a dict of numbers, or None")
        name = genome.id
        if name not in self._pending and not foreign:
            why = "was told before" if name in self._told else "was never asked"
            raise UserError(f"genome {name} {why}; tell(..., foreign=True) takes it")
        found = self._complete(genome, metrics)
        self._told.add(name)
        asked = self._pending.pop(name, None)
        if self.algorithm == "random":
            return found is not None
        genotype = (asked.genotype if asked else None) or self.space.find(genome)
        if genotype is None:
            return found is not None
        if found is None:
            if self.screen is not None:
                self.screen.predictor.tell_failed(genotype)
            return False
        self._enter(genotype, found)
        if self.screen is not None:
            self.screen.tell(genotype, found)
        return True

    def pass_over(self, genome: Any) -> None:
        """Take note of a genome that was neither measured nor failed: it is not asked for again."""
        self._told.add(genome.id)
        self._pending.pop(genome.id, None)

    def _complete(
        self, genome: Any, metrics: Mapping[str, float] | None
    ) -> dict[str, float] | None:
        """Measured and static metrics; None where the measurement failed."""
        if metrics is None or not all(map(_finite, metrics.values())):
            return None
        try:
            check_measured(metrics)
        except ValueError as error:
            raise UserError(f"tell: {error}") from None
        found = dict(metrics)
        wanted = [*(o.name for o in self.objectives), *(c.name for c in self.constraints)]
        wanted += self.fitness.names if self.algorithm == "ga" else ()
        if any(name not in found for name in wanted):
            found = {**self.static_metrics(genome), **found}
        missing = sorted({name for name in wanted if name not in found})
        if missing:
            raise UserError(f"metrics: no {', '.join(missing)}; got {sorted(metrics)}")
        return found

    def _enter(self, genotype: Any, metrics: Mapping[str, float]) -> None:
        """Let a measured genotype compete for a place in the population.

        What keeps the hard constraints comes before what does not; there the excess decides.
        """
        if self.algorithm == "ga":
            values: tuple[float, ...] = (self.fitness(metrics),)
        else:
            values = tuple(metrics[o.name] for o in self.objectives)
        excess = violation(metrics, self.constraints)
        everyone = [*self.population, Individual(genotype, self._fitness_class(values), excess)]
        feasible = [i for i in everyone if not i.excess]
        rest = sorted((i for i in everyone if i.excess), key=lambda i: i.excess)
        kept = tools.selNSGA2(feasible, self.size) if feasible else []
        self.population = [*kept, *rest[: self.size - len(kept)]]
        self._best_first = []

    def _seen(self, genotype: Any) -> bool:
        return genotype.id in self._told or genotype.id in self._pending

    def _propose(self, index: int) -> Proposal:
        rng = np.random.default_rng([self.seed, index])
        if self.screen is not None and self.screen.ready:
            if rng.random() < EXPLORATION:
                return self._new(self._random, rng)
            waiting = [p.genotype for p in self._pending.values() if p.genotype is not None]
            found = self.screen.choose(lambda: self._children(rng), waiting, self._seen)
            if found is not None:
                child, predicted = found
                return Proposal(child.genome, child, self._parents.get(child.id, ()), predicted)
        elif self.screen is None and index >= self.size and len(self.population) > 1:
            return self._new(self._offspring, rng)
        return self._new(self._random, rng)  # as is the first population

    def _new(self, make: Callable[[Rng], Proposal], rng: Rng) -> Proposal:
        """What `make` gives that is new and allowed; at last any such genotype."""
        for source in (make, self._random):
            for _ in range(TRIES_FOR_A_NEW_GENOME):
                child = source(rng)
                if not self._seen(child.genotype) and self._allowed(child):
                    return child
        raise SpaceExhausted(f"{len(self._told)} genomes told and no new one found")

    def _allowed(self, child: Proposal) -> bool:
        """Whether its static metrics keep the hard constraints."""
        if not self.constraints:
            return True
        static = self.static_metrics(child.genome)
        return not violation(static, [c for c in self.constraints if c.name in static])

    def _children(self, rng: Rng) -> list[Any]:
        """New genotypes, all different: most of them bred, some at random."""
        makers = [self._random if rng.random() < RANDOM_IMMIGRANTS else self._offspring
                  for _ in range(CHILDREN)]  # fmt: skip
        children = {child.genotype.id: child for child in (make(rng) for make in makers)}
        new = {name: child for name, child in children.items()
               if not self._seen(child.genotype) and self._allowed(child)}  # fmt: skip
        self._parents = {name: child.parents for name, child in new.items()}
        return [child.genotype for child in new.values()]

    def _random(self, rng: Rng) -> Proposal:
        return Proposal.of(self.space.sample(rng))

    def _offspring(self, rng: Rng) -> Proposal:
        """A child of one or two parents of the population."""
        ranked = self._ranked()
        if not ranked:
            return self._random(rng)
        first, second = self._tournament(ranked, rng), self._tournament(ranked, rng)
        if rng.random() < CROSSOVER_RATE:
            child = self.space.crossover(first, second, rng)
            if self._seen(child):
                child = self.space.mutate(child, rng)
            return Proposal.of(child, first, second)
        return Proposal.of(self.space.mutate(first, rng), first)

    def _ranked(self) -> list[Individual]:
        """The population from best to worst: front by front, less crowded first."""
        if self._best_first:
            return self._best_first
        feasible = [i for i in self.population if not i.excess]
        fronts = tools.sortNondominated(feasible, len(feasible)) if feasible else []
        for front in fronts:
            tools.emo.assignCrowdingDist(front)
        self._best_first = [
            individual
            for front in fronts
            for individual in sorted(front, key=lambda i: -i.fitness.crowding_dist)
        ] + [i for i in self.population if i.excess]
        return self._best_first

    def _tournament(self, ranked: list[Individual], rng: Rng) -> Any:
        # Over ranks, with our own generator: DEAP's tournament draws from the global one.
        return ranked[int(rng.integers(len(ranked), size=TOURNAMENT).min())].genotype
