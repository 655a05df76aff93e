"""Command line: `python -m nas.teach --models FOLDER ...`: soft labels that students train on."""

from __future__ import annotations

import sys
from typing import Any

from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, show
from nas.common.schema import Int
from nas.training.recipe import Recipe


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.deploy.teach import teach_from

    report = teach_from(
        args.models, args.data, args.out, variants=args.variants,
        augment=Recipe.load(args.recipe).augment, seed=args.seed, part=args.part,
        device=args.device,
    )  # fmt: skip
    show(report, args.json, lambda: _text(report))
    return 0


def _text(report: dict[str, Any]) -> str:
    out = report["file"]
    return (
        f"{report['images']:,} images, {report['variants']} variants of each; the teachers agree "
        f"with {report['agreement']:.1%} of the labels\n"
        f"written: {out}; a recipe uses it with teacher: {out} and distill: 0.8"
    )


def _parser() -> Parser:
    parser = Parser(
        "nas.teach",
        "Store what trained networks say of augmented training images, as soft labels.",
    )
    add = parser.add_argument
    add("--models", required=True, nargs="+", metavar="FOLDER|FILE",
        help="networks of nas.retrain")  # fmt: skip
    add("--data", required=True, metavar="NAME|FOLDER", help="its training images are labelled")
    parser.add_value("--variants", Int(1, 256), "augmented copies of each image", 24)
    add("--recipe", default="modern", metavar="NAME|YAML",
        help="whose augmentation the students will see (default modern)")  # fmt: skip
    add("--part", choices=("train", "fit"), default="train",
        help="fit: what a search trains on, by teachers of train_on fit")  # fmt: skip
    parser.add_seed("of the copies")
    parser.add_device()
    add("--out", metavar="FILE", help="default: data/<name>.teacher.safetensors")
    parser.add_json()
    add_plugin_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
