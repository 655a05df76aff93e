"""Command line: `python -m nas.evaluate --model FOLDER [--model FOLDER ...] --data NAME`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, note, say, show
from nas.common.errors import quoted
from nas.common.files import check_writable, replace_file
from nas.report.table import percents, table
from nas.training.recipe import VIEWS

EVALUATION = "evaluation.json"


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.data import open_dataset
    from nas.deploy.evaluate import evaluate, open_model, training_data

    models = [open_model(given) for given in args.model]
    dataset = open_dataset(args.data or training_data(models))
    if args.split == "test":
        note("the test split: whoever chooses a model by these figures has none left to report")
    if args.out:
        check_writable(Path(args.out) / EVALUATION)
    found = evaluate(models, dataset, args.split, args.views)
    if args.out:
        _write(Path(args.out), found)
    show(found, args.json, lambda: _text(found))
    if args.out and not args.json:
        say(f"written: {args.out}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "nas.evaluate", "Score trained networks, alone and as an ensemble, on a prepared data set."
    )
    add = parser.add_argument
    add(
        "--model",
        required=True,
        action="append",
        metavar="NAME|FOLDER|FILE",
        help="a retrained folder, model.safetensors, model.onnx, or the name of a shipped one; "
        "several make an ensemble",
    )
    add("--data", metavar="NAME|FOLDER", help="images (default: those of their training)")
    add(
        "--split",
        choices=("train", "validation", "test"),
        default="validation",
        help="FER2013: validation is PublicTest, test is PrivateTest (default validation)",
    )
    add("--views", choices=VIEWS, default="single", help="of each image, averaged (default single)")
    add("--out", metavar="DIR", help="write evaluation.json and confusion matrices there")
    parser.add_json()
    add_plugin_option(parser)
    return parser


def _text(found: dict[str, Any]) -> str:
    rows = [
        {
            **result,
            "interval": percents(result["accuracy_interval"]),
            "mmacs": None if result["macs"] is None else result["macs"] / 1e6,
        }
        for result in found["results"]
    ]
    lines = [f"{found['data']} {found['split']}, views: {found['views']}"]
    if found["classes_dropped"]:
        lines.append(
            f"not shared, left out: {quoted(found['classes_dropped'])} "
            f"({found['images_dropped']} images)"
        )
    lines.append(table(rows, [
        ("model", "model", ""), ("subset", "images", ""), ("n", "n", ",.0f"),
        ("accuracy", "accuracy %", "%.2f"), ("interval", "95 % interval", ""),
        ("macro_f1", "macro F1 %", "%.2f"), ("weighted_f1", "weighted F1 %", "%.2f"),
        ("calibration_error", "calibration error %", "%.1f"), ("params", "params", ",.0f"),
        ("mmacs", "MMACs", ".1f"),
    ]))  # fmt: skip
    return "\n".join(lines)


def _write(out: Path, found: dict[str, Any]) -> None:
    from nas.report.plots import confusion_figure, write_figure

    replace_file(out / EVALUATION, json.dumps(found, indent=1))
    for i, result in enumerate(r for r in found["results"] if r["subset"] == "all"):
        title = f"{result['model']}, {found['data']} {found['split']}: {result['accuracy']:.2%}"
        figure = confusion_figure(result["confusion"], tuple(found["classes"]), title[-90:])
        write_figure(out / f"confusion_{i}.png", figure)


if __name__ == "__main__":
    sys.exit(exit_code(main))
