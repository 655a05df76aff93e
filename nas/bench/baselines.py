"""The optimizers to compare, our own and others, each as published or as its library has it.

A repeated proposal costs nothing, as a cache would have it; one that the table does not hold is
answered with the worst values.
"""

from __future__ import annotations

import contextlib
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import optuna
from deap import base, tools

from nas.bench.table import Rows, Table, TableGenome, front_rows
from nas.common.lazy import lazy_function
from nas.common.quiet import errors_alone
from nas.evolution.denoise import denoised_front
from nas.evolution.objectives import Fitness, Objective
from nas.evolution.optimizer import Optimizer, SpaceExhausted

POPULATION = 20
SAMPLE = 5  # of regularized evolution
OBJECTIVES = (Objective("accuracy"), Objective("cost"))
# Proposals for each unit of budget, after which a search that repeats itself ends. Optuna keeps
# every trial, and a proposal of TPE takes longer the more there are.
STALL, STALL_OPTUNA = 200, 3


@dataclass(frozen=True)
class Looked:
    """A network that was looked up."""

    index: int
    genome: TableGenome
    metrics: dict[str, float]
    ok: bool = True


def observed_front(table: Table, rows: Rows) -> Rows:
    """Those of the rows that no other dominates, as measured."""
    return rows[front_rows(table.accuracy[rows], table.cost[rows])]


@dataclass(frozen=True)
class Strategy:
    """run: (table, budget, seed) -> rows in the order in which they were first evaluated, at most
    `budget` different ones. front: (table, rows) -> which of them it returns.
    """

    run: Callable[[Table, int, int], list[int]]
    front: Callable[[Table, Rows], Rows] = observed_front


class BudgetSpent(Exception):  # noqa: N818 - no error: the way out of a library's loop
    pass


class Counter:
    """Looks rows up; counts different ones."""

    def __init__(self, table: Table, budget: int) -> None:
        self.table, self.budget = table, min(budget, len(table))
        self.rows: dict[int, None] = {}
        self.calls = 0
        self.worst = (float(table.accuracy.min()) - 1.0, float(table.cost.max()) * 2)

    def __call__(self, genes: Iterable[int]) -> tuple[float, float]:
        """(accuracy, cost)."""
        self.calls += 1
        if self.calls > STALL * self.budget:
            raise BudgetSpent
        row = self.table.row(TableGenome(tuple(int(g) for g in genes)))
        if row is None:
            return self.worst
        if row not in self.rows:
            if len(self.rows) >= self.budget:
                raise BudgetSpent
            self.rows[row] = None
        return float(self.table.accuracy[row]), float(self.table.cost[row])


def random_search(table: Table, budget: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return [int(row) for row in rng.permutation(len(table))[:budget]]


def regularized_evolution(table: Table, budget: int, seed: int) -> list[int]:
    """Real et al. 2019 on accuracy alone: the best of a sample is mutated, the oldest dies."""
    rng, look = np.random.default_rng(seed), Counter(table, budget)
    alive: deque[tuple[float, TableGenome]] = deque()
    try:
        while True:
            if len(alive) < POPULATION:
                genome = table.sample(rng)
            else:
                picked = rng.choice(len(alive), SAMPLE, replace=False)
                genome = table.mutate(max((alive[i] for i in picked), key=lambda p: p[0])[1], rng)
                alive.popleft()
            alive.append((look(genome.genes)[0], genome))
    except BudgetSpent:
        return list(look.rows)


def ours(algorithm: str, table: Table, budget: int, seed: int) -> list[int]:
    """nas.evolution over accuracy and the table's cost; `ga`: accuracy alone, until the best."""
    optimizer = Optimizer(
        table, OBJECTIVES, algorithm=algorithm, seed=seed, population=POPULATION,
        fitness=Fitness(penalties=()), static_metrics=table.static_metrics,
    )  # fmt: skip
    goal = table.accuracy.max() if algorithm.startswith("ga") else np.inf
    rows: list[int] = []
    while len(rows) < min(budget, len(table)) and not (rows and table.accuracy[rows[-1]] >= goal):
        try:
            genome = optimizer.ask()
        except SpaceExhausted:  # nearly the whole table is known
            break
        row = table.row(genome)
        assert row is not None
        rows.append(row)
        optimizer.tell(genome, table.metrics(row))
    return rows


def deap_nsga2(table: Table, budget: int, seed: int) -> list[int]:
    """DEAP's textbook loop: tournament on crowding, uniform crossover, one gene in d changed."""
    before = random.getstate()
    random.seed(seed)  # DEAP's operators draw from the global generator
    fitness = type("TextbookFitness", (base.Fitness,), {"weights": (1.0, -1.0)})

    class Individual(list[int]):
        def __init__(self, genes: Iterable[int]) -> None:
            super().__init__(genes)
            self.fitness: Any = fitness()

    tops = [len(c) - 1 for c in table.choices]
    look = Counter(table, budget)

    def evaluate(individuals: list[Individual]) -> None:
        for individual in individuals:
            if not individual.fitness.valid:
                individual.fitness.values = look(individual)

    try:
        parents = [Individual(random.randint(0, t) for t in tops) for _ in range(POPULATION)]
        evaluate(parents)
        parents = tools.selNSGA2(parents, POPULATION)
        while True:
            offspring = [Individual(p) for p in tools.selTournamentDCD(parents, POPULATION)]
            for a, b in zip(offspring[::2], offspring[1::2], strict=True):
                if random.random() < 0.9:
                    tools.cxUniform(a, b, 0.5)
            for individual in offspring:
                tools.mutUniformInt(individual, [0] * len(tops), tops, 1 / len(tops))
            evaluate(offspring)
            parents = tools.selNSGA2(parents + offspring, POPULATION)
    except BudgetSpent:
        return list(look.rows)
    finally:
        random.setstate(before)


def optuna_nsga2(table: Table, budget: int, seed: int) -> list[int]:
    """Optuna's NSGA-II sampler with a population of 20."""
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    return _with_optuna(table, budget, sampler)


def optuna_tpe(table: Table, budget: int, seed: int) -> list[int]:
    """Optuna's (multi-objective) TPE sampler."""
    return _with_optuna(table, budget, optuna.samplers.TPESampler(seed=seed))


@errors_alone("optuna")
def _with_optuna(table: Table, budget: int, sampler: optuna.samplers.BaseSampler) -> list[int]:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    look = Counter(table, budget)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        genes = [
            trial.suggest_categorical(f"gene{i}", list(range(len(choices))))
            for i, choices in enumerate(table.choices)
        ]
        return look(genes)

    with contextlib.suppress(BudgetSpent):
        study.optimize(objective, n_trials=STALL_OPTUNA * budget)
    return list(look.rows)


def believed_front(table: Table, rows: Rows) -> Rows:
    """What our search returns: see nas.evolution.denoise."""
    found = [
        Looked(i, table.genome(row), table.metrics(row)) for i, row in enumerate(rows.tolist())
    ]
    members = denoised_front(table, found, ["cost"], OBJECTIVES)
    return rows[[member.index for member in members]]


SINGLE: dict[str, Strategy] = {  # for accuracy alone
    "random": Strategy(random_search),
    "regularized-evolution": Strategy(regularized_evolution),
    "ga": Strategy(partial(ours, "ga")),
    "ga+gp": Strategy(partial(ours, "ga+gp")),
}
STRATEGIES: dict[str, Strategy] = {
    "random": Strategy(random_search),
    "regularized-evolution": Strategy(regularized_evolution),
    "nsga2": Strategy(partial(ours, "nsga2")),
    "nsga2+gp": Strategy(partial(ours, "nsga2+gp"), believed_front),
    "deap-nsga2": Strategy(deap_nsga2),
    "pymoo-nsga2": Strategy(lazy_function("nas.bench.pymoo_nsga2:pymoo_nsga2")),
    "optuna-nsga2": Strategy(optuna_nsga2),
    "optuna-tpe": Strategy(optuna_tpe),
}
