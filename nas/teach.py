"""Command line: `python -m nas.teach --models FOLDER ...`: soft labels that students train on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nas.common.cli import SEED, Parser, exit_code, note, show, value
from nas.common.schema import Int


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.data import open_dataset
    from nas.deploy.teach import teach_from
    from nas.training.recipe import Recipe

    dataset = open_dataset(args.data)
    out = Path(args.out) if args.out else Path("data") / f"{dataset.name}.teacher.safetensors"
    recipe = Recipe.load(args.recipe)
    report = teach_from(
        [Path(folder) / "model.safetensors" for folder in args.models], dataset, out,
        variants=args.variants, augment=recipe.augment, seed=args.seed, part=args.part,
        device=args.device,
        on_variant=lambda done: note(f"variant {done + 1} of {args.variants}"),
    )  # fmt: skip
    show(report, args.json, lambda: _text(report, out))
    return 0


def _text(report: dict[str, Any], out: Path) -> str:
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
    add("--models", required=True, nargs="+", metavar="FOLDER", help="folders of nas.retrain")
    add("--data", required=True, metavar="NAME|FOLDER", help="its training images are labelled")
    add("--variants", type=value(Int(1, 256)), default=24, metavar="N",
        help="augmented copies of each image (default 24)")  # fmt: skip
    add("--recipe", default="modern", metavar="NAME|YAML",
        help="whose augmentation the students will see (default modern)")  # fmt: skip
    add("--part", choices=("train", "fit"), default="train",
        help="fit: what a search trains on, by teachers of train_on fit")  # fmt: skip
    add("--seed", type=value(SEED), default=0, metavar="N", help="of the copies (default 0)")
    add("--device", default="auto", help="auto, cpu, cuda, ...")
    add("--out", metavar="FILE", help="default: data/<name>.teacher.safetensors")
    add("--json", action="store_true", help="print the result as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
