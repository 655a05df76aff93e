"""Command line: `python -m nas.bench search --table PATH`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from nas.errors import UserError, exit_code, one_of

NAMES = ("random", "ageing", "steady", "deap", "pymoo", "optuna-nsga2", "optuna-tpe")


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    for name in args.optimisers:
        if name not in NAMES:
            raise one_of("--optimisers", name, NAMES, "optimiser")
    if not 1 <= args.seeds <= 10_000:
        raise UserError(f"--seeds: must be in [1, 10000], got {args.seeds}")
    if not all(1 <= b <= 1_000_000 for b in args.budget):
        raise UserError(f"--budget: must be in [1, 1000000], got {args.budget}")
    from nas.bench.baselines import OPTIMISERS
    from nas.bench.search import compare, summary
    from nas.bench.table import Table

    table = Table.load(Path(args.table), args.cost)
    chosen = {name: OPTIMISERS[name] for name in args.optimisers}
    scores, curves = compare(
        table, chosen, sorted(args.budget), args.seeds,
        lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    rows = summary(scores)
    if args.out:
        _write(Path(args.out), table.name, scores, curves)
    if args.json:
        print(json.dumps(rows))
        return 0
    _print(rows, table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.bench", description="Measure what this project claims."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    search = commands.add_parser("search", help="optimisers on a table of trained networks")
    add = search.add_argument
    add("--table", required=True, metavar="CSV", help="gene:*, val_accuracy, test_accuracy, cost:*")
    add("--cost", metavar="NAME", help="which cost column (default: the first)")
    add(
        "--budget",
        type=int,
        nargs="+",
        default=[100, 300, 1000],
        metavar="N",
        help="different networks evaluated (default 100 300 1000)",
    )
    add("--seeds", type=int, default=30, metavar="N", help="runs of each (default 30)")
    add(
        "--optimisers",
        nargs="+",
        default=list(NAMES),
        metavar="NAME",
        help=f"of {', '.join(NAMES)} (default: all)",
    )
    add("--out", metavar="DIR", help="write scores and curves (CSV) and a picture there")
    add("--json", action="store_true", help="print a list of objects")
    return parser  # fmt: skip


def _print(rows: list[dict[str, Any]], table: Any) -> None:
    from nas.report import table as text

    print(f"{table.name}: {len(table):,} networks, cost {table.cost_name}; medians (quartiles)")
    for row in rows:
        row["spread"] = f"{row['hypervolume_q1']:.3f}..{row['hypervolume_q3']:.3f}"
    print(text(rows, [
        ("optimiser", "optimiser", ""), ("budget", "evaluations", "d"),
        ("hypervolume", "hypervolume", ".3f"), ("spread", "quartiles", ""),
        ("test_hypervolume", "on test", ".3f"), ("regret", "regret", ".2f"),
        ("evaluations_to_best", "to best", ".0f"), ("evaluations_to_0.1", "to 0.1", ".0f"),
        ("evaluations_to_0.5", "to 0.5", ".0f"), ("front_found", "front found", ".2f"),
    ]))  # fmt: skip


def _write(out: Path, name: str, scores: Any, curves: Any) -> None:
    from nas.report import hypervolume_png

    try:
        out.mkdir(parents=True, exist_ok=True)
        scores.to_csv(out / f"{name}_scores.csv", index=False, float_format="%.6g")
        medians = curves.groupby(["optimiser", "evaluations"], sort=False)["hypervolume"]
        quartiles = medians.quantile([0.25, 0.5, 0.75]).unstack().reset_index()
        quartiles.columns = ["optimiser", "evaluations", "q1", "median", "q3"]
        quartiles.to_csv(out / f"{name}_curves.csv", index=False, float_format="%.5f")
    except OSError as error:
        raise UserError(f"{out}: cannot write: {error.strerror}") from None
    lines = {
        str(optimiser): group[["evaluations", "q1", "median", "q3"]].to_numpy().tolist()
        for optimiser, group in quartiles.groupby("optimiser", sort=False)
    }
    hypervolume_png(out / f"{name}.png", lines, name)


if __name__ == "__main__":
    sys.exit(exit_code(main))
