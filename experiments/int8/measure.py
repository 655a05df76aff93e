"""Accuracy of four ways to quantise a network that ships, on this CPU or on one that qemu emulates.

python experiments/int8/measure.py quantise --data fer2013 --files /tmp/int8
python experiments/int8/measure.py score --data fer2013 --files /tmp/int8 --out vnni.json
qemu-x86_64 -cpu Haswell python experiments/int8/measure.py score ... --out avx2.json
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data import open_dataset
from nas.deploy.probes import INT8_LIMIT, Probes
from nas.deploy.runtime import open_model, session

MODELS = Path(__file__).parents[1] / "models"
BATCH = 64
KINDS = {  # (activations, weights, 7 bits)
    "u8s8": ("QUInt8", "QInt8", False),
    "u8s8-7bit": ("QUInt8", "QInt8", True),  # what nas.export writes
    "u8u8": ("QUInt8", "QUInt8", False),
    "s8s8": ("QInt8", "QInt8", False),
}


def quantise(data: str, model: Path, files: Path) -> None:
    """The calibration is nas.export's: 512 Training images, smallest and largest value."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from nas.deploy.export import CALIBRATION_IMAGES
    from nas.deploy.quantise import CalibrationReader

    dataset, p = open_dataset(data), open_model(model).info
    rows = np.random.default_rng(0).permutation(dataset.indices("train"))[:CALIBRATION_IMAGES]
    files.mkdir(parents=True, exist_ok=True)
    full = files / "float32.onnx"
    quant_pre_process(model, full, skip_optimization=True, skip_symbolic_shape=True)
    for name, (activations, weights, reduced) in KINDS.items():
        quantize_static(
            full, files / f"{name}.onnx", CalibrationReader([p.normalise(dataset.images[rows])]),
            quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=reduced,
            activation_type=QuantType[activations], weight_type=QuantType[weights],
        )  # fmt: skip


def score(
    data: str, model: Path, files: Path, images: int | None, timed: bool
) -> dict[str, Any]:  # fmt: skip
    """Of the first so many PublicTest images. fps: batch 1, one thread, in turns."""
    dataset, full = open_dataset(data), open_model(model)
    p, rows = full.info, dataset.indices("validation")[:images]
    probes = Probes.of(full, p.channels, p.height, p.width, INT8_LIMIT)
    names = ("float32", *KINDS)
    sessions = [session(str(files / f"{name}.onnx")) for name in names]

    def logits(model: Any, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = model.run(None, {"image": p.normalise(pixels)})[0]
        return found

    results = {}
    for name, found in zip(names, sessions, strict=True):
        parts = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
        answers = np.concatenate([logits(found, dataset.images[part]) for part in parts])
        results[name] = {
            "accuracy": float((answers.argmax(1) == dataset.labels[rows]).mean()),
            "probe_difference": probes.difference(partial(logits, found), p.height, p.width),
            "first_logits": [round(float(z), 6) for z in answers[0]],
        }
        print(name, results[name], flush=True)
    if timed:
        from nas.deploy.runtime import time_in_turns

        face = np.zeros((1, p.channels, p.height, p.width), np.uint8)
        calls = [partial(logits, found, face) for found in sessions]
        for name, ms in zip(names, time_in_turns(calls, rounds=15, runs=30), strict=True):
            results[name]["fps"] = 1000 / ms
    return {"images": len(rows), "files": results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("quantise", "score"))
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--model", default="model", help="one that ships (default model)")
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--images", type=int, help="the first so many of PublicTest (default all)")
    parser.add_argument("--time", action="store_true", help="frame rates too; not when emulated")
    args = parser.parse_args()
    model = MODELS / f"{args.model}.onnx"
    if args.step == "quantise":
        quantise(args.data, model, args.files)
    else:
        found = score(args.data, model, args.files, args.images, args.time)
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
