"""Command line: `python -m nas.evaluate --model FOLDER [--model FOLDER ...] --data NAME`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.training.recipe import VIEWS


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.data import open_dataset
    from nas.deploy.evaluate import evaluate, open_model

    models = [open_model(Path(path)) for path in args.model]
    dataset = open_dataset(args.data)
    if args.split == "test":
        print(
            "the test split: whoever chooses a model by these figures has none left to report",
            file=sys.stderr,
        )
    found = evaluate(models, dataset, args.split, args.views)
    if args.out:
        _write(Path(args.out), found)
    if args.json:
        print(json.dumps(found))
        return 0
    _print(found)
    if args.out:
        print(f"written: {args.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.evaluate",
        description="Score trained networks, alone and as an ensemble, on a prepared data set.",
    )
    add = parser.add_argument
    add(
        "--model",
        required=True,
        action="append",
        metavar="FOLDER|FILE",
        help="a retrained folder, model.safetensors or model.onnx; several make an ensemble",
    )
    add("--data", metavar="NAME|NPZ", help="a prepared data set (default: synthetic faces)")
    add(
        "--split",
        choices=("train", "validation", "test"),
        default="validation",
        help="FER2013: validation is PublicTest, test is PrivateTest (default validation)",
    )
    add("--views", choices=VIEWS, default="single", help="of each image, averaged (default single)")
    add("--out", metavar="DIR", help="write evaluation.json and confusion matrices there")
    add("--json", action="store_true", help="print JSON")
    return parser  # fmt: skip


def _print(found: dict[str, Any]) -> None:
    from nas.report import table

    rows = []
    for result in found["results"]:
        low, high = result["accuracy_interval"]
        macs = result["macs"]
        rows.append({
            **result, "percent": 100 * result["accuracy"],
            "interval": f"{100 * low:.1f}..{100 * high:.1f}",
            "macro": 100 * result["macro_f1"], "weighted": 100 * result["weighted_f1"],
            "ece": 100 * result["calibration_error"], "mmacs": None if macs is None else macs / 1e6,
        })  # fmt: skip
    print(f"{found['data']} {found['split']}, views: {found['views']}")
    if found["classes_dropped"]:
        print(
            f"not shared, left out: {', '.join(found['classes_dropped'])} "
            f"({found['images_dropped']} images)"
        )
    print(table(rows, [
        ("model", "model", ""), ("subset", "images", ""), ("n", "n", ",.0f"),
        ("percent", "accuracy %", ".2f"), ("interval", "95 % interval", ""),
        ("macro", "macro F1 %", ".2f"), ("weighted", "weighted F1 %", ".2f"),
        ("ece", "calibration error %", ".1f"), ("params", "params", ",.0f"),
        ("mmacs", "MMACs", ".1f"),
    ]))  # fmt: skip


def _write(out: Path, found: dict[str, Any]) -> None:
    from nas.report import confusion_png

    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "evaluation.json").write_text(json.dumps(found, indent=1))
    except OSError as error:
        raise UserError(f"{out}: cannot write: {error.strerror}") from None
    for i, result in enumerate(r for r in found["results"] if r["subset"] == "all"):
        title = f"{result['model']}, {found['data']} {found['split']}: {result['accuracy']:.2%}"
        name = out / f"confusion_{i}.png"
        confusion_png(name, result["confusion"], tuple(found["classes"]), title[-90:])


if __name__ == "__main__":
    sys.exit(exit_code(main))
