"""Command line: `python -m nas.plan --space fer --hours 1`."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from typing import TYPE_CHECKING

from nas import data
from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, show
from nas.common.resources import SEARCH_SPACES
from nas.common.schema import Float, Int
from nas.search.settings import Settings, add_settings, check_addressed, settings_of
from nas.space.space import SearchSpace

if TYPE_CHECKING:
    from nas.search.planning import Plan


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    settings = settings_of(args)
    check_addressed(settings, args.address is not None)
    if settings.time_budget and not args.hours:
        args.hours = settings.time_budget / 3600
    if args.hours and args.evaluations is None:
        settings = dataclasses.replace(settings, evaluations=None)  # as many as the hours hold
    from nas.search import planning, profile

    profile.given_profile(settings)
    space = SearchSpace.load(SEARCH_SPACES.find(args.space, "--space"))
    dataset = data.open_dataset(settings.data)
    space = settings.space(space, dataset.form)
    timing = planning.measure(space, settings, dataset, args.genomes)
    found = planning.plan(space, settings, len(data.search_split(dataset)[0]), timing, args.hours)
    show(dataclasses.asdict(found), args.json, lambda: _text(found, settings, args.space))
    return 0


def _parser() -> Parser:
    parser = Parser("nas.plan", "Say what a search costs here, before anything is spent.")
    parser.add_argument("--space", metavar="NAME|YAML", required=True, help="the search space")
    parser.add_value("--hours", Float(0, 10_000), "suggest a setting for so long", 0.0)
    parser.add_value("--genomes", Int(4, 1000), "random networks to time", 10)
    parser.add_json()
    add_settings(parser)
    add_plugin_option(parser)
    return parser


def _text(found: Plan, settings: Settings, space: str) -> str:
    timing, workers = found.timing, settings.workers
    lines = [
        f"{found.seconds:8.1f} s    an evaluation",
        f"{found.evaluations_an_hour:8.0f}      evaluations an hour, workers: {workers}",
        f"{found.eta / 60:8.1f} min  for {found.evaluations} evaluations, {timing.setup:.0f} s "
        f"of it before the first",
        f"{found.memory / 2**30:8.1f} GiB  of memory: driver and workers",
        f"From {timing.networks} random networks, each timed twice; the fit is off by "
        f"{timing.speed.error:.0%} (median).",
    ]
    if found.options:
        lines += ["", "  epochs  fraction  evaluations in the time"]
        lines += [
            f"{'*' if o.suggested else ' '} {o.epochs:6}  {o.fraction:8g}  {o.evaluations:11,}"
            for o in found.options
        ]
        o = next(o for o in found.options if o.suggested)
        lines.append(
            f"* python -m nas.search --space {shlex.quote(space)} "
            f"--data {shlex.quote(settings.data)} --workers {workers} "
            f"--epochs {o.epochs} --fraction {o.fraction:g} --evaluations {o.evaluations}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_code(main))
