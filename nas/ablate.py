"""Command line: `python -m nas.ablate --genome best.json --against proposed`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from nas.common.cli import INTERRUPTED, Parser, exit_code, note, show
from nas.common.errors import UserError
from nas.common.resources import REFERENCES, SEARCH_SPACES
from nas.common.schema import Float, Int


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.arch.genome import Genome, read_genome
    from nas.data import open_dataset
    from nas.report import ablation_picture, ablation_table
    from nas.search.ablation import ablate, plan
    from nas.search.settings import Settings, checked
    from nas.search.store import run_of
    from nas.space.space import SearchSpace
    from nas.training.task import Fidelity

    path = REFERENCES.find(args.genome, "--genome")
    network = Genome.load(path)
    other, beside = read_genome(REFERENCES.find(args.against, "--against"))
    run = run_of(path)
    if args.space:
        space = SEARCH_SPACES.find(args.space, "--space")
    elif run:
        space = run.file("space.yaml")
    else:
        raise UserError(f"--space: missing, since {path} lies in no run")
    settings = run.settings() if run else Settings()
    if settings.evaluator and not args.data:
        raise UserError("--data: missing; the run of this genome has an evaluator of its own")
    fidelity = Fidelity(
        args.epochs or settings.fidelity.epochs, args.fraction or settings.fidelity.fraction
    )
    settings = checked(dataclasses.replace(
        settings, data=args.data or settings.data, fidelity=fidelity, evaluations=1,
        time_budget=None, workers=args.workers, evaluator=None, address=None,
        objectives=Settings().objectives, constraints=(), fitness=Settings().fitness,
    ))  # fmt: skip
    dataset = open_dataset(settings.data)
    found_space = SearchSpace.load(space).for_data(len(dataset.classes), *dataset.shape)
    chosen = plan(network, other, found_space, range(args.seed, args.seed + args.seeds))
    out = Path(args.out) if args.out else path.parent / f"ablation-{network.id}"
    note(
        f"{len(chosen.genomes)} networks, {args.seeds} seeds, {fidelity.epochs} epochs of "
        f"{fidelity.fraction:.0%} of the images each, into {out}"
    )
    try:
        found = ablate(out, chosen, found_space, dataset, settings,
                       ["python", "-m", "nas.ablate", *argv])  # fmt: skip
    except KeyboardInterrupt:
        note(f"interrupted; the same command goes on from {out}")
        return INTERRUPTED
    picture = out / "ablation.png"
    name = beside.get("name", args.against)
    ablation_picture(picture, found, f"{network.id}, each gene set back to that of {name}")
    show(found, args.json, lambda: f"{ablation_table(found)}\n\npicture: {picture}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "nas.ablate", "Set each gene of a network back to another's value, and see what it gains."
    )
    add = parser.add_argument
    add("--genome", required=True, metavar="NAME|JSON", help="such as a run's best.json")
    add("--against", default="proposed", metavar="NAME|JSON",
        help="the other network, or its relative in the space (default proposed)")  # fmt: skip
    add("--space", metavar="NAME|YAML", help="default: that of the genome's run")
    add("--data", metavar="NAME|NPZ", help="default: that of the genome's run")
    as_run = "(default: as in the genome's run)"
    parser.add_value("--epochs", Int(1, 10_000), f"of each training {as_run}")
    parser.add_value("--fraction", Float(0.001, 1.0), f"of the training part {as_run}")
    parser.add_value("--seeds", Int(1, 100), "trainings of each network", 3)
    parser.add_seed()
    parser.add_value("--workers", Int(1, 10_000), "that train (default: one a usable core)")
    add("--out", metavar="DIR", help="default: ablation-<id> beside the genome; it goes on there")
    parser.add_json()
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
