"""Command line: `python -m nas.realtime --source 0|URL|video|picture|folder`."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from pathlib import Path
from typing import Any

from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.resources import SHIPPED_MODEL


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.web is not None:
        return _serve(args)
    _check(args)
    from nas.realtime.detector import make_detector
    from nas.realtime.pipeline import run
    from nas.realtime.recognizer import Recognizer
    from nas.realtime.sinks import open_sinks
    from nas.realtime.sources import open_source, transformed
    from nas.realtime.window import Window

    window = None if args.headless else Window(Path(args.snapshots))
    recognizer = Recognizer(
        args.model, margin=args.margin, detector=make_detector(args.detector, args.detector_model),
        smallest=args.min_face, threshold=args.threshold, precision=args.precision,
    )  # fmt: skip
    source = open_source(args.source)
    source = transformed(source, args.mirror, args.flip, args.downscale)
    sinks = open_sinks(source, recognizer.classes, args.out, args.csv, args.jsonl)
    summary = run(
        source, recognizer, sinks=sinks, window=window, recording=bool(args.out),
        max_frames=args.max_frames,
    )  # fmt: skip
    found = summary.to_dict()
    if args.json:
        print(json.dumps(found))
    else:
        _print(found, recognizer.model, [args.out, args.csv, args.jsonl])
    return 130 if summary.interrupted else 0


def _check(args: argparse.Namespace) -> None:
    if args.headless and not (args.out or args.csv or args.jsonl or args.json):
        raise UserError(
            "--headless: nothing would be left; expected --out, --csv, --jsonl or --json too"
        )
    bounds = {"margin": (0, 2), "threshold": (0, 1), "downscale": (1, 16),
              "min_face": (8, 4096), "max_frames": (1, math.inf)}  # fmt: skip
    for name, (low, high) in bounds.items():
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            option = name.replace("_", "-")
            raise UserError(f"--{option}: must be in [{low}, {high}], got {value}")


def _serve(args: argparse.Namespace) -> int:
    if not 0 <= args.web <= 65535:
        raise UserError(f"--web: expected a port in [0, 65535], got {args.web}")
    from nas.realtime.web import serve

    serve(Path(args.model), args.web)
    return 0


def _print(found: dict[str, Any], model: Path, written: list[str | None]) -> None:
    print(
        f"{found['frames']} frames, {found['faces']} faces, {found['tracks']} tracks; "
        f"{found['fps']:.1f} fps (median {found['median_fps']:.1f}, "
        f"99 % of the frames within {found['p99_ms']:.1f} ms)"
    )
    split = ", ".join(f"{k} {v:.1f}" for k, v in found["ms_per_frame"].items())
    print(f"ms a frame: {split}; model {model}")
    if changes := found.get("label_changes_per_second"):
        print(
            f"label changes a second of a face: {changes['single_frames']:.2f} by single frames, "
            f"{changes['smoothed']:.2f} smoothed"
        )
    if found["dropped"]:
        print(f"{found['dropped']} stale frames dropped")
    for path in filter(None, written):
        print(f"written: {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.realtime",
        description="Label the expressions of faces, on the CPU. In the window, s saves a "
        "snapshot and q quits.",
    )
    add = parser.add_argument
    add("--source", default="0", metavar="0|URL|FILE|FOLDER",
        help="camera number, rtsp:// or http:// stream, video, picture(s)")  # fmt: skip
    add("--model", default=str(SHIPPED_MODEL), metavar="ONNX",
        help="a model.onnx written by nas.retrain (default: the one that ships)")  # fmt: skip
    add("--web", nargs="?", type=int, const=8000, metavar="PORT",
        help="serve a page that does it in the browser, on this machine only")  # fmt: skip
    add("--precision", choices=("auto", "fp32", "int8"), default="auto",
        help="auto: the faster here of model.onnx and a model.int8.onnx beside it")  # fmt: skip
    add("--headless", action="store_true",
        help="open no window; needs --out, --csv, --jsonl or --json")  # fmt: skip
    add("--out", metavar="FILE|FOLDER", help="annotated video (.mp4, .avi) or picture(s)")
    add("--csv", metavar="FILE", help="one row for every face of every frame")
    add("--jsonl", metavar="FILE", help="JSON Lines: one object for every frame")
    add("--snapshots", default=".", metavar="FOLDER", help="where the key s saves pictures")
    add(
        "--detector", default="haar-alt2", metavar="NAME", help="haar, haar-alt2 (default) or yunet"
    )
    add("--detector-model", metavar="FILE", help="the YuNet model, which does not come with us")
    add("--min-face", type=int, metavar="PX",
        help="smallest face to look for (default: 40, or a twelfth of the height)")  # fmt: skip
    add("--margin", type=float, metavar="X", help="round the box, instead of the model's own")
    add("--threshold", type=float, default=0.4, metavar="P",
        help="a face below it is 'uncertain' (default 0.4)")  # fmt: skip
    add("--mirror", action="store_true", help="swap left and right, as in a mirror")
    add("--flip", action="store_true", help="turn upside down; with --mirror: by 180 degrees")
    add("--downscale", type=float, default=1.0, metavar="X", help="divide the frame's size by X")
    add("--max-frames", type=int, metavar="N", help="stop after N frames")
    add("--json", action="store_true", help="print the summary as JSON")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # outputs are closed then, too
    sys.exit(exit_code(main))
