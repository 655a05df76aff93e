"""Command line: `python -m nas.search --space search_spaces/fer.yaml`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas import data
from nas.arch.lowering import cost, describe
from nas.arch.plugins import add_plugin_option
from nas.common.cli import INTERRUPTED, Parser, exit_code, note, say, show
from nas.common.deadline import beginning_within
from nas.common.errors import UserError, first_line
from nas.common.resources import SEARCH_SPACES
from nas.common.web import PORT
from nas.report.front import front_table, majority_line, plain_row
from nas.search.evaluate import chosen_function
from nas.search.settings import Settings, add_settings, check_addressed, settings_of
from nas.search.store import RunDirectory
from nas.space.operators import draw
from nas.space.space import SearchSpace

if TYPE_CHECKING:
    from nas.search.elapsed import Outcome
    from nas.search.results import Run

STARTED = time.monotonic()
Row = dict[str, Any]


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.dry_run:
        return _dry_run(args)
    settings = _settings(args)
    with beginning_within(settings.time_budget, STARTED, "the program was loaded"):
        from nas.search import callbacks, overview, run

        watchers = callbacks.watchers(args.mlflow, args.serve)
    found = run.search(
        args.space, settings=settings, evaluator=settings.evaluator if args.evaluator else None,
        seed_genomes=_seeds(args), machine=args.machine, run_dir=args.run_dir, resume=args.resume,
        callbacks=watchers, progress=not args.json,
        command=["python", "-m", "nas.search", *argv], started=STARTED,
    )  # fmt: skip
    outcome = found.outcome
    assert outcome is not None
    rows, axes = overview.front_rows(found.directory, found.archive)
    show(_plain(found, outcome, rows), args.json, lambda: _text(found, outcome, rows, axes))
    if outcome.stopped == "interrupted":
        return INTERRUPTED
    if any(e.status != "failed" for e in found.archive):
        return 0
    if args.json:  # else the text has said it
        note(f"no front: {found.archive.why_no_front()}")
    return 1


def _parser() -> Parser:
    parser = Parser(
        "nas.search", "Search a space for networks that are accurate, small and fast. Exit code 1: "
        "no network was measured.",
    )  # fmt: skip
    add = parser.add_argument
    add("--space", metavar="NAME|YAML", help=f"{', '.join(SEARCH_SPACES.names())}, or a file")
    add_settings(parser)
    add("--machine", metavar="JSON", help="a run's machine.json, instead of measuring anew")
    add("--seed-genomes", nargs="+", metavar="NAME|JSON", help="first members, or none "
        "(default: the report's proposed model)")  # fmt: skip
    add("--run-dir", metavar="DIR", help="default: experiments/<date>-<space>-s<seed>")
    add("--resume", metavar="RUN", help="go on with a run")
    parser.add_port("--serve", PORT, "show the run's page on loopback, live")
    add("--mlflow", metavar="URI", help="record it in MLflow, such as sqlite:///mlflow.db")
    add("--dry-run", action="store_true", help="print the size of the space and a sample")
    parser.add_json()
    add_plugin_option(parser)
    return parser


def _settings(args: argparse.Namespace) -> Settings:
    fixed = (args.space, args.run_dir, args.seed_genomes, args.config, args.machine)
    if args.resume and any(fixed):
        raise UserError("--resume: takes space, seed genomes and settings from the run; drop them")
    if not args.resume and not args.space:
        raise UserError("--space: missing; expected a search space such as fer")
    stored = RunDirectory.open(Path(args.resume)).settings() if args.resume else None
    settings = settings_of(args, stored)
    check_addressed(settings, args.address is not None)
    if args.machine and settings.fps_model:
        raise UserError("--machine, fps_model: both say how fast networks are; give one of them")
    return settings


def _seeds(args: argparse.Namespace) -> list[str] | None:
    return [] if args.seed_genomes == ["none"] else args.seed_genomes


def _dry_run(args: argparse.Namespace) -> int:
    """The space as the search would have it, and the files that it would read; without torch."""
    if args.resume:
        raise UserError("--resume: not with --dry-run, which is of a new search")
    from nas.search import profile, seeds

    settings = _settings(args)
    given = SearchSpace.load(SEARCH_SPACES.find(args.space, "--space"))
    if settings.evaluator is not None:
        chosen_function(settings.evaluator, args.evaluator)
    form = None if settings.evaluator is not None else data.form_of(settings.data)
    space = settings.space(given, form)
    profile.given_profile(settings, args.machine and Path(args.machine))
    seeds.first_genomes(_seeds(args), space)
    rng = np.random.default_rng(settings.seed)
    feasible = sum(space.violation(draw(space, rng).genome) == 0 for _ in range(1000))
    genome = space.sample(rng).genome
    if args.json:
        say(json.dumps({
            "space": space.name, "genomes": space.size(), "feasible_share": feasible / 1000,
            "sample": genome.to_dict(), "cost": dataclasses.asdict(cost(genome)),
        }))  # fmt: skip
        return 0
    say(f"space {space.name}: {space.size():.3g} genomes before constraints;")
    say(f"of 1000 random ones {feasible} satisfy {space.constraints.bounds() or 'all of none'}")
    say(f"a feasible sample:\n{describe(genome)}")
    return 0


def _plain(run: Run, outcome: Outcome, rows: Sequence[Row]) -> Row:
    """The result as JSON has it."""
    chosen = run.settings.choose(run.results)
    return {
        "run": str(run.path), "stopped": outcome.stopped, "evaluations": len(run.archive),
        "best": chosen.measured.id if chosen else None,
        "front": [plain_row(row) for row in rows],
    }  # fmt: skip


def _text(run: Run, outcome: Outcome, rows: Sequence[Row], axes: Sequence[Row]) -> str:
    failures = [e for e in run.archive if e.status == "failed"]
    chosen = run.settings.choose(run.results)
    # What of the time was this process's, where an earlier one began the search.
    now = f" ({outcome.seconds:.0f} s of it now)" if outcome.before.seconds else ""
    lines = [
        f"{outcome.stopped}: {len(run.archive)} evaluations ({len(failures)} failed) in "
        f"{outcome.total.seconds:.0f} s, set-up included{now}; driver overhead "
        f"{outcome.overhead:.1%}"
    ]
    lines += [f"failed: {e.id}: {first_line(e.error)}" for e in failures[:3]]
    again = f"  python -m nas.search --resume {run.path}"
    if run.settings.evaluator is not None:
        again += f" --evaluator {shlex.quote(run.settings.evaluator)}"
    if chosen is None:
        if outcome.stopped == "finished":
            again += f" --evaluations {2 * len(run.archive)}"
        why = run.archive.why_no_front()
        return "\n".join([*lines, f"no front and no best.json: {why}; go on with:", again])
    lines.append(front_table(rows, chosen.measured.id, axes))
    lines += majority_line(run.directory.majority_baseline())
    lines.append(f"\nNext:\n  python -m nas.inspect {run.path}")
    if run.settings.evaluator is None:  # else the command knows no data to retrain on
        best, name = run.directory.file("best.json"), shlex.quote(run.settings.data)
        lines.append(f"  python -m nas.retrain --genome {best} --data {name}")
    return "\n".join(lines if outcome.stopped == "finished" else [*lines, again])


if __name__ == "__main__":
    sys.exit(exit_code(main))
