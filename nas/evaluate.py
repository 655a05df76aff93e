"""Command line: `python -m nas.evaluate --model FOLDER [--model FOLDER ...] --data NAME`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, say, show
from nas.common.errors import quoted
from nas.data.dataset import ALL, SPLITS
from nas.report.table import percents, table
from nas.training.recipe import VIEWS


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.deploy.evaluate import score

    out = Path(args.out) if args.out else None
    found = score(args.model, args.data, args.split, args.views, out)
    show(found, args.json, lambda: _text(found))
    if out and not args.json:
        say(f"written: {out}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "nas.evaluate", "Score trained networks, alone and as an ensemble, on a prepared data set."
    )
    add = parser.add_argument
    add("--model", required=True, action="append", metavar="NAME|FOLDER|FILE",
        help="a retrained folder, model.safetensors, model.onnx, or the name of a shipped one; "
        "several make an ensemble")  # fmt: skip
    add("--data", metavar="NAME|FOLDER", help="images (default: those of their training)")
    add("--split", choices=(*SPLITS, ALL), default="validation",
        help="of the images; all: of pictures that no network was trained on. FER2013: validation "
        "is PublicTest, test is PrivateTest (default validation)")  # fmt: skip
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
    taken = f"{rows[0]['n']:,} of {found['data_images']:,} images"
    lines = [f"{found['data']} {found['split']}: {taken}, views: {found['views']}"]
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


if __name__ == "__main__":
    sys.exit(exit_code(main))
