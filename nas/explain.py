"""Command line: `python -m nas.explain --model FOLDER --data NAME --out DIR`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, show
from nas.common.schema import Int
from nas.data.dataset import ALL, SPLITS
from nas.report.table import table

METHODS = ("gradient", "gradcam")


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.deploy.explain import explain

    summary = explain(
        args.model, args.data, args.split, args.method, args.per_class, Path(args.out)
    )
    show(summary, args.json, lambda: _text(summary))
    return 0


def _parser() -> Parser:
    parser = Parser("nas.explain", "Show which pixels a network's answers rest on, class by class.")
    add = parser.add_argument
    add("--model", required=True, metavar="FOLDER|FILE", help="a retrained folder or its weights")
    add("--data", metavar="NAME|FOLDER", help="default: what it was trained on")
    add(
        "--split",
        choices=(*SPLITS, ALL),
        default="validation",
        help="of its images; all: of pictures that no network was trained on (default validation)",
    )
    add("--method", choices=METHODS, default="gradient", help="default gradient (SmoothGrad)")
    parser.add_value("--per-class", Int(1, 50), "right and wrong answers", 8)
    add("--out", required=True, metavar="DIR", help="pictures and explain.json")
    parser.add_json()
    add_plugin_option(parser)
    return parser


def _text(summary: dict[str, Any]) -> str:
    taken = f"{summary['images']:,} of {summary['data_images']:,} images"
    lines = [f"{summary['data']} {summary['split']}: {taken}", table(summary["classes"], [
        ("class", "class", ""), ("right", "right shown", "d"), ("wrong", "wrong shown", "d"),
        ("picture", "picture", ""),
    ])]  # fmt: skip
    check = summary["deletion"]
    if check["images"]:
        lines.append(
            f"\nblurring the {check['share']:.0%} most salient pixels of the right answers lowers "
            f"their probability by {100 * check['salient']:.1f} points, random ones by "
            f"{100 * check['random']:.1f}"
        )
    return "\n".join([*lines, f"overview: {summary['overview']}"])


if __name__ == "__main__":
    sys.exit(exit_code(main))
