"""Command line: `python -m nas.inspect RUN`: the front as a table, a picture and a page."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.arch.genome import read_genome
from nas.arch.lowering import cost, describe
from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, say, show
from nas.common.errors import UserError, one_of
from nas.common.resources import REFERENCES
from nas.common.schema import read
from nas.common.web import PORT, serve
from nas.evolution.objectives import Constraint
from nas.report.front import front_of, front_table, majority_line, plain_row
from nas.report.table import csv_text, table
from nas.search.archive import Archive
from nas.search.store import RunDirectory

Row = dict[str, Any]
SHOWN = 8  # ids in a message

OPTIONS = (
    "baseline", "max", "paper", "serve", "csv", "optuna", "genome", "references", "out", "json",
)  # fmt: skip
# What may be asked for, and the options that go with it.
ASKED = {
    "--references": ("json",), "several runs": ("out", "json"), "a genome": ("json",),
    "--genome": ("json",), "--csv": (), "--optuna": (), "--max": ("json",),
    "--serve": ("baseline",), "one run": ("baseline", "paper", "json"),
}  # fmt: skip


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    asked = _asked(args)
    _refuse_others(args, asked)
    if asked == "--references":
        return _references(args)
    if asked == "a genome":
        return _describe_file(REFERENCES.find(args.run[0]), args.json)
    runs = [RunDirectory.open(Path(run)) for run in args.run]
    run = runs[0]
    if asked == "--genome":
        return _genome(run, args)
    if asked == "--optuna":
        return _optuna(run)
    from nas.search import overview, pages

    if asked == "several runs":
        # Beside the run as it was named: experiments/latest is a link into experiments/.
        page = Path(args.out) if args.out else Path(args.run[0]).parent / "compare.html"
        found = pages.write_comparison(runs, page)
        show(found, args.json, lambda: _comparison_text(found))
        return 0
    baseline = RunDirectory.open(Path(args.baseline)) if args.baseline else None
    if asked == "--serve":
        serve(pages.page_server(run, args.serve, baseline))
        return 0
    if asked == "one run":
        return _front(pages.write_report(run, baseline, args.paper), args.json)
    archive = run.archive(run.space().contains)
    if asked == "--csv":
        return _csv(overview.evaluation_rows(run, archive))
    limits = _limits(args.max, archive)
    return _within(run, limits, overview.front_within(run, archive, limits), args.json)


def _asked(args: argparse.Namespace) -> str:
    if args.references:
        return "--references"
    if not args.run:
        raise UserError("RUN: missing; expected a run directory such as experiments/latest")
    if len(args.run) > 1:
        return "several runs"
    path = Path(args.run[0])
    if path.is_file() or args.run[0] in REFERENCES.names() or (path / "genome.json").is_file():
        return "a genome"
    given = (name for name in ASKED if name.startswith("--") and _given(args, name[2:]))
    return next(given, "one run")


def _given(args: argparse.Namespace, name: str) -> bool:
    value = getattr(args, name)  # a port may be 0
    return value is not None and value is not False


def _refuse_others(args: argparse.Namespace, asked: str) -> None:
    """UserError for an option that would be ignored."""
    taken = ASKED[asked]
    for name in OPTIONS:
        if _given(args, name) and f"--{name}" != asked and name not in taken:
            with_it = ", ".join(f"--{one}" for one in taken) or "nothing else"
            raise UserError(f"--{name}: not with {asked}, which takes {with_it}")


def _parser() -> Parser:
    parser = Parser("nas.inspect", "A run's front, page and figures; runs compared; genomes.")
    add = parser.add_argument
    add("run", nargs="*", metavar="RUN|GENOME", help="a run, of which several are compared; or a "
        "genome by name, file or retrained folder")  # fmt: skip
    add("--baseline", metavar="RUN", help="an equal-budget random search to measure against")
    add("--max", action="append", metavar="METRIC=N", help="the best network with at most so much, "
        "such as params=100000, and the front of such; may be given several times")  # fmt: skip
    add("--paper", action="store_true",
        help="also write RUN/paper: PDF and SVG figures, a LaTeX table of the front")  # fmt: skip
    parser.add_port("--serve", PORT, "the page on loopback, live while the run grows")
    add("--csv", action="store_true", help="print every evaluation as a row of a CSV table")
    add("--optuna", action="store_true", help="write RUN/optuna.log, for optuna-dashboard")
    add("--genome", metavar="ID", help="draw one genome of the run as text")
    add("--references", action="store_true", help="list the reference genomes")
    add("--out", metavar="HTML",
        help="the page of a comparison (default: compare.html beside the first run)")  # fmt: skip
    parser.add_json()
    add_plugin_option(parser)
    return parser


def _genome(run: RunDirectory, args: argparse.Namespace) -> int:
    archive = run.archive()
    found = {e.id: e.genome for e in archive if args.genome and e.id.startswith(args.genome)}
    if not found:
        raise UserError(f"{run.path}: no genome with id {args.genome!r} among {len(archive)}")
    if len(found) > 1:
        named = ", ".join(sorted(found)[:SHOWN])
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise UserError(f"--genome {args.genome}: begins the ids {named}{more}; expected one")
    (genome,) = found.values()
    say(genome.to_json() if args.json else describe(genome))
    return 0


def _limits(texts: Sequence[str], archive: Archive) -> list[Constraint]:
    known = list(dict.fromkeys(name for e in archive for name in e.metrics))
    limits = []
    for name, _, number in (text.partition("=") for text in texts):
        if name not in known:
            raise one_of("--max", name, known, "metric")
        try:
            plain = {"name": name, "at_most": float(number)}
        except ValueError:
            raise UserError(
                f"--max {name}: found {number!r}; expected {name}=N, a number"
            ) from None
        limits.append(read(Constraint, plain, f"--max {name}"))
    return limits


def _within(
    run: RunDirectory, limits: Sequence[Constraint], found: tuple[str, list[Row], list[Row]],
    as_json: bool,
) -> int:  # fmt: skip
    name, rows, axes = found
    result = {"run": str(run.path), "best": name, "front": [plain_row(row) for row in rows]}
    text = (
        f"{front_table(rows, name, axes)}\n\n* is the best with {' and '.join(map(str, limits))}; "
        f"its genome:\n  python -m nas.inspect {shlex.quote(str(run.path))} --genome {name} --json "
        f"> {name}.json"
    )
    show(result, as_json, lambda: text)
    return 0


def _csv(rows: Sequence[Row]) -> int:
    flat = [
        {**row, "genome": json.dumps(row["genome"].to_dict(), separators=(",", ":"))}
        for row in rows
    ]
    say(csv_text(list(rows[0]) if rows else ["index"], flat).rstrip("\n"))
    return 0


def _optuna(run: RunDirectory) -> int:
    from nas.search.study import FILE, Study

    path, evaluations = run.file(FILE), run.archive().evaluations
    Study(path, run.space(), run.settings().objectives, evaluations)
    say(f"{len(evaluations)} trials; look at them with: optuna-dashboard {path}")
    return 0


def _front(found: Row, as_json: bool) -> int:
    axes = [found["measure"], *found["axes"]]
    front = front_of(found["networks"], axes)
    result = {
        "run": found["run"], "evaluations": len(found["networks"]), "best": found["best"],
        "majority_baseline": found["majority_baseline"],
        "front": [plain_row(row) for row in front],
        "picture": found["picture"], "page": found["page"],
    }  # fmt: skip
    lines = [
        front_table(front, found["best"], axes), *majority_line(found["majority_baseline"]), "",
        f"{result['evaluations']} evaluations; * is best.json",
        f"page: {found['page']}", f"picture: {found['picture']}",
    ]  # fmt: skip
    show(result, as_json, lambda: "\n".join(lines))
    return 0


def _comparison_text(found: Row) -> str:
    rows = [{**row, "minutes": row["seconds"] / 60} for row in found["runs"]]
    runs = table(rows, [
        ("run", "run", ""), ("group", "way to search", ""), ("seed", "seed", ""),
        ("evaluations", "networks", ",d"), ("minutes", "minutes", ".1f"),
        ("hypervolume", "hypervolume %", "%.2f"),
        ("at_evaluations", "at equal evaluations", "%.2f"),
        ("at_seconds", "at equal time", "%.2f"),
    ])  # fmt: skip
    tests = [
        f"{test['one']} against {test['other']} ({test['seeds']} seeds): the first is better in "
        f"{test['better']:.0%} of the pairs, p = {test['p']:.2g} (Mann-Whitney)"
        for test in found["tests"]
    ]
    settings = [
        f"{row['setting']}: " + " | ".join(str(value) for value in row["values"])
        for row in found["settings"]
    ]
    return "\n".join([runs, "", *tests, *settings, f"page: {found['page']}"])


def _describe_file(path: Path, as_json: bool) -> int:
    genome, beside = read_genome(path)
    found = {**beside, "id": genome.id, "cost": dataclasses.asdict(cost(genome))}
    notes = [f"{key}: {beside[key]}" for key in ("name", "notes", "published") if key in beside]
    show(found, as_json, lambda: "\n".join([describe(genome), *notes]))
    return 0


def _references(args: argparse.Namespace) -> int:
    if args.run:
        raise UserError(f"RUN: not with --references, found {args.run[0]}")
    rows: list[Row] = []
    for name in REFERENCES.names():
        genome, beside = read_genome(REFERENCES.path(name))
        total, published = cost(genome), beside.get("published", {})
        rows.append({
            "name": name, "id": genome.id, "params": total.params, "macs": total.macs,
            "published": published.get("fer2013_private"), "notes": beside.get("notes", ""),
        })  # fmt: skip
    columns = [("name", "name", ""), ("id", "id", ""), ("params", "params", ",.0f"),
               ("mmacs", "MMACs", ",.1f"), ("published", "published %", ".2f")]  # fmt: skip
    shown = [{**row, "mmacs": row["macs"] / 1e6} for row in rows]
    notes = [f"\n{row['name']}: {row['notes']}" for row in rows]  # too long for a column
    show(rows, args.json, lambda: "\n".join([table(shown, columns), *notes]))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
