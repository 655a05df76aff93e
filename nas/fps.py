"""Command line: `python -m nas.fps --space fer --out FILE`, on the machine that is the target.

A search elsewhere takes the file as `--fps-model`; `--run RUN` measures a finished front here.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, show
from nas.common.errors import UserError
from nas.common.resources import SEARCH_SPACES
from nas.common.schema import Int
from nas.search.store import RunDirectory
from nas.space.space import SearchSpace


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if bool(args.run) == bool(args.space and args.out):
        raise UserError("expected either --space NAME --out FILE, or --run RUN")
    from nas.search.machine import measure_run, write_fps_model

    if args.run:
        measured = measure_run(RunDirectory.open(Path(args.run)))
        show(measured, args.json, lambda: f"{len(measured)} networks measured; show them with: "
             f"python -m nas.inspect {args.run}")  # fmt: skip
        return 0
    space = SearchSpace.load(SEARCH_SPACES.find(args.space, "--space"))
    plain = write_fps_model(Path(args.out), space, args.genomes)
    show(plain, args.json, lambda: f"written: {args.out}; use it with: python -m nas.search "
         f"--fps-model {args.out}")  # fmt: skip
    return 0


def _parser() -> Parser:
    parser = Parser(
        "nas.fps",
        "Frames per second of this machine: fit the model that a search elsewhere predicts them "
        "by, or measure the front of a run.",
    )
    add = parser.add_argument
    add("--space", metavar="NAME|YAML", help="the space that will be searched")
    add("--out", metavar="FILE", help="where the model goes (JSON), for --fps-model")
    parser.add_value("--genomes", Int(10, 1000), "networks to time", 40)
    add("--run", metavar="RUN", help="measure this run's front; nas.inspect shows it")
    parser.add_json()
    add_plugin_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
