"""The options that decide what a search does, for every command line that takes them."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.common.environment import usable_cores
from nas.common.errors import UserError

if TYPE_CHECKING:
    from nas.search.store import Settings


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One option for each setting; what is not given keeps its default."""
    add = parser.add_argument
    add("--data", metavar="NAME|NPZ", help="a prepared data set (default: synthetic faces)")
    add("--evaluations", type=int, metavar="N", help="networks to train (default 40)")
    add("--time-budget", metavar="TIME", help="stop after 90s, 30m or 2h")
    add("--workers", type=int, metavar="N", help="processes (default: one a usable core)")
    add("--gpus-per-worker", type=float, metavar="X", help="share of a GPU for each worker")
    add("--cpu-workers", type=int, metavar="N", help="further processes, without a GPU")
    add("--fps-model", metavar="JSON", help="of the target machine, made there by nas.fps")
    add("--address", metavar="HOST:PORT", help="of a running Ray cluster, or auto")
    add("--candidate-time", metavar="TIME", help="stop a candidate after 90s, 30m or 2h")
    add("--candidate-memory", type=float, metavar="GIB", help="what a candidate may allocate")
    add("--algorithm", metavar="NAME", help="nsga2 (default), ga or random")
    add("--seed", type=int, metavar="N", help="of every random choice (default 0)")
    add("--epochs", type=int, metavar="N", help="of each candidate's training (default 3)")
    add("--fraction", type=float, metavar="X", help="of the training part used (default 1)")
    add("--population", type=int, metavar="N", help="parents that survive (default 20)")
    add("--surrogate", choices=["on", "off"], help="train the most promising of many children "
        "(default on)")  # fmt: skip
    add("--params-limit", type=float, metavar="N", help="fitness: parameters without penalty "
        "(default 500000)")  # fmt: skip
    add("--fps-target", type=float, metavar="N", help="fitness: frames a second without "
        "penalty (default 1000)")  # fmt: skip
    add("--params-weight", type=float, metavar="A", help="fitness: weight of excess parameters "
        "(default 0.1)")  # fmt: skip
    add(
        "--fps-weight", type=float, metavar="B", help="fitness: weight of missing fps (default 0.1)"
    )
    add(
        "--deterministic",
        action="store_true",
        default=None,
        help="the same networks and figures for any number of workers (one thread each); of "
        "another run too with its --machine",
    )
    add("--config", metavar="YAML", help="all settings, as config.yaml of a run")


def read_settings(args: argparse.Namespace, stored: Settings | None = None) -> Settings:
    """The options over the `stored` settings of a run, a configuration file's, or the defaults."""
    from nas.common.schema import read
    from nas.search.store import Settings, load_settings
    from nas.training.recipe import Recipe

    found = stored or (load_settings(Path(args.config)) if args.config else Settings())
    plain: dict[str, Any] = dataclasses.asdict(found)
    for place, names in {
        (): ("data", "evaluations", "workers", "gpus_per_worker", "algorithm", "seed",
             "population", "deterministic", "address", "cpu_workers", "fps_model",
             "candidate_memory"),
        ("fidelity",): ("epochs", "fraction"),
        ("fitness",): ("params_limit", "fps_target", "params_weight", "fps_weight"),
    }.items():  # fmt: skip
        target = plain[place[0]] if place else plain
        target.update({n: getattr(args, n) for n in names if getattr(args, n) is not None})
    if args.surrogate:
        plain["surrogate"] = args.surrogate == "on"
    if args.time_budget is not None:
        plain["time_budget"] = seconds(args.time_budget, "--time-budget")
    named = args.evaluations is not None or _names_evaluations(args.config)
    if plain["time_budget"] and not named and (args.time_budget or stored is None):
        plain["evaluations"] = 0  # time alone decides
    if args.candidate_time is not None:
        plain["candidate_time"] = seconds(args.candidate_time, "--candidate-time")
    if plain["address"] and not plain["workers"]:
        raise UserError(
            "--workers: missing; with --address say how many: each takes a CPU (and its share of a "
            "GPU), and those without a place join when the cluster grows"
        )
    if not plain["workers"]:
        plain["workers"] = usable_cores()
    checked = read(Settings, plain, "settings")
    assert isinstance(checked, Settings)
    if checked.recipe.soft_labels or checked.recipe.train_on != "train":
        raise UserError("recipe: soft_labels and train_on are for nas.retrain; leave them out")
    if checked.recipe.epochs not in (Recipe().epochs, checked.fidelity.epochs):
        raise UserError(
            f"recipe: epochs: found {checked.recipe.epochs}; in a search fidelity.epochs decides "
            f"({checked.fidelity.epochs}); leave it out"
        )
    if checked.recipe.early_stopping or checked.recipe.schedule == "plateau":
        raise UserError(
            "recipe: early_stopping and schedule plateau look at every epoch, which a search's "
            "short trainings do not score; expected early_stopping 0 and another schedule"
        )
    return checked


def _names_evaluations(config: str | None) -> bool:
    from nas.common.files import read_yaml

    return config is not None and "evaluations" in (read_yaml(Path(config)) or {})


def seconds(text: str, where: str) -> float:
    """A time such as 90s, 30m or 2h."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        value = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise UserError(f"{where}: expected a time such as 90s, 30m or 2h, got {text!r}")
    return value
