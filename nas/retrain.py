"""Command line: `python -m nas.retrain --genome best.json`, or `--front RUN`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.arch.genome import Genome
from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, note, resumable, show
from nas.common.errors import UserError
from nas.common.files import EXPERIMENTS
from nas.common.lazy import callable_module, lazy_function
from nas.common.options import add_set, with_key
from nas.common.resources import RECIPES, REFERENCES, WEIGHTS, find_model
from nas.common.schema import Int
from nas.report.card import run_line, several_views
from nas.report.table import percents, table
from nas.search.store import RunDirectory, default_out, run_of, shared_data
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.search.final import Final

callable_module(__name__, "nas.search.retrain:retrain")
log_retraining = lazy_function("nas.deploy.tensorboard:log_retraining")


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.front is not None or len(args.genome) > 1:
        return _several(args)
    return _one(args, ["python", "-m", "nas.retrain", *argv])


def _one(args: argparse.Namespace, command: list[str]) -> int:
    from nas.search.retrain import retrain

    if args.top is not None or args.workers > 1:
        raise UserError("--top, --workers: of several networks; expected --front, or more --genome")
    path = REFERENCES.find(args.genome[0], "--genome")
    out = Path(args.out) if args.out else default_out(path, Genome.load(path).id)
    with resumable(f" from {out}"):
        report = retrain(
            path, args.data, _recipe(args), out,
            seeds=range(args.seed, args.seed + args.seeds), device=args.device,
            initial=args.initial and find_model(args.initial, "--initial", WEIGHTS),
            teachers=[find_model(given, "--teacher", WEIGHTS) for given in args.teacher],
            command=command,
        )  # fmt: skip
    if find_spec("tensorboard"):
        note(f"for TensorBoard: {log_retraining(out, report)}")
    show(report, args.json, lambda: _text(report, out))
    return 0


def _recipe(args: argparse.Namespace) -> Recipe:
    recipe = Recipe.load(args.recipe)
    for text in args.keys:
        recipe = with_key(recipe, text)
    return recipe if args.epochs is None else dataclasses.replace(recipe, epochs=args.epochs)


def _several(args: argparse.Namespace) -> int:
    """A process for each network, by this same command."""
    from nas.search.final import Training, front_genomes, retrain_all, search_accuracies

    if args.top is not None and args.front is None:
        raise UserError("--top: of a front; expected --front RUN with it")
    if args.initial:
        raise UserError("--initial: of one genome; expected a single --genome with it")
    training = Training(  # a mistake is told once, before anything is trained
        _recipe(args),
        range(args.seed, args.seed + args.seeds),
        [find_model(given, "--teacher", WEIGHTS) for given in args.teacher],
    )
    run = None if args.front is None else RunDirectory.open(Path(args.front))
    if run:
        genomes = front_genomes(run, args.top)
        if not genomes:
            raise UserError(f"{run.path}: no network on its front yet")
        data = args.data or run.trained_on()
    else:
        paths = [REFERENCES.find(given, "--genome") for given in args.genome]
        genomes = list({g.id: g for g in map(Genome.load, paths)}.values())
        data = args.data or shared_data(paths)
        runs = {path.parent: run_of(path) for path in paths}
        run = next(iter(runs.values())) if len(runs) == 1 else None
    out = Path(args.out or (run.file("retrain") if run else EXPERIMENTS / "retrain"))
    with resumable(f" from {out}"):
        found = retrain_all(
            genomes, data, out, training, _options(args), workers=args.workers,
            searched=search_accuracies(run) if run else None,
        )  # fmt: skip
    show(dataclasses.asdict(found), args.json, lambda: _front_text(found, out))
    for name in found.failed:
        note(f"{name}: FAILED, see {out / name / 'retrain.log'}; the same command tries it again")
    return 1 if found.failed else 0


def _options(args: argparse.Namespace) -> list[str]:
    """What each network's own command is given."""
    found: list[str] = []
    for name in ("recipe", "epochs", "seed", "seeds", "device", "teacher", "plugin"):
        given = getattr(args, name)
        for each in given if isinstance(given, list) else [given]:
            found += [] if each is None else [f"--{name}", str(each)]
    for text in args.keys:
        found += ["--set", text]
    return found


def _front_text(found: Final, out: Path) -> str:
    def percent(row: dict[str, Any], figure: str) -> str | None:
        mean, *ends = (row[f"{figure}_{part}"] for part in ("mean", "low", "high"))
        if mean is None:
            return None
        return f"{100 * mean:.2f}" + ("" if ends[0] is None else f" ({percents(ends)})")

    figures = ("validation", "test", "test_flip")
    rows = [{**row, **{figure: percent(row, figure) for figure in figures}} for row in found.rows]
    lines = [
        table(rows, [
            ("id", "id", ""), ("params", "params", ",.0f"), ("fps", "fps", ",.0f"),
            ("seeds", "seeds", ".0f"), ("search_accuracy", "search %", "%.2f"),
            ("validation", "validation %", ""), ("test", "test %", ""),
            ("test_flip", "test, mirrored %", ""),
        ]),
        "(low..high): 95 % interval of the mean over seeds",
    ]  # fmt: skip
    ranks = {split: value for split, value in found.ranks.items() if value is not None}
    if ranks:
        said = ", ".join(f"{split} {value:.2f}" for split, value in ranks.items())
        lines.append(f"Spearman's rank correlation of search accuracy with final accuracy: {said}")
    else:
        lines.append("rank correlation of search with final accuracy: for four networks or more")
    return "\n".join([*lines, f"table: {out / 'front.csv'}\npicture: {out / 'front.png'}"])


def _parser() -> Parser:
    parser = Parser("nas.retrain", "Train a genome fully, report on the test split, export ONNX.")
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--genome", action="append", default=[], metavar="NAME|FOLDER|JSON",
                       help="a run (its best.json), a genome file or a reference; of several each "
                       "is trained")  # fmt: skip
    which.add_argument("--front", metavar="RUN", help="each network on this run's front")
    parser.add_value("--top", Int(1, 10_000), "of the front, the N of highest believed accuracy")
    parser.add_value("--workers", Int(1, 256), "of several, N at once, on one core each", 1)
    add("--data", metavar="NAME|FOLDER", help="default: that of the genome's run, else synthetic")
    add("--recipe", default="modern", metavar="NAME|YAML",
        help=f"{', '.join(RECIPES.names())}, or a file (default modern)")  # fmt: skip
    parser.add_value("--epochs", Int(1, 10_000), "instead of the recipe's")
    parser.add_seed()
    parser.add_value("--seeds", Int(1, 100), "train N times; report mean and spread", 1)
    add_set(parser, "any setting of the recipe, such as lr=0.01 augment.flip=0")
    add("--initial", metavar="FOLDER|FILE", help="fine-tune this trained network of the genome")
    add("--teacher", action="append", default=[], metavar="FOLDER|FILE",
        help="a trained network to distil from; may be given several times")  # fmt: skip
    parser.add_device()
    add("--out", metavar="DIR", help="default: retrain/<id> in the genome's run, else "
        "experiments/retrain-<id>; of several, the folder of their folders")  # fmt: skip
    parser.add_json("the report")
    add_plugin_option(parser)
    return parser


def _text(report: dict[str, Any], out: Path) -> str:
    several = {f"{split}, {views['views']}": views for split, views in several_views(report)}
    figures = {"validation": report["validation"], "test": report["test"], **several}
    rows = [
        {**found, "split": split, "interval": percents(found["accuracy_interval"])}
        for split, found in figures.items()
    ]
    lines = [
        table(rows, [
            ("split", "split", ""), ("n", "images", ",.0f"), ("accuracy", "accuracy %", "%.2f"),
            ("interval", "95 % interval", ""), ("macro_f1", "macro F1 %", "%.2f"),
            ("weighted_f1", "weighted F1 %", "%.2f"),
        ])
    ]  # fmt: skip
    nothing = {"precision": None, "recall": None, "f1": None}  # of a class without images
    classes = [
        {"class": name, **found, **({} if found["support"] else nothing)}
        for name, found in report["test"]["per_class"].items()
    ]
    if report["recipe"]["train_on"] == "train+validation":
        lines.append("the validation images were trained on: their figures say nothing of new ones")
    lines += [
        "\ntest, per class:",
        table(classes, [
            ("class", "class", ""), ("precision", "precision %", "%.1f"),
            ("recall", "recall %", "%.1f"), ("f1", "F1 %", "%.1f"), ("support", "images", ",.0f"),
        ]),
    ]  # fmt: skip
    if len(report["seeds"]["list"]) > 1:
        seeds = report["seeds"]
        lines.append(
            f"\nseeds {', '.join(map(str, seeds['list']))}, of which {seeds['shipped']} ships; "
            f"test: {_spread(seeds['test'])}"
        )
    for split, views in report["views_and_copies"].items():
        for name, found in views.items():
            fresh = found["without_copies"]
            if fresh and fresh["n"] < found["all"]["n"]:
                lines.append(
                    f"{split}, {name} views: {found['all']['accuracy']:.2%}; "
                    f"{fresh['accuracy']:.2%} without exact copies of training images"
                )
    parity = report["onnx_parity"]
    lines += [
        f"\n{report['cost']['params']:,} parameters, {report['fps']:.0f} fps (batch 1, one "
        f"thread); ONNX differs from torch by at most {parity['max_difference']:.1g}",
        f"everything is in {out}\nNext:",
        f"  {run_line(out / 'model.onnx', report['test']['per_class'])}",
        f"  python -m nas.export --model {out / 'model.safetensors'}  # int8; the faster is taken",
    ]
    return "\n".join(lines)


def _spread(figures: dict[str, dict[str, float]]) -> str:
    """Mean and sample standard deviation, in percent."""
    return ", ".join(
        f"{name.replace('_', ' ')} {100 * found['mean']:.2f} +- {100 * found['std']:.2f} %"
        for name, found in figures.items()
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
