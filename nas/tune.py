"""Command line: `python -m nas.tune --genome best.json`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.resources import RECIPES, REFERENCES

GRIDS = ("optimizers", "schedules")


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.arch.genome import load
    from nas.data import open_dataset
    from nas.retrain import MAX_SEED
    from nas.search.settings import seconds
    from nas.training.recipe import load as load_recipe

    if not 1 <= args.trials <= 100_000:
        raise UserError(f"--trials: must be in [1, 100000], got {args.trials}")
    if not 1 <= args.epochs <= 10_000:
        raise UserError(f"--epochs: must be in [1, 10000], got {args.epochs}")
    if not 0 <= args.seed <= MAX_SEED:
        raise UserError(f"--seed: must be in [0, {MAX_SEED}], got {args.seed}")
    genome, _ = load(REFERENCES.find(args.genome, "--genome"))
    default = "khaireddin" if args.grid else "modern"
    base = load_recipe(RECIPES.find(args.recipe or default, "--recipe"))
    budget = seconds(args.time_budget, "--time-budget") if args.time_budget else None
    dataset = open_dataset(args.data)
    from nas.deploy.retrain import check_fit, torch_device
    from nas.training.tuning import StudyConfig, rows, tune

    check_fit(genome, dataset)
    device = str(torch_device(args.device))
    goal = StudyConfig(genome, dataset, base, args.epochs, args.grid, args.seed, device)
    out = Path(args.out or f"experiments/tune-{genome.id}{'-' + args.grid if args.grid else ''}")
    try:
        study = tune(
            goal, out, args.trials, seconds=budget,
            note=lambda text: print(text, file=sys.stderr, flush=True),
        )  # fmt: skip
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on. Results so far: {out}", file=sys.stderr)
        return 130
    found = rows(study, goal)
    if args.json:
        print(json.dumps({"study": str(out / "study.db"), "trials": found}))
        return 0
    _print(found, bool(args.grid))
    print(f"\nstudy: {out / 'study.db'} (optuna-dashboard sqlite:///{out / 'study.db'})")
    print(f"Next:\n  python -m nas.retrain --genome {args.genome} --recipe {out}/best_recipe.yaml")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.tune",
        description="Tune the training recipe of one network; the same command goes on.",
    )
    add = parser.add_argument
    add(
        "--genome",
        required=True,
        metavar="NAME|JSON",
        help="such as a run's best.json, or a reference genome",
    )
    add("--data", metavar="NAME|NPZ", help="a prepared data set (default: synthetic faces)")
    add(
        "--recipe",
        metavar="NAME|YAML",
        help="what to start from (default: modern, khaireddin for grids)",
    )
    add("--trials", type=int, default=30, metavar="N", help="in all (default 30)")
    add("--time-budget", metavar="TIME", help="stop after 90s, 30m or 2h")
    add("--epochs", type=int, default=10, metavar="N", help="of each trial (default 10)")
    add("--grid", choices=GRIDS, help="run one of the report's two grids as it stands instead")
    add("--seed", type=int, default=0, metavar="N", help="of sampler and trainings (default 0)")
    add("--device", default="auto", help="auto, cpu, cuda, ...")
    add("--out", metavar="DIR", help="default: experiments/tune-<genome id>")
    add("--json", action="store_true", help="print the trials as JSON")
    return parser


def _print(found: list[dict[str, Any]], grid: bool) -> None:
    from nas.report import table

    for row in found:
        row["percent"] = None if row["accuracy"] is None else 100 * row["accuracy"]
    settings = [
        ("optimizer", "optimizer", ""), ("schedule", "schedule", ""), ("lr", "lr", ".2g"),
        ("weight_decay", "decay", ".1g"), ("batch_size", "batch", "d"),
        ("augmentation", "augment x", ".2f"), ("label_smoothing", "smoothing", ".2f"),
    ]  # fmt: skip
    print(table(found, [
        ("trial", "trial", "d"),
        *([("setting", "setting", "")] if grid else settings),
        ("percent", "accuracy %", ".2f"), ("best_epoch", "best epoch", "d"),
        ("seconds", "s", ".0f"), ("state", "state", ""),
    ]))  # fmt: skip


if __name__ == "__main__":
    sys.exit(exit_code(main))
