"""Command line: `python -m nas.retrain --genome best.json`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.resources import RECIPES, REFERENCES

MAX_SEED = 2**31 - 1


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.arch.genome import load
    from nas.data import open_dataset
    from nas.training.recipe import load as load_recipe

    path = REFERENCES.find(args.genome, "--genome")
    genome, _ = load(path)
    recipe = load_recipe(RECIPES.find(args.recipe, "--recipe"))
    if args.epochs is not None:
        if not 1 <= args.epochs <= 10_000:
            raise UserError(f"--epochs: must be in [1, 10000], got {args.epochs}")
        recipe = dataclasses.replace(recipe, epochs=args.epochs)
    if not 1 <= args.seeds <= 100:
        raise UserError(f"--seeds: must be in [1, 100], got {args.seeds}")
    if not 0 <= args.seed <= MAX_SEED:
        raise UserError(f"--seed: must be in [0, {MAX_SEED}], got {args.seed}")
    dataset = open_dataset(args.data or _data_of_run(path))
    out = Path(args.out) if args.out else _default_out(path, genome.id)
    from nas.deploy.retrain import retrain

    print(f"retraining {genome.id} on {dataset.name}, into {out}", file=sys.stderr)
    try:
        report = retrain(
            genome, dataset, recipe, out,
            seeds=list(range(args.seed, args.seed + args.seeds)), device=args.device,
            initial=Path(args.initial) if args.initial else None,
            teachers=[Path(folder) / "model.safetensors" for folder in args.teacher],
            command=["python", "-m", "nas.retrain", *argv],
            note=lambda text: print(text, file=sys.stderr, flush=True),
        )  # fmt: skip
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {out}", file=sys.stderr)
        return 130
    if args.json:
        print(json.dumps(report))
        return 0
    _print(report, out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.retrain",
        description="Train a genome fully, report on the test split once, export ONNX.",
    )
    add = parser.add_argument
    add(
        "--genome",
        required=True,
        metavar="NAME|JSON",
        help="such as a run's best.json, or a reference genome",
    )
    add("--data", metavar="NAME|NPZ", help="default: that of the genome's run, else synthetic")
    add("--recipe", default="modern", metavar="NAME|YAML",
        help=f"{', '.join(RECIPES.names())}, or a file (default modern)")  # fmt: skip
    add("--epochs", type=int, metavar="N", help="instead of the recipe's")
    add("--seed", type=int, default=0, metavar="N", help="the first seed (default 0)")
    add("--seeds", type=int, default=1, metavar="N", help="train N times; report mean and spread")
    add("--initial", metavar="WEIGHTS", help="fine-tune this model.safetensors of the genome")
    add(
        "--teacher",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a retrained network's folder to distil from; may be given several times",
    )
    add("--device", default="auto", help="auto, cpu, cuda, ...")
    add(
        "--out",
        metavar="DIR",
        help="default: retrain/<id> in the genome's run, else experiments/retrain-<id>",
    )
    add("--json", action="store_true", help="print the report as JSON")
    return parser


def _data_of_run(genome_file: Path) -> str | None:
    from nas.search.store import RunDirectory

    folder = genome_file.parent
    return RunDirectory(folder).settings().data if _is_run(folder) else None


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").exists()


def _default_out(genome_file: Path, genome_id: str) -> Path:
    if _is_run(genome_file.parent):
        return genome_file.parent / "retrain" / genome_id
    return Path("experiments") / f"retrain-{genome_id}"


def _print(report: dict[str, Any], out: Path) -> None:
    from nas.report import table

    rows = []
    views = report.get("test_with_views")
    several = {f"test, {views['views']}": {"n": report["test"]["n"], **views}} if views else {}
    for split, found in {"validation": report["validation"], "test": report["test"],
                         **several}.items():  # fmt: skip
        low, high = found["accuracy_interval"]
        rows.append({
            "split": split, "n": found["n"], "accuracy": 100 * found["accuracy"],
            "interval": f"{100 * low:.1f}..{100 * high:.1f}",
            "macro": 100 * found["macro_f1"], "weighted": 100 * found["weighted_f1"],
        })  # fmt: skip
    print(table(rows, [
        ("split", "split", ""), ("n", "images", ",.0f"), ("accuracy", "accuracy %", ".2f"),
        ("interval", "95 % interval", ""), ("macro", "macro F1 %", ".2f"),
        ("weighted", "weighted F1 %", ".2f"),
    ]))  # fmt: skip
    classes = [
        {"class": name, **{k: 100 * v[k] for k in ("precision", "recall", "f1")},
         "support": v["support"]}
        for name, v in report["test"]["per_class"].items()
    ]  # fmt: skip
    if report["recipe"]["train_on"] != "train":
        print("the validation images were trained on: their figures say nothing of new faces")
    print("\ntest, per class:")
    print(table(classes, [
        ("class", "class", ""), ("precision", "precision %", ".1f"), ("recall", "recall %", ".1f"),
        ("f1", "F1 %", ".1f"), ("support", "images", ",.0f"),
    ]))  # fmt: skip
    if len(report["seeds"]["list"]) > 1:
        print(f"\nover seeds {report['seeds']['list']}: {json.dumps(report['seeds']['test'])}")
    parity = report["onnx_parity"]
    print(
        f"\n{report['cost']['params']:,} parameters, {report['fps']:.0f} fps (batch 1, one "
        f"thread); ONNX differs from torch by at most {parity['max_difference']:.1g}"
    )
    print(f"everything is in {out}\nNext:")
    print(f"  python -m nas.realtime --model {out / 'model.onnx'} --source 0")


if __name__ == "__main__":
    sys.exit(exit_code(main))
