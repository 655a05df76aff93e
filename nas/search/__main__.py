"""Command line: `python -m nas.search --space search_spaces/fer.yaml`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.resources import PROPOSED, REFERENCES, SEARCH_SPACES
from nas.search.settings import add_settings, read_settings

if TYPE_CHECKING:
    from nas.arch.genome import Genome
    from nas.search.archive import Evaluation
    from nas.search.driver import Outcome, Search
    from nas.search.store import Settings
    from nas.space.space import SearchSpace

# What makes the evaluations of one run comparable, and its proposals a function of them.
FIXED = ("data", "fidelity", "fps_model", "algorithm", "seed", "population", "surrogate",
         "deterministic")  # fmt: skip


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    # A shell's background jobs ignore SIGINT, and a batch system sends SIGTERM: both end a search
    # as Ctrl-C does, with a front and a best.json.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if args.dry_run:
        return _dry_run(args)
    from nas.data import open_dataset
    from nas.search.driver import run_search
    from nas.search.machine import load_machine
    from nas.search.store import RunDirectory

    settings = _settings(args)
    progress = _Bar(quiet=args.json)
    if args.resume:
        run = RunDirectory.open(Path(args.resume))
        space = _space(run.file("space.yaml"))
        initial = run.initial()
    else:
        space = _space(SEARCH_SPACES.find(args.space, "--space"))
        initial = _seeds(args.seed_genomes, space, progress)
    dataset = open_dataset(settings.data)
    machine = load_machine(Path(args.machine)) if args.machine else None
    if not args.resume:
        command = ["python", "-m", "nas.search", *argv]
        path = Path(args.run_dir) if args.run_dir else None
        run = RunDirectory.create(path, settings, SEARCH_SPACES.find(args.space), initial, command)
    with run:
        if args.resume:
            _store(run, settings)
        elif machine is not None:
            run.write("machine.json", machine.to_json())
        progress.note(f"run directory: {run.path}")
        search, outcome = run_search(run, settings, space, dataset, initial, progress)
        _write_summary(search, outcome)
    _print_outcome(args, search, outcome)
    return 130 if outcome.stopped == "interrupted" else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.search",
        description="Search a space for networks that are accurate, small and fast.",
    )
    add = parser.add_argument
    add("--space", metavar="NAME|YAML", help=f"{', '.join(SEARCH_SPACES.names())}, or a file")
    add_settings(parser)
    add("--machine", metavar="JSON", help="a run's machine.json, instead of measuring anew")
    add("--seed-genomes", nargs="+", metavar="NAME|JSON", help="first members, or none "
        "(default: the report's proposed model)")  # fmt: skip
    add("--run-dir", metavar="DIR", help="default: experiments/<date>-<space>-s<seed>")
    add("--resume", metavar="RUN", help="go on with a run")
    add("--dry-run", action="store_true", help="print the size of the space and a sample")
    add("--json", action="store_true", help="print the result as JSON")
    return parser


def _settings(args: argparse.Namespace) -> Settings:
    from nas.search.store import RunDirectory

    fixed = (args.space, args.run_dir, args.seed_genomes, args.config, args.machine)
    if args.resume and any(fixed):
        raise UserError("--resume: takes space, seed genomes and settings from the run; drop them")
    if not args.resume and not args.space:
        raise UserError("--space: missing; expected a search space such as fer")
    stored = RunDirectory.open(Path(args.resume)).settings() if args.resume else None
    settings = read_settings(args, stored)
    for name in FIXED if stored is not None else ():
        if getattr(settings, name) != getattr(stored, name):
            raise UserError(
                f"--resume: {name}: the run has {getattr(stored, name)}, and its networks "
                f"do not compare with those of {getattr(settings, name)}; start a new run"
            )
    if args.machine and settings.fps_model:
        raise UserError("--machine, --fps-model: both say how fast networks are; give one of them")
    return settings


def _space(path: Path) -> SearchSpace:
    from nas.space.space import load

    return load(path)


def _seeds(given: list[str] | None, space: SearchSpace, progress: _Bar) -> list[Genome]:
    """The genomes to start from: what lies outside the space seeds it by its nearest relative."""
    from nas.arch.genome import load
    from nas.space.projection import project

    if given == ["none"]:
        return []
    paths = [REFERENCES.find(p, "--seed-genomes") for p in given] if given else [PROPOSED]
    genomes = []
    for path in paths:
        genome, beside = load(path)
        nearest = project(genome, space)
        relative = nearest.genome if nearest else None
        if relative != genome:
            fits = _fits(genome, space)
            progress.note(
                f"{beside['name']}: outside space {space.name}; "
                + (f"its nearest relative {relative.id} is bred from" if relative else
                   "no relative of it satisfies the constraints")
                + ("; itself trained for comparison" if fits else "")
            )  # fmt: skip
            genomes += [genome] if fits else []
        genomes += [relative] if relative else []
    return genomes


def _fits(genome: Genome, space: SearchSpace) -> bool:
    """Whether the genome takes the space's images and knows its classes."""
    size = genome.input
    shape = (size.channels, size.height, size.width)
    return (shape, genome.num_classes) == (space.shape, space.classes)


def _store(run: Any, settings: Settings) -> None:
    import yaml

    run.write("config.yaml", yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False))


def _dry_run(args: argparse.Namespace) -> int:
    import numpy as np

    from nas.arch.lowering import cost, describe
    from nas.space.operators import draw

    if not args.space:
        raise UserError("--space: missing; expected a search space such as fer")
    space = _space(SEARCH_SPACES.find(args.space, "--space"))
    if args.seed is not None and args.seed < 0:
        raise UserError(f"--seed: must be 0 or more, got {args.seed}")
    rng = np.random.default_rng(args.seed or 0)
    feasible = sum(space.violation(draw(space, rng).genome) == 0 for _ in range(1000))
    genome = space.sample(rng).genome
    if args.json:
        print(json.dumps({
            "space": space.name, "genomes": space.size(), "feasible_share": feasible / 1000,
            "sample": genome.to_dict(), "cost": dataclasses.asdict(cost(genome)),
        }))  # fmt: skip
        return 0
    print(f"space {space.name}: {space.size():.3g} genomes before constraints;")
    print(f"of 1000 random ones {feasible} satisfy {space.constraints.bounds() or 'all of none'}")
    print(f"a feasible sample:\n{describe(genome)}")
    return 0


def _write_summary(search: Search, outcome: Outcome) -> None:
    done = outcome.evaluations
    summary = {
        "stopped": outcome.stopped,
        "evaluations": len(done),
        "failed": sum(e.status == "failed" for e in done),
        "epochs_trained": sum(e.fidelity.epochs for e in done),
        "loop_seconds": outcome.seconds,
        "driver_overhead": outcome.overhead,
        "training_seconds": sum(e.seconds for e in done),
    }
    search.run.write("summary.json", json.dumps(summary, indent=1))


def _print_outcome(args: argparse.Namespace, search: Search, outcome: Outcome) -> None:
    from nas.report import front_table
    from nas.search.overview import front_rows

    run, settings = search.run, search.settings
    front, chosen = list(search.front), search.best()
    rows = front_rows(front, settings.fitness, outcome.front_fps)
    if args.json:
        print(json.dumps({
            "run": str(run.path), "stopped": outcome.stopped,
            "evaluations": len(outcome.evaluations), "best": chosen.id if chosen else None,
            "front": rows,
        }))  # fmt: skip
        return
    failures = [e for e in outcome.evaluations if e.status == "failed"]
    print(
        f"{outcome.stopped}: {len(outcome.evaluations)} evaluations ({len(failures)} failed) in "
        f"{outcome.seconds:.0f} s; driver overhead {outcome.overhead:.1%}"
    )
    for failure in failures[:3]:
        print(f"failed: {failure.id}: {failure.error.splitlines()[0]}")
    if chosen is None:
        print(f"no network was evaluated; go on with: python -m nas.search --resume {run.path}")
        return
    print(front_table(rows, chosen.id))
    print(f"\nNext:\n  python -m nas.inspect {run.path}")
    print(f"  python -m nas.retrain --genome {run.file('best.json')} --data {settings.data}")
    model = run.file(f"retrain/{chosen.id}/model.onnx")
    print(f"  python -m nas.realtime --model {model} --source 0")
    if outcome.stopped != "finished":
        print(f"  python -m nas.search --resume {run.path}")


class _Bar:
    """The progress line (a nas.loop.Progress): evaluations, ETA, best so far, front size."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._bar: Any = None
        self._started = time.monotonic()

    def note(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def update(self, search: Search, evaluation: Evaluation | None) -> None:
        if self.quiet:
            return
        if self._bar is None:
            self._open(search)
        if evaluation is None:
            return
        chosen = search.best()
        shown = f"front {len(search.front)}"
        if chosen is not None:
            m = chosen.metrics
            shown = f"best {m['accuracy']:.1%} {m['params'] / 1e3:.0f}k params, {shown}"
        budget = search.settings.time_budget
        if budget:
            left = max(0.0, budget - (time.monotonic() - self._started))
            shown += f", {left / 60:.0f} min left"
        self._bar.set_postfix_str(shown, refresh=False)
        self._bar.update(1)

    def _open(self, search: Search) -> None:
        from tqdm import tqdm

        self._started = time.monotonic()
        self._bar = tqdm(
            total=search.settings.evaluations or None,
            initial=len(search.archive),
            unit="net",
            desc="search",
            dynamic_ncols=True,
            mininterval=0.2 if sys.stderr.isatty() else 15,
            smoothing=0.1,
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


if __name__ == "__main__":
    sys.exit(exit_code(main))
