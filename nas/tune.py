"""Command line: `python -m nas.tune --genome best.json`."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from nas import data
from nas.arch.genome import find_genome
from nas.arch.plugins import add_plugin_option
from nas.common.cli import TIME, Parser, exit_code, note, resumable, show
from nas.common.errors import most_often
from nas.common.files import EXPERIMENTS
from nas.common.schema import Int
from nas.report.table import table
from nas.search.store import data_of
from nas.training.recipe import Recipe

GRIDS = ("optimizers", "schedules")
STARTED = time.monotonic()


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.training.tuning import StudyConfig, rows, tune

    genome, path = find_genome(args.genome, "--genome")
    default = "khaireddin" if args.grid else "modern"
    base = Recipe.load(args.recipe or default)
    given = args.data or data_of(path)
    dataset = data.open_dataset(given)
    data.check_fit(genome, dataset)
    goal = StudyConfig(genome, dataset, base, args.epochs, args.grid, args.seed, args.device)
    named = f"tune-{genome.id}{'-' + args.grid if args.grid else ''}"
    out = Path(args.out or EXPERIMENTS / named)
    left = None if args.time_budget is None else args.time_budget + STARTED - time.monotonic()
    with resumable(f". Results so far: {out}"):
        study = tune(goal, out, args.trials, seconds=left)
    found = rows(study, goal)
    retrain = ["--genome", args.genome, "--recipe", f"{out}/best_recipe.yaml"]
    retrain += ["--data", given] if given else []
    retrain += ["--out", str(_free(out / "retrain"))]
    follows = f"Next:\n  python -m nas.retrain {shlex.join(retrain)}"
    study_file, failed = out / "study.db", [row["error"] for row in found if row["error"]]
    complete = (out / "best_recipe.yaml").exists()
    if not complete:
        why = f": {most_often(failed)}; all are in {out / 'trials.csv'}" if failed else ""
        follows = f"no trial is complete{why}; the same command goes on"
    text = (
        f"{_table(found, bool(args.grid))}\n\n"
        f"study: {study_file} (optuna-dashboard sqlite:///{study_file})\n{follows}"
    )
    show({"study": str(study_file), "trials": found}, args.json, lambda: text)
    if not complete and args.json:  # else the text has said it
        note(follows)
    return 0 if complete else 1


def _free(folder: Path) -> Path:
    """A folder that no earlier retraining has taken."""
    names = [folder, *(folder.with_name(f"{folder.name}{n}") for n in range(2, 1000))]
    return next(name for name in names if not name.exists())


def _parser() -> Parser:
    parser = Parser(
        "nas.tune", "Tune the training recipe of one network; the same command goes on."
    )
    add = parser.add_argument
    add("--genome", required=True, metavar="NAME|FOLDER|JSON",
        help="a run (its best.json), a genome file or a reference genome")  # fmt: skip
    add("--data", metavar="NAME|FOLDER", help="default: that of the genome's run, else synthetic")
    add("--recipe", metavar="NAME|YAML",
        help="what to start from (default: modern, khaireddin for grids)")  # fmt: skip
    parser.add_value("--trials", Int(1, 100_000), "in all", 30)
    parser.add_value("--time-budget", TIME, "90s, 30m or 2h, set-up included")
    parser.add_value("--epochs", Int(1, 10_000), "of each trial", 10)
    add("--grid", choices=GRIDS, help="run one of the report's two grids as it stands instead")
    parser.add_seed("of sampler and trainings")
    parser.add_device()
    add("--out", metavar="DIR", help="default: experiments/tune-<genome id>")
    parser.add_json("the trials")
    add_plugin_option(parser)
    return parser


def _table(found: list[dict[str, Any]], grid: bool) -> str:
    settings = [
        ("optimizer", "optimizer", ""), ("schedule", "schedule", ""), ("lr", "lr", ".2g"),
        ("weight_decay", "decay", ".1g"), ("batch_size", "batch", "d"),
        ("augmentation", "augment x", ".2f"), ("label_smoothing", "smoothing", ".2f"),
    ]  # fmt: skip
    return table(found, [
        ("trial", "trial", "d"), *([("setting", "setting", "")] if grid else settings),
        ("accuracy", "accuracy %", "%.2f"), ("best_epoch", "best epoch", "d"),
        ("seconds", "s", ".0f"), ("state", "state", ""),
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(exit_code(main))
