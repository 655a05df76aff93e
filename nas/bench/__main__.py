"""Command line: `python -m nas.bench search --table PATH`, `scale`, `realtime`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.common.cli import Parser, exit_code, show
from nas.common.errors import UserError, one_of
from nas.common.files import check_writable, replace_file
from nas.common.resources import SEARCH_SPACES
from nas.common.schema import Int
from nas.report.table import table
from nas.space.space import SearchSpace

if TYPE_CHECKING:
    from nas.bench.table import Table

NAMES = ("random", "regularized-evolution", "nsga2", "nsga2+gp", "deap-nsga2", "pymoo-nsga2",
         "optuna-nsga2", "optuna-tpe")  # fmt: skip
SINGLE_NAMES = ("random", "regularized-evolution", "ga", "ga+gp")
Row = dict[str, Any]
Text = Callable[[Row], str]
Measurement = tuple[Callable[[], Row], Text]  # to be called where all else is in order


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.command == "search":
        return _search(args)
    out = Path(args.out) if args.out else None
    measure, text = (_scale if args.command == "scale" else _realtime)(args)
    if out:
        check_writable(out)  # told before the minutes of measuring
    found = measure()
    if out:
        replace_file(out, json.dumps(found, indent=1) + "\n")
    show(found, args.json, lambda: text(found))
    return 0


def _search(args: argparse.Namespace) -> int:
    names = SINGLE_NAMES if args.single else NAMES
    optimizers = args.optimizers or names
    for name in optimizers:
        if name not in names:
            raise one_of("--optimizers", name, names, "optimizer")
    from nas.bench.search import measure

    networks, rows = measure(
        Path(args.table), args.cost, optimizers, single=args.single, budgets=args.budget,
        seeds=args.seeds, out=Path(args.out) if args.out else None,
    )  # fmt: skip
    show(rows, args.json, lambda: _scores_text(rows, networks))
    return 0


def _scale(args: argparse.Namespace) -> Measurement:
    from nas.bench.scale import driver_cost, measured_seconds, throughput

    space, seconds = SEARCH_SPACES.find(args.space, "--space"), measured_seconds(Path(args.times))
    SearchSpace.load(space)  # refused here, not in the process that measures

    def measured() -> Row:
        return {
            "driver": [driver_cost(space, n) for n in args.sizes],
            "workers": [throughput(space, n, seconds) for n in args.workers],
        }

    return measured, _scale_text


def _scale_text(found: Row) -> str:
    driver = table(found["driver"], [
        ("archived", "archived", ",.0f"), ("ask_ms", "ask ms", ".1f"),
        ("tell_ms", "tell ms", ".2f"), ("append_ms", "append ms", ".1f"),
        ("front_ms", "front ms", ".2f"), ("driver_ms", "all ms", ".1f"),
        ("resume_s", "resume s", ".1f"), ("peak_gib", "GiB", ".2f"),
    ])  # fmt: skip
    workers = table(found["workers"], [
        ("workers", "workers", ",.0f"), ("evaluations", "evaluations", ",.0f"),
        ("utilisation", "utilisation", ".4f"),
        ("evaluations_per_hour", "an hour", ",.0f"), ("driver_ms", "driver ms", ".1f"),
    ])  # fmt: skip
    return f"{driver}\n{workers}"


def _realtime(args: argparse.Namespace) -> Measurement:
    network = Path(args.network)
    for name in ("model.onnx", "model.safetensors"):
        if not (network / name).is_file():
            raise UserError(
                f"--network: {network / name}: no such file; expected a retrained folder"
            )
    from nas.bench.realtime import measure

    clips = [Path(clip) for clip in args.clip]
    return partial(measure, clips, network, args.repeats), _realtime_text


def _parser() -> Parser:
    parser = Parser("nas.bench", "Measure what this project claims.")
    commands = parser.add_subparsers(dest="command", required=True)
    search = commands.add_parser("search", help="optimizers on a table of trained networks")
    add = search.add_argument
    add("--table", required=True, metavar="CSV|JSONL", help="gene:*, val_accuracy, "
        "test_accuracy, cost:*; or a run's evaluations.jsonl")  # fmt: skip
    add("--cost", metavar="NAME", help="which cost column (default: the first)")
    search.add_value("--budget", Int(1, 1_000_000), "different networks evaluated",
                     (60, 100, 300), nargs="+")  # fmt: skip
    search.add_value("--seeds", Int(1, 10_000), "runs of each", 30)
    add("--optimizers", nargs="+", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    add("--single", action="store_true", help="accuracy alone, by test_accuracy: how many networks "
        f"until the best one ({', '.join(SINGLE_NAMES)})")  # fmt: skip
    add("--out", metavar="DIR", help="write scores and curves (CSV) and a picture there")
    search.add_json("a list of objects")
    scale = commands.add_parser("scale", help="the driver's cost as archive and workers grow")
    add = scale.add_argument
    add("--space", default="fer", metavar="NAME|YAML", help="what is searched")
    scale.add_value("--sizes", Int(1, 10_000_000), "archived evaluations",
                    (1000, 10_000, 100_000), nargs="*")  # fmt: skip
    scale.add_value("--workers", Int(1, 10_000_000), "simulated workers", (2, 8, 64, 512),
                    nargs="*")  # fmt: skip
    add("--times", default="experiments/fer2013/search/evaluations.jsonl", metavar="JSONL",
        help="of the run whose evaluation times are used (default %(default)s, of the "
        "repository)")  # fmt: skip
    add("--out", metavar="JSON", help="write the figures there")
    scale.add_json("them")
    realtime = commands.add_parser("realtime", help="the demo, the plain loop and package fer")
    add = realtime.add_argument
    add("--clip", required=True, nargs="+", metavar="VIDEO",
        help="speed on the first, scaled to 640x480; quality on all")  # fmt: skip
    add("--network", default="experiments/fer2013/retrain/found", metavar="FOLDER",
        help="a retrained one, with model.onnx and model.safetensors (default %(default)s, of the "
        "repository)")  # fmt: skip
    realtime.add_value("--repeats", Int(1, 100), "rounds of each", 3)
    add("--out", metavar="FILE", help="write the result as JSON there")
    realtime.add_json()
    return parser


def _scores_text(rows: list[Row], networks: Table) -> str:
    head = (
        f"{networks.name}: {len(networks):,} networks, cost {networks.cost_name}; medians "
        "(quartiles)"
    )
    for row in rows:
        row["spread"] = f"{row['hypervolume_q1']:.3f}..{row['hypervolume_q3']:.3f}"
        first, third = (row[f"evaluations_to_best_{q}"] for q in ("q1", "q3"))
        row["to_best"] = " .. ".join("never" if n is None else f"{n:.0f}" for n in (first, third))
    figures = table(rows, [
        ("optimizer", "optimizer", ""), ("budget", "evaluations", "d"),
        ("hypervolume", "hypervolume", ".3f"), ("spread", "quartiles", ""),
        ("test_hypervolume", "on test", ".3f"), ("regret", "regret", ".2f"),
        ("evaluations_to_best", "to best", ".0f"),
        ("to_best", "quartiles", ""), ("evaluations_to_0.1", "to 0.1", ".0f"),
        ("evaluations_to_0.5", "to 0.5", ".0f"), ("front_found", "front found", ".2f"),
    ])  # fmt: skip
    return f"{head}\n{figures}"


def _realtime_text(found: Row) -> str:
    head = f"{found['clip']}, {found['frames']} frames of 640x480; encoding and display apart"
    rows = [
        {**row, "split": ", ".join(f"{k} {v:.1f}" for k, v in row["ms_per_frame"].items())}
        for row in found["rows"]
    ]
    speed = table(rows, [
        ("system", "system", ""), ("cores", "cores", "d"), ("median_fps", "median fps", ".1f"),
        ("mean_fps", "mean fps", ".1f"), ("times_plain", "x plain", ".1f"),
        ("p99_ms", "p99 ms", ".1f"), ("split", "ms a frame", ""),
    ])  # fmt: skip
    for clip in found["quality"]:
        clip["lived"] = ", ".join(map(str, clip["frames_lived"])) or "none"
    quality = table(found["quality"], [
        ("clip", "clip", ""), ("frames", "frames", "d"), ("plain_frames", "plain finds", "d"),
        ("our_frames", "ours", "d"), ("missed", "missed %", "%.1f"),
        ("missed_again", "missed, seen twice %", "%.1f"),
        ("lived", "frames our faces lived", ""), ("changes_before", "label changes/s", ".2f"),
        ("changes_after", "smoothed", ".2f"),
    ])  # fmt: skip
    return f"{head}\n{speed}\n{quality}"


if __name__ == "__main__":
    sys.exit(exit_code(main))
