"""Command line: `python -m nas.explain --model FOLDER --data NAME --out DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from nas.common.cli import exit_code
from nas.common.errors import UserError

METHODS = ("gradient", "gradcam")
MAX_PER_CLASS = 50


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if not 1 <= args.per_class <= MAX_PER_CLASS:
        raise UserError(f"--per-class: must be in [1, {MAX_PER_CLASS}], got {args.per_class}")
    from nas.data import check_name, open_dataset
    from nas.deploy.checkpoint import open_trained
    from nas.deploy.retrain import check_fit

    path = Path(args.model)
    found = open_trained(path / "model.safetensors" if path.is_dir() else path)
    dataset = open_dataset(args.data or check_name(found.training_data))
    check_fit(found.genome, dataset)
    if dataset.classes != found.classes:
        raise UserError(f"{path}: has other classes than data set {dataset.name}")
    from nas.deploy.explain import explain

    try:
        Path(args.out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{args.out}: cannot create: {error.strerror}") from None
    summary = explain(found, dataset, args.split, args.method, args.per_class, Path(args.out))
    if args.json:
        print(json.dumps(summary))
        return 0
    _print(summary)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.explain",
        description="Show which pixels a network's answers rest on, class by class.",
    )
    add = parser.add_argument
    add("--model", required=True, metavar="FOLDER|FILE", help="a retrained folder or its weights")
    add("--data", metavar="NAME|NPZ", help="default: what it was trained on")
    add("--split", choices=("train", "validation"), default="validation", help="of its images")
    add("--method", choices=METHODS, default="gradient", help="default gradient (SmoothGrad)")
    add("--per-class", type=int, default=8, metavar="N", help="right and wrong answers (default 8)")
    add("--out", required=True, metavar="DIR", help="pictures and explain.json")
    add("--json", action="store_true", help="print JSON")
    return parser


def _print(summary: dict[str, Any]) -> None:
    from nas.report import table

    print(table(summary["classes"], [
        ("class", "class", ""), ("right", "right shown", "d"), ("wrong", "wrong shown", "d"),
        ("picture", "picture", ""),
    ]))  # fmt: skip
    if summary["deletion"]["images"]:
        salient, by_chance = summary["deletion"]["salient"], summary["deletion"]["random"]
        print(
            f"\nblurring the {summary['deletion']['share']:.0%} most salient pixels of the right "
            f"answers lowers their probability by {100 * salient:.1f} points, random ones by "
            f"{100 * by_chance:.1f}"
        )
    print(f"overview: {summary['overview']}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
