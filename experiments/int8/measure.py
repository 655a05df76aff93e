"""Accuracy of four ways to quantise the shipped network, on this CPU or on one that qemu emulates.

    python experiments/int8/measure.py quantise --data fer2013 --files /tmp/int8
    python experiments/int8/measure.py score --data fer2013 --files /tmp/int8 --out vnni.json
    qemu-x86_64 -cpu Haswell python experiments/int8/measure.py score ... --out avx2.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from nas.data import open_dataset
from nas.deploy.preprocessing import Preprocessing
from nas.deploy.probes import INT8_LIMIT, Probes
from nas.deploy.runtime import open_model, session

MODEL = Path(__file__).parents[1] / "models/model.onnx"
KINDS = {  # (activations, weights, 7 bits)
    "u8s8": ("QUInt8", "QInt8", False),
    "u8s8-7bit": ("QUInt8", "QInt8", True),  # what nas.export writes
    "u8u8": ("QUInt8", "QUInt8", False),
    "s8s8": ("QInt8", "QInt8", False),
}


def quantise(data: str, files: Path) -> None:
    """The calibration is nas.export's: 512 Training images, smallest and largest value."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from nas.deploy.export import CALIBRATION_IMAGES
    from nas.deploy.quantise import calibration_reader

    dataset, p = open_dataset(data), open_model(MODEL).preprocessing
    rows = np.random.default_rng(0).permutation(dataset.indices("train"))[:CALIBRATION_IMAGES]
    files.mkdir(parents=True, exist_ok=True)
    quant_pre_process(
        MODEL, files / "float32.onnx", skip_optimization=True, skip_symbolic_shape=True
    )
    for name, (activations, weights, reduced) in KINDS.items():
        quantize_static(
            files / "float32.onnx", files / f"{name}.onnx",
            calibration_reader([p.normalise(dataset.images[rows])]),
            quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=reduced,
            activation_type=QuantType[activations], weight_type=QuantType[weights],
        )  # fmt: skip


def score(data: str, files: Path, out: Path) -> None:
    dataset, full = open_dataset(data), open_model(MODEL)
    p, rows = full.preprocessing, dataset.indices("validation")
    probes = Probes.of(full, p.channels, p.height, p.width, INT8_LIMIT)
    cpu = Path("/proc/cpuinfo").read_text()
    found = {
        "cpu": next(line for line in cpu.splitlines() if line.startswith("model name")),
        "images": len(rows), "files": {},
    }  # fmt: skip
    for name in ("float32", *KINDS):
        model = session(str(files / f"{name}.onnx"))

        def forward(images: np.ndarray, model=model) -> np.ndarray:
            return model.run(None, {"image": p.normalise(images)})[0]

        answers = [
            forward(dataset.images[part]).argmax(1) for part in np.array_split(rows, len(rows) // 64)
        ]
        right = float((np.concatenate(answers) == dataset.labels[rows]).mean())
        found["files"][name] = {
            "accuracy": right, "fps": frame_rate(forward, p),
            "probe_difference": probes.difference(forward, p.height, p.width),
        }  # fmt: skip
        print(name, found["files"][name], flush=True)
    out.write_text(json.dumps(found, indent=1) + "\n")


def frame_rate(forward, p: Preprocessing) -> float:
    """Of batch 1, one thread; of emulated CPUs it says nothing."""
    face = np.zeros((1, p.channels, p.height, p.width), np.uint8)
    times = []
    for _ in range(200):
        started = time.perf_counter()
        forward(face)
        times.append(time.perf_counter() - started)
    return 1 / float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("quantise", "score"))
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.step == "quantise":
        quantise(args.data, args.files)
    else:
        score(args.data, args.files, args.out)


if __name__ == "__main__":
    main()
