"""The optimizers: they propose genomes (ask) and learn from evaluations (tell). Imports DEAP.

Steady state (mu + 1): every told evaluation may enter the population at once, nobody waits for a
generation. One loop serves three algorithms: `nsga2` ranks by all objectives, `ga` by the penalised
fitness alone, `random` learns nothing. With a surrogate many children are made and the one that
promises most is asked for (see preselection.py). Child k's randomness comes from (seed, k), so the
state follows from the order of asking and telling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from deap import base, tools

from nas.evolution.objectives import OBJECTIVES, Fitness, FitnessFunction, Objective
from nas.evolution.preselection import Preselection, StaticMetrics
from nas.search.archive import Evaluation
from nas.space.operators import Rng

ALGORITHMS = ("nsga2", "ga", "random")
TOURNAMENT = 3
CROSSOVER_RATE = 0.5
TRIES_FOR_A_NEW_GENOME = 100
CHILDREN = 100  # screened for each one proposed
RANDOM_IMMIGRANTS = 0.25  # share of them that is random, not bred
EXPLORATION = 0.05  # share of proposals that is random and not screened: it never dies out


class SpaceExhausted(Exception):  # noqa: N818 - not an error: the search is complete
    """No genome that has not been asked before was found."""


class Space(Protocol):
    """What is searched: genotypes, made at random, from one parent or from two.

    A genotype has an `id` and the `genome` to train; `genotype` reads a genome of the space.
    """

    def sample(self, rng: Rng) -> Any: ...
    def mutate(self, parent: Any, rng: Rng) -> Any: ...
    def crossover(self, a: Any, b: Any, rng: Rng) -> Any: ...
    def genotype(self, genome: Any) -> Any: ...

    @property
    def groups(self) -> Sequence[int]: ...
    def encode(self, genotype: Any) -> Any: ...


@dataclass
class _Individual:
    genotype: Any
    fitness: Any  # deap.base.Fitness with this search's weights


class Evolution:
    """Ask and tell over a search space; any object with its three ways to make a genome will do.

    initial: genomes proposed first. population: mu, how many parents survive. known: metrics of a
    genome that need no training; with it a surrogate screens the children.
    """

    def __init__(
        self,
        space: Space,
        algorithm: str = "nsga2",
        seed: int = 0,
        population: int = 20,
        initial: Sequence[Any] = (),
        fitness: FitnessFunction | None = None,
        objectives: Sequence[Objective] = OBJECTIVES,
        known: StaticMetrics | None = None,
    ) -> None:
        assert algorithm in ALGORITHMS
        self.space = space
        self.algorithm = algorithm
        self.seed = seed
        self.size = population
        self.initial = list({g.id: g for g in initial}.values())
        self.scalar = fitness or Fitness()
        self.objectives = objectives
        self.asked = 0
        self.population: list[_Individual] = []
        self._best_first: list[_Individual] = []  # the population, ranked when it is asked for
        self._seen: set[str] = set()
        self._pending: dict[str, Any] = {}
        self.screen: Preselection | None = None
        if known is not None and algorithm != "random":
            only = self.scalar if algorithm == "ga" else None
            self.screen = Preselection(space, known, objectives, only)
        weights: tuple[float, ...] = (1.0,)
        if algorithm == "nsga2":
            weights = tuple(1.0 if o.maximise else -1.0 for o in objectives)
        self._fitness_class = type("SearchFitness", (base.Fitness,), {"weights": weights})

    def ask(self) -> tuple[int, Any]:
        """The next genome and its index. SpaceExhausted when nothing new is found."""
        index = self.asked
        if index < len(self.initial):
            self._take_note(index, self.initial[index])
            return index, self.initial[index]
        child = self._propose(index)
        self._pending[child.id] = child
        self._take_note(index, child)
        return index, child.genome

    def asked_before(self, index: int, genome: Any) -> None:
        """Take note of a genome that an earlier process asked for."""
        if index >= len(self.initial):
            self._pending[genome.id] = self.space.genotype(genome)
        self._take_note(index, genome)

    def _take_note(self, index: int, asked: Any) -> None:
        self._seen.add(asked.id)
        self.asked = max(self.asked, index + 1)

    def tell(self, evaluation: Evaluation, breed: bool = True) -> None:
        """Let an evaluation compete for a place in the population; a failed one never does.

        breed: False keeps a genome that the space does not hold out of the population.
        """
        self._seen.add(evaluation.id)
        genotype = self._pending.pop(evaluation.id, None)
        if not breed or self.algorithm == "random":
            return
        genotype = genotype or self.space.genotype(evaluation.genome)
        if not evaluation.ok:
            if self.screen is not None:
                self.screen.tell_failed(genotype)
            return
        values = self._values(evaluation)
        individual = _Individual(genotype, self._fitness_class(values))
        self.population = tools.selNSGA2([*self.population, individual], self.size)
        self._best_first = []
        if self.screen is not None:
            self.screen.tell(evaluation, genotype)

    def _values(self, evaluation: Evaluation) -> tuple[float, ...]:
        if self.algorithm == "ga":
            return (self.scalar(evaluation.metrics),)
        return tuple(evaluation.metrics[o.name] for o in self.objectives)

    def _propose(self, index: int) -> Any:
        rng = np.random.default_rng([self.seed, index])
        if self.screen is not None and self.screen.ready:
            if rng.random() < EXPLORATION:
                return self._new(self.space.sample, rng)
            waiting = list(self._pending.values())
            child = self.screen.choose(lambda: self._children(rng), waiting, self._seen)
            if child is not None:
                return child
        elif self._breeds(index):
            return self._new(self._bred, rng)
        return self._new(self.space.sample, rng)

    def _breeds(self, index: int) -> bool:
        """Without a surrogate: after the first population, which is random."""
        return self.screen is None and index >= self.size and len(self.population) > 1

    def _new(self, make: Callable[[Rng], Any], rng: Rng) -> Any:
        """What `make` gives that was not asked for before; at last any such genome."""
        for source in (make, self.space.sample):
            for _ in range(TRIES_FOR_A_NEW_GENOME):
                child = source(rng)
                if child.id not in self._seen:
                    return child
        raise SpaceExhausted(f"{len(self._seen)} genomes tried and no new one found")

    def _children(self, rng: Rng) -> list[Any]:
        """New genotypes, all different: most of them bred, some at random."""
        makers = [self.space.sample if rng.random() < RANDOM_IMMIGRANTS else self._bred
                  for _ in range(CHILDREN)]  # fmt: skip
        children = {child.id: child for child in (make(rng) for make in makers)}
        return [child for name, child in children.items() if name not in self._seen]

    def _bred(self, rng: Rng) -> Any:
        """A child of one or two parents of the population, at least two of which there are."""
        ranked = self._ranked()
        first, second = self._tournament(ranked, rng), self._tournament(ranked, rng)
        if rng.random() < CROSSOVER_RATE:
            child = self.space.crossover(first, second, rng)
            if child.id not in self._seen:
                return child
            return self.space.mutate(child, rng)
        return self.space.mutate(first, rng)

    def _ranked(self) -> list[_Individual]:
        """The population from best to worst: front by front, less crowded first."""
        if self._best_first:
            return self._best_first
        fronts = tools.sortNondominated(self.population, len(self.population))
        for front in fronts:
            tools.emo.assignCrowdingDist(front)
        self._best_first = [
            individual
            for front in fronts
            for individual in sorted(front, key=lambda i: -i.fitness.crowding_dist)
        ]
        return self._best_first

    def _tournament(self, ranked: list[_Individual], rng: Rng) -> Any:
        # Over ranks, with our own generator: DEAP's tournament draws from the global one.
        return ranked[int(rng.integers(len(ranked), size=TOURNAMENT).min())].genotype
