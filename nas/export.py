"""Command line: `python -m nas.export --model FOLDER`: ONNX float32 and int8, scored and timed."""

from __future__ import annotations

import sys
from typing import Any

from nas.arch.plugins import add_plugin_option
from nas.common.cli import Parser, exit_code, show
from nas.common.lazy import callable_module
from nas.common.resources import WEIGHTS, find_model
from nas.report.table import table

callable_module(__name__, "nas.deploy.export:export")

ALLOWED_LOSS = 0.005  # of accuracy, by int8
FPS_TOLERANCE = 0.2  # of the predicted frame rate


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    from nas.deploy.export import export

    model = find_model(args.model, "--model", WEIGHTS)
    out = args.out or model.parent
    found = export(
        model, args.data, out, run=args.search,
        command=["python", "-m", "nas.export", *argv],
    )  # fmt: skip
    show(found, args.json, lambda: f"{_text(found)}\nwritten: {out} (and export.json)")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "nas.export", "Write a trained network as ONNX, float32 and int8; score and time the files."
    )
    add = parser.add_argument
    add("--model", required=True, metavar="FOLDER|FILE", help="a retrained folder or "
        "model.safetensors")  # fmt: skip
    add("--data", metavar="NAME|FOLDER", help="calibrates, and scores (default: what the network "
        "was trained on)")  # fmt: skip
    add("--out", metavar="DIR", help="default: the network's own folder")
    add("--search", metavar="RUN", help="compare with the fps that this run's model predicts "
        "(default: the run that holds the folder, if any)")  # fmt: skip
    parser.add_json()
    add_plugin_option(parser)
    return parser


def _text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['genome']}, {found['params']:,} parameters; int8 calibrated on "
        f"{found['calibration_images']} training images of {found['data']}, scored on "
        f"{found['validation_images']:,} validation images"
    ]
    lines.append(table(found["files"], [
        ("file", "file", ""), ("bytes", "bytes", ",.0f"), ("fps", "fps", ",.0f"),
        ("accuracy", "accuracy %", "%.2f"), ("same_labels", "labels as torch %", "%.2f"),
        ("probe_difference", "probes off by %", "%.1f"),
    ]))  # fmt: skip
    lines += [
        f"WARNING: {file['file']} computes something else than torch (probes off by at most "
        f"{file['probe_limit']:.0%} are rounding); programs that check will not use it"
        for file in found["files"]
        if not file["probe_difference"] <= file["probe_limit"]
    ]
    full, int8 = found["files"][:2]
    gain = int8["accuracy"] - full["accuracy"]
    lines.append(
        f"int8: {100 * gain:+.2f} points of accuracy, {int8['fps'] / full['fps']:.2f} times the "
        "frame rate of float32"
    )
    if -gain > ALLOWED_LOSS:
        lines.append(f"WARNING: int8 loses more than {100 * ALLOWED_LOSS} points: use float32")
    if found["predicted_fps"]:
        lines.append(compared(found["predicted_fps"], full["fps"]))
    return "\n".join(lines)


def compared(predicted: float, measured: float) -> str:
    off = measured / predicted - 1
    verdict = "within" if abs(off) <= FPS_TOLERANCE else "NOT within"
    return (
        f"fps: the search's model predicted {predicted:,.0f}, measured {measured:,.0f} "
        f"({off:+.0%}, {verdict} {FPS_TOLERANCE:.0%})"
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
