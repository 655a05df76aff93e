"""Command line: `python -m nas.realtime --source 0|URL|video|picture|folder`."""

from __future__ import annotations

import sys

from nas.common.cli import INTERRUPTED, Parser, exit_code, show
from nas.common.errors import UserError
from nas.common.options import add_options, given_options, with_options
from nas.common.resources import ONNX, find_model
from nas.common.web import serve
from nas.realtime.options import Options
from nas.realtime.summary import as_text

BROKEN = 1  # exit code: a part of the source could not be read


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    options = with_options(Options(), args)
    from nas.realtime import session, web

    if args.web is not None:
        for name in sorted(given_options(Options, args) - {"model"}):
            raise UserError(f"--{name.replace('_', '-')}: not with --web, which takes --model")
        serve(web.server(find_model(options.model, "--model", ONNX), args.web))
        return 0
    summary, model = session.label_source(options)
    found = summary.to_dict()
    show(found, options.json, lambda: as_text(found, model, options.outputs))
    if summary.interrupted:
        return INTERRUPTED
    return BROKEN if summary.problems else 0


def _parser() -> Parser:
    parser = Parser(
        "nas.realtime",
        "Label the expressions of faces, on the CPU. In the window, s saves a snapshot and q "
        "quits. Exit code 1: a part of the source could not be read.",
    )
    parser.add_port("--web", 8000, "a page that does it in the browser, on this machine only")
    add_options(parser, Options)
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
