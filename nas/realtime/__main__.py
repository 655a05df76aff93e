"""Command line: `python -m nas.realtime --source 0|video|picture|folder`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nas.errors import UserError, exit_code
from nas.realtime import DEFAULT_MODEL


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.headless and not (args.out or args.csv or args.json):
        raise UserError("--headless: nothing would be left; expected --out, --csv or --json too")
    if args.margin is not None and not 0 <= args.margin <= 2:
        raise UserError(f"--margin: must be in [0, 2], got {args.margin}")
    from nas.realtime.pipeline import run
    from nas.realtime.recognizer import Recognizer
    from nas.realtime.sinks import Window
    from nas.realtime.sources import open_source

    window = None if args.headless else Window()
    recognizer = Recognizer(args.model, args.margin)
    source = open_source(args.source)
    summary = run(
        source, recognizer, window=window, max_frames=args.max_frames,
        out=Path(args.out) if args.out else None, table=Path(args.csv) if args.csv else None,
    )  # fmt: skip
    found = summary.to_dict()
    if args.json:
        print(json.dumps(found))
    else:
        split = ", ".join(f"{k} {v:.1f}" for k, v in found["ms_per_frame"].items())
        print(f"{found['frames']} frames, {found['faces']} faces, {found['fps']:.1f} fps")
        print(f"ms a frame: {split}")
        for path in filter(None, (args.out, args.csv)):
            print(f"written: {path}")
    return 130 if summary.interrupted else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.realtime", description="Label the expressions of faces, on the CPU."
    )
    add = parser.add_argument
    add("--model", default=str(DEFAULT_MODEL), metavar="ONNX",
        help="a model.onnx written by nas.retrain (default: the one that ships)")  # fmt: skip
    add("--source", default="0", metavar="0|FILE|FOLDER", help="camera, video, picture(s)")
    add("--headless", action="store_true", help="open no window; needs --out, --csv or --json")
    add("--out", metavar="FILE|FOLDER", help="annotated video (.mp4, .avi) or picture(s)")
    add("--csv", metavar="FILE", help="one row for every face of every frame")
    add("--margin", type=float, metavar="X", help="round the box, instead of the model's own")
    add("--max-frames", type=int, metavar="N", help="stop after N frames")
    add("--json", action="store_true", help="print the summary as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
