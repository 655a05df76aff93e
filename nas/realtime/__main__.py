"""Command line: `python -m nas.realtime --source 0|URL|video|picture|folder`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from nas.common.cli import INTERRUPTED, Parser, exit_code, say, show
from nas.common.errors import UserError
from nas.common.options import add_options, with_options
from nas.common.resources import ONNX, find_model
from nas.common.web import serve
from nas.realtime.options import Options

log = logging.getLogger("nas.realtime")

BROKEN = 1  # exit code: a part of the source could not be read


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    options = with_options(Options(), args)
    if args.web is not None:
        from nas.realtime.web import server

        serve(server(find_model(options.model, "--model", ONNX), args.web), say)
        return 0
    from nas.realtime.cautions import cautions
    from nas.realtime.detector import make_detector
    from nas.realtime.frames import transformed
    from nas.realtime.pipeline import run
    from nas.realtime.recognizer import Recognizer
    from nas.realtime.sinks import open_sinks
    from nas.realtime.sources import open_source
    from nas.realtime.summary import as_text
    from nas.realtime.window import Window

    window = None if options.headless else Window(Path(options.snapshots))
    recognizer = Recognizer(
        find_model(options.model, "--model", ONNX), margin=options.margin,
        detector=make_detector(options.detector, options.detector_model),
        smallest=options.min_face, threshold=options.threshold, precision=options.precision,
    )  # fmt: skip
    for line in cautions(recognizer.preprocessing, drawn=bool(window or options.out)):
        log.warning("%s", line)
    source = open_source(options.source)
    outputs = [path for path in (options.out, options.csv, options.jsonl) if path]
    if source.fps and options.headless and not (outputs or options.json):
        raise UserError(
            "--headless: nothing would be left; expected --out, --csv, --jsonl or --json too"
        )
    source = transformed(source, options.mirror, options.flip, options.downscale)
    sinks = open_sinks(source, recognizer.classes, options.out, options.csv, options.jsonl)
    summary = run(
        source, recognizer, sinks=sinks, window=window, recording=bool(options.out),
        max_frames=options.max_frames,
    )  # fmt: skip
    found = summary.to_dict()
    show(found, options.json, lambda: as_text(found, recognizer.model, outputs))
    if summary.interrupted:
        return INTERRUPTED
    return BROKEN if source.problems else 0


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
