"""Command line: `python -m nas.ablate --genome best.json --against proposed`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, note, resumable, show
from nas.common.errors import first_line, most_often
from nas.common.lazy import callable_module
from nas.common.schema import Float, Int
from nas.report.ablation import ablation_table

callable_module(__name__, "nas.search.ablation:ablate")


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.search.ablation import ablate

    with resumable():
        found = ablate(
            args.genome, args.against, space=args.space, data=args.data, evaluator=args.evaluator,
            epochs=args.epochs, fraction=args.fraction,
            seeds=range(args.seed, args.seed + args.seeds), workers=args.workers, out=args.out,
            command=["python", "-m", "nas.ablate", *argv],
        )  # fmt: skip
    show(found, args.json, lambda: _text(found))
    if any(row["value"] for row in found["rows"]):
        return 0
    note(f"every training failed, {most_often([f['error'] for f in found['failures']])}; all are "
         f"in {Path(found['picture']).with_name('evaluations.jsonl')}")  # fmt: skip
    return 1


def _text(found: dict[str, Any]) -> str:
    failed = [f"failed: {f['id']}, seed {f['seed']}: {first_line(f['error'])}"
              for f in found["failures"]]  # fmt: skip
    return "\n".join([ablation_table(found), *failed, "", f"picture: {found['picture']}"])


def _parser() -> Parser:
    parser = Parser(
        "nas.ablate", "Set each gene of a network back to another's value, and see what it gains."
    )
    add = parser.add_argument
    as_run = "as in the genome's run"
    add("--genome", required=True, metavar="NAME|FOLDER|JSON",
        help="a run (its best.json), a genome file or a reference genome")  # fmt: skip
    add("--against", default="proposed", metavar="NAME|FOLDER|JSON",
        help="the other network, or its relative in the space (default proposed)")  # fmt: skip
    add("--space", metavar="NAME|YAML", help="default: that of the genome's run")
    add("--data", metavar="NAME|PATH", help=f"to train on (default: {as_run})")
    add("--evaluator", metavar="MODULE:FUNCTION",
        help="a function that measures genomes; the run's own is given again")  # fmt: skip
    parser.add_value("--epochs", Int(1, 10_000), f"of each training (default: {as_run})")
    parser.add_value("--fraction", Float(0.001, 1.0),
                     f"of the training part (default: {as_run})")  # fmt: skip
    parser.add_value("--seeds", Int(1, 100), "trainings of each network", 3)
    parser.add_seed()
    parser.add_value("--workers", Int(1, 10_000), "that train (default: one a usable core; one "
                     "with an evaluator)")  # fmt: skip
    add("--out", metavar="DIR", help="default: ablation-<id> beside the genome; it goes on there")
    parser.add_json()
    add_plugin_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
