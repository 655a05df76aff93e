"""Training throughput: steps of our loop against an older tree's and a plain loop's, in one run.

    python experiments/training/run.py [--before TREE] [--rounds 9] [--out result.json]

Three networks: the report's, one found (convolutions), one of depthwise blocks; float32 and
bfloat16 where the CPU has it; one thread, since that is what a worker has. Every arm is a process
of its own that trains a few batches when it is told to; they take turns, and medians of the paired
ratios are reported. TREE is a checkout of another commit, of 0.1 or later. The plain loop is what
most FER repositories use: a DataLoader, an image at a time augmented with OpenCV, float32.

Floors of a step: its multiply-accumulates (forward, and two products backward) at the measured peak
of a square matrix product, and its least memory traffic at the measured bandwidth, which counts the
inputs and outputs of convolutions and linear layers alone, as if all else were fused into them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NETWORKS = {
    "proposed": ROOT / "nas/search_spaces/references/proposed.json",
    "found": ROOT / "experiments/fer2013/search/best.json",
    "depthwise": HERE / "depthwise.json",
}
BATCH, BATCHES = 64, 4


# --- one arm: a process that trains a few batches for each line that it reads -----------------


def module(name: str) -> Any:
    """Of the tree that is measured: an installed package must not fill its gaps."""
    found = importlib.import_module(f"nas.{name}")
    tree = os.environ["PYTHONPATH"]
    assert Path(found.__file__ or "").is_relative_to(tree), f"{found.__file__} is not of {tree}"
    return found


# Version 0.1 had its files side by side.
ROOMS = (Path(os.environ.get("PYTHONPATH", "")) / "nas/arch").is_dir()


def plain_epoch(genome: Any, images: Any, labels: Any) -> Callable[[], object]:
    """DataLoader, per-image OpenCV, contiguous float32."""
    import cv2
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, Dataset

    build, settings = module("arch.module").build, module("training.recipe").Augment()
    rng, side = np.random.default_rng(0), images.shape[-1]

    class Plain(Dataset[Any]):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            on = rng.random(3) < settings.probability
            angle = float(on[0]) * rng.uniform(-1, 1) * settings.rotate
            zoom = 1 + float(on[1]) * rng.uniform(-1, 1) * settings.scale
            matrix = cv2.getRotationMatrix2D((side / 2, side / 2), angle, zoom)
            matrix[:, 2] += float(on[2]) * rng.uniform(-1, 1, 2) * settings.shift * side
            image = cv2.warpAffine(
                images[index, 0], matrix, (side, side), borderMode=cv2.BORDER_REPLICATE
            )
            image = cv2.flip(image, 1) if rng.random() < settings.flip else image
            pixels = torch.from_numpy(image).float().unsqueeze(0)
            return (pixels - 127.5) / 63.75, int(labels[index])

    cv2.setNumThreads(1)
    model = build(genome)
    loader = DataLoader(Plain(), batch_size=BATCH, shuffle=True, drop_last=True)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, nesterov=True, weight_decay=5e-4)

    def epoch() -> None:
        model.train()
        for x, y in loader:
            loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()

    return epoch


def our_epoch(genome: Any, images: Any, labels: Any, bf16: bool) -> Callable[[], object]:
    """`Training.train_epoch`, of version 0.1 too."""
    import torch

    if ROOMS:
        recipe, state, predict = (module(f"training.{n}") for n in ("recipe", "state", "predict"))
        subset, precision = predict.Subset, predict.Precision
        names = {"batch_size": BATCH, "optimizer": "nesterov"}
    else:
        recipe, state, predict = (module(n) for n in ("recipe", "train", "predict"))
        subset, precision = predict.Part, predict.Mode
        names = {"batch": BATCH, "optimiser": "nesterov"}
    training = state.Training(
        genome, subset(torch.tensor(images), torch.tensor(labels), torch.arange(len(images))),
        recipe.Recipe(**names, lr=0.01, augment=recipe.Augment()), 0, precision(bf16, True),
    )  # fmt: skip
    epoch: Callable[[], object] = training.train_epoch
    return epoch


def arm(network: Path, precision: str) -> None:
    """For each line of standard input: train, and print the seconds of a step."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    if ROOMS:
        genome = module("arch.genome").Genome.load(network)
    else:
        genome, _ = module("genome").load(network)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * BATCHES, 1, 48, 48), dtype=np.uint8)
    labels = rng.integers(0, 7, len(images))
    if precision == "plain":
        epoch = plain_epoch(genome, images, labels)
    else:
        epoch = our_epoch(genome, images, labels, precision == "bf16")
    epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        epoch()
        print((time.perf_counter() - started) / BATCHES, flush=True)


# --- the parent -------------------------------------------------------------------------------


class Arm:
    """A child process; `start` and `seconds` apart, so that two can train at once."""

    def __init__(self, tree: Path, network: Path, precision: str, environment: dict[str, str]):
        self.child = subprocess.Popen(
            [sys.executable, __file__, "--arm", str(network), precision],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE,
            env={**os.environ, **environment, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self.child.stdout is not None
        assert self.child.stdin is not None
        self.lines: Iterator[str] = iter(self.child.stdout)
        self.input = self.child.stdin
        assert next(self.lines) == "ready\n"

    def start(self) -> None:
        self.input.write("go\n")
        self.input.flush()

    def seconds(self) -> float:
        return float(next(self.lines))

    def step(self) -> float:
        self.start()
        return self.seconds()

    def close(self) -> None:
        self.input.close()
        self.child.wait()


def gemm_peak(bf16: bool, size: int = 2048, repeats: int = 8) -> float:
    """Multiply-accumulates a second of the best of some square products, one thread."""
    import torch

    torch.set_num_threads(1)
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    best = 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        torch.mm(a, b)
        best = max(best, size**3 / (time.perf_counter() - started))
    return best


def bandwidth(megabytes: int = 256, repeats: int = 8) -> float:
    """Bytes a second, read and written, of the best of some copies, one thread."""
    import torch

    a = torch.zeros(megabytes << 18)
    b = torch.empty_like(a)
    best = 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        b.copy_(a)
        best = max(best, 2 * (megabytes << 20) / (time.perf_counter() - started))
    return best


def least_traffic(genome: Any) -> int:
    """Numbers that a step must move for one image: see the module's text."""
    from nas.arch.layers import Conv2d, Linear
    from nas.arch.lowering import lower

    found = 0
    for unit in lower(genome):
        for layer in unit.layers:
            if isinstance(layer, Conv2d | Linear):
                sizes = [1, 1]
                for i, shape in enumerate((layer.in_shape, layer.out_shape)):
                    for extent in shape:
                        sizes[i] *= extent
                found += 3 * sizes[0] + 2 * sizes[1]  # in: two reads, its gradient; out: two
    return found


def measure(name: str, precision: str, args: argparse.Namespace) -> dict[str, Any]:
    from nas.search.cluster import worker_environment

    network = NETWORKS[name]
    tunables = worker_environment()
    arms = {"now": Arm(ROOT, network, precision, tunables)}
    arms["second worker"] = Arm(ROOT, network, precision, tunables)
    if precision == "f32":
        arms["plain"] = Arm(ROOT, network, "plain", {})
    if args.before:
        arms["before"] = Arm(args.before.resolve(), network, precision, {})
    seconds: dict[str, list[float]] = {name: [] for name in arms if name != "second worker"}
    both: list[float] = []  # of a step, in each of two workers at once
    for _ in range(args.rounds):
        for title in seconds:
            seconds[title].append(arms[title].step())
        pair = [arms["now"], arms["second worker"]]
        for one in pair:
            one.start()
        both.append(statistics.mean(one.seconds() for one in pair))
    for one in arms.values():
        one.close()
    ratios = {
        f"times as fast as {title}": statistics.median(
            theirs / ours for theirs, ours in zip(found, seconds["now"], strict=True)
        )
        for title, found in seconds.items() if title != "now"
    }  # fmt: skip
    two = statistics.median(2 * o / b for o, b in zip(seconds["now"], both, strict=True))
    return {
        "step_ms": {title: 1e3 * statistics.median(found) for title, found in seconds.items()},
        **ratios,
        "two workers": two,
        "rounds_ms": {title: [1e3 * s for s in found] for title, found in seconds.items()},
    }


def main() -> None:
    if sys.argv[1:2] == ["--arm"]:
        return arm(Path(sys.argv[2]), sys.argv[3])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--before", type=Path, metavar="TREE")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--precisions", nargs="+", choices=("f32", "bf16"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    import torch

    from nas.arch.genome import Genome
    from nas.arch.lowering import cost
    from nas.common.environment import environment

    precisions = args.precisions or ["f32", "bf16"]
    peaks = {p: gemm_peak(p == "bf16") for p in precisions}
    moved = bandwidth()
    result: dict[str, Any] = {
        "environment": environment(sys.argv), "capability": torch.backends.cpu.get_cpu_capability(),
        "batch": BATCH, "gemm_peak_gmacs": {p: v / 1e9 for p, v in peaks.items()},
        "bandwidth_gbytes": moved / 1e9, "networks": {},
    }  # fmt: skip
    for name in args.networks:
        genome = Genome.load(NETWORKS[name])
        macs, traffic = 3 * BATCH * cost(genome).macs, BATCH * least_traffic(genome)
        for precision in precisions:
            found = measure(name, precision, args)
            step = found["step_ms"]["now"] / 1e3
            floors = {
                "multiply": 1e3 * macs / peaks[precision],
                "memory": 1e3 * traffic * (2 if precision == "bf16" else 4) / moved,
            }
            found = {
                "params": cost(genome).params, "macs": cost(genome).macs,
                "share of GEMM peak": macs / step / peaks[precision], "floors_ms": floors,
                "share of both floors": sum(floors.values()) / 1e3 / step, **found,
            }  # fmt: skip
            result["networks"][f"{name} {precision}"] = found
            brief = {k: v for k, v in found.items() if k != "rounds_ms"}
            print(name, precision, json.dumps(brief, default=float), flush=True)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
