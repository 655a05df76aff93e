"""Everything that decides what a search does: one tree yields options, help, defaults and YAML."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np

from nas.arch.footprint import COSTS, FOOTPRINT
from nas.common.environment import usable_cores
from nas.common.errors import UserError, one_of
from nas.common.files import read_yaml
from nas.common.options import (
    add_options,
    add_set,
    changed,
    given_options,
    setting,
    with_key,
    with_options,
)
from nas.common.schema import SEED, Choice, Flag, Float, Int, Seconds, Text, read
from nas.evolution.objectives import (
    ALGORITHMS,
    OBJECTIVES,
    Constraint,
    Fitness,
    Metrics,
    Objective,
    check_objectives,
)
from nas.evolution.pareto import Measured, Member
from nas.report.axes import SHARES
from nas.space.space import SearchSpace
from nas.training.recipe import Recipe
from nas.training.task import Fidelity

STATIC = (*COSTS, "fps")  # metrics that are known before a training
MEASURED = (*SHARES, "loss")  # metrics that a training gives
EVALUATIONS = 40  # where neither their number nor a time is given
Time = Annotated[float, Seconds(0.001, 1e9)]


T = TypeVar("T", bound=Measured)


@dataclass(frozen=True)
class Settings:
    """`config.yaml` of a run, and `--config`; None: no limit, or not used."""

    data: Annotated[str, Text()] = setting(
        "synthetic", "a prepared data set, an .npz or a folder of pictures",
        metavar="NAME|PATH", fixed=True,
    )  # fmt: skip
    evaluator: Annotated[str, Text(256)] | None = setting(
        None, "a function that measures genomes, instead of a training",
        metavar="MODULE:FUNCTION", fixed=True,
    )  # fmt: skip
    algorithm: Annotated[str, Choice(ALGORITHMS, "algorithm")] = setting(
        ALGORITHMS[0], "NSGA-II, a GA on the fitness, or random; +gp: a Gaussian process screens "
        "the children", fixed=True,
    )  # fmt: skip
    evaluations: Annotated[int, Int(1, 10_000_000)] | None = setting(
        None, f"networks to train; {EVALUATIONS} where no time budget is given either"
    )
    time_budget: Time | None = setting(None, "90s, 30m or 2h, set-up included")
    workers: Annotated[int, Int(1, 10_000)] | None = setting(
        None, "processes that train; one a usable core where none is given"
    )
    seed: Annotated[int, SEED] = setting(0, "of every random choice", fixed=True)
    deterministic: Annotated[bool, Flag()] = setting(
        False, "the same networks and figures for any number of workers (one thread each); of "
        "another run too with its --machine", fixed=True,
    )  # fmt: skip
    address: Annotated[str, Text(256)] | None = setting(
        None, "of a running Ray cluster, or auto", metavar="HOST:PORT"
    )
    fps_model: Annotated[str, Text()] | None = setting(
        None, "of the target machine, made there by nas.fps", metavar="JSON", fixed=True
    )
    gpus_per_worker: Annotated[float, Float(0.0, 64.0)] = setting(0.0)
    cpu_workers: Annotated[int, Int(0, 10_000)] = setting(0)  # further ones, without a GPU
    candidate_time: Time | None = setting(None)
    candidate_memory: Annotated[float, Float(0.001, 1e6)] | None = setting(None)  # GiB
    device: Annotated[str, Text(64)] = setting("auto")
    population: Annotated[int, Int(4, 100_000)] = setting(20, fixed=True)
    calibration_genomes: Annotated[int, Int(10, 1000)] = setting(40)
    objectives: tuple[Objective, ...] = setting(OBJECTIVES, fixed=True)
    constraints: tuple[Constraint, ...] = setting((), fixed=True)
    fidelity: Fidelity = Fidelity()
    fitness: Fitness = Fitness()
    recipe: Recipe = Recipe()

    @property
    def main_workers(self) -> int:
        """`workers`, once it is known (see `checked`)."""
        return self.workers or 1

    @property
    def wanted(self) -> list[str]:
        """Metrics that objectives and constraints are about, and the fitness where it decides."""
        named = [*(o.name for o in self.objectives), *(c.name for c in self.constraints)]
        return [*named, *(self.fitness.names if self.single_objective else ())]

    @property
    def footprint(self) -> list[str]:
        """Metrics of arch.footprint that it is about, beyond the costs that are always known."""
        return sorted(FOOTPRINT.keys() & {*self.wanted, *self.fitness.names})

    @property
    def single_objective(self) -> bool:
        """Whether the fitness decides who lives; it then is what the run is about."""
        return self.algorithm.startswith("ga")

    def choose(self, front: Sequence[Member[T]]) -> Member[T] | None:
        """By the fitness; by the first objective where the fitness knows too little."""
        return max(front, key=lambda member: self._worth(member.metrics), default=None)

    def _worth(self, metrics: Metrics) -> float:
        known, first = self.fitness.known(metrics), self.objectives[0]
        if known is not None:
            return known
        return metrics[first.name] if first.maximize else -metrics[first.name]

    def space(
        self, space: SearchSpace, form: tuple[int, int, int, int] | None = None
    ) -> SearchSpace:
        """The space as a search has it: of its data's input, within the constraints.

        form: classes, channels, height and width of the data; None: an evaluator measures.
        UserError where the data do not fit, or where no network keeps the limits.
        """
        # Limits that the space knows too: then children are repaired, and not only refused.
        space = space.within({c.name: (c.at_least, c.at_most) for c in self.constraints})
        if form is not None:
            space = space.for_data(*form)
        space.sample(np.random.default_rng(0))
        return space


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The options of the settings, and those that give any of them."""
    add_options(parser, Settings)
    parser.add_argument("--config", metavar="YAML", help="settings, as config.yaml of a run")
    add_set(parser, "any setting of --config, such as fitness.params_limit=200000")


def settings_of(args: argparse.Namespace, stored: Settings | None = None) -> Settings:
    """The options over the `stored` settings of a run, a configuration file's, or the defaults."""
    found = stored or (load_settings(Path(args.config)) if args.config else Settings())
    found = with_options(found, args)
    if stored is not None:
        found = going_on(found, given_options(Settings, args))
    for text in args.keys:
        found = with_key(found, text)
    return checked(found)


def going_on(settings: Settings, given: Container[str]) -> Settings:
    """Of a run that goes on: a further time, given without a number, decides alone."""
    alone = settings.time_budget is not None and "time_budget" in given
    if alone and "evaluations" not in given:
        return dataclasses.replace(settings, evaluations=None)
    return settings


def load_settings(path: Path) -> Settings:
    """Read a search configuration; a missing key keeps its default."""
    return read(Settings, read_yaml(path) or {}, str(path))


def checked(settings: Settings) -> Settings:
    """With what was left open filled in. UserError where two settings contradict each other."""
    recipe, epochs = settings.recipe, settings.fidelity.epochs
    if recipe.soft_labels or recipe.train_on != "train":
        raise UserError("recipe: soft_labels and train_on are for nas.retrain; leave them out")
    if recipe.epochs not in (Recipe().epochs, epochs):
        raise UserError(
            f"recipe: epochs: found {recipe.epochs}; in a search fidelity.epochs decides "
            f"({epochs}); leave it out"
        )
    if recipe.early_stopping or recipe.schedule == "plateau":
        raise UserError(
            "recipe: early_stopping and schedule plateau look at every epoch, which a search's "
            "short trainings do not score; expected early_stopping 0 and another schedule"
        )
    check_objectives(settings.objectives)
    if settings.evaluator is None:
        _check_metrics(settings)
    if settings.address and not settings.workers:
        raise UserError(
            "--workers: missing; with an address say how many: each takes a CPU (and its share of "
            "a GPU), and those without a place join when the cluster grows"
        )
    evaluations, workers = settings.evaluations, settings.workers
    if evaluations is None and settings.time_budget is None:
        evaluations = EVALUATIONS
    if workers is None:
        workers = 1 if settings.evaluator else usable_cores()
    return dataclasses.replace(settings, evaluations=evaluations, workers=workers)


def check_addressed(settings: Settings, said: bool) -> None:
    """UserError where a file alone names a cluster: who runs it could run code of theirs here."""
    if settings.address is not None and not said:
        raise UserError(
            f"address {settings.address}: named by a file, and no file has us join a cluster; if "
            f"you know it, say so: --address {shlex.quote(settings.address)}, or --address none"
        )


def _check_metrics(settings: Settings) -> None:
    """UserError for a metric that the built-in evaluator does not give: before any training."""
    named = {
        "objectives": [o.name for o in settings.objectives],
        "constraints": [c.name for c in settings.constraints],
        "fitness": list(settings.fitness.names),
    }
    for where, names in named.items():
        for name in names:
            if name not in (*MEASURED, *STATIC):
                raise one_of(where, name, (*MEASURED, *STATIC), "metric")


def fixed_changes(before: Settings, after: Settings) -> dict[str, tuple[Any, Any]]:
    """What makes the evaluations of a run comparable and differs: {name: (before, after)}."""
    found = changed(before, after)
    if before.recipe != after.recipe:
        found["recipe"] = ("another", "this one")
    if before.single_objective and before.fitness != after.fitness:
        found["fitness"] = (before.fitness, after.fitness)
    return found


def changeable() -> str:
    """The settings that a run may go on with other values of, to be read."""
    names = [f.name for f in dataclasses.fields(Settings)
             if f.metadata and not f.metadata["fixed"]]  # fmt: skip
    return ", ".join([*names, "fitness (not with ga)"])
