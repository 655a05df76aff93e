"""An ensemble of final networks, together under five million parameters.

    python experiments/discovery/ensemble.py RESULTS --data fer2013 --out experiments/discovery/h200

RESULTS: what gpu.py wrote, with finals*.safetensors. Members are added one at a time, each time the
one that raises PublicTest's accuracy most (mean probabilities, mirrored; Caruana and others 2004),
until none does. PrivateTest is read once, by the chosen ones. Writes ensemble.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from score import load_finals, model_of

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.common.files import replace_file
from nas.data import Dataset, copies_of_train, open_dataset
from nas.report.metrics import classification_report, wilson_interval
from nas.training.predict import Subset, logits

LIMIT = 5_000_000
Probabilities = npt.NDArray[np.float64]  # (images, classes)


def probabilities(
    genome: Genome, state: dict[str, torch.Tensor], dataset: Dataset, split: str
) -> Probabilities:
    """Mean over an image and its mirror image."""
    y = logits(model_of(genome, state), genome, Subset.of(dataset, split), views="flip")
    return torch.softmax(y, 1).double().numpy()


def accuracy(members: list[Probabilities], truth: npt.NDArray[np.int64]) -> float:
    return float((np.mean(members, axis=0).argmax(1) == truth).mean())


def choose(
    public: dict[str, Probabilities], params: dict[str, int], truth: npt.NDArray[np.int64]
) -> list[str]:
    """Names of the members, in the order in which they were taken."""
    chosen: list[str] = []
    best = 0.0
    while True:
        room = LIMIT - sum(params[name] for name in chosen)
        left = [name for name in public if name not in chosen and params[name] <= room]
        found = {n: accuracy([public[m] for m in [*chosen, n]], truth) for n in left}
        top = max(found, key=lambda n: (found[n], -params[n]), default=None)
        if top is None or found[top] <= best:
            return chosen
        chosen, best = [*chosen, top], found[top]
        print(f"{best:.4f} with {top}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(args.data)
    finals = load_finals(args.results)
    truth = {s: np.asarray(dataset.labels)[dataset.indices(s)] for s in ("validation", "test")}
    params = {name: cost(genome).params for name, (genome, _) in finals.items()}
    public = {
        name: probabilities(genome, state, dataset, "validation")
        for name, (genome, state) in finals.items()
        if params[name] < LIMIT / 2
    }
    chosen = choose(public, params, truth["validation"])
    private = [probabilities(*finals[name], dataset, "test") for name in chosen]
    mean = np.mean(private, axis=0)
    right = mean.argmax(1) == truth["test"]
    new = right[~copies_of_train(dataset)[dataset.indices("test")]]
    result: dict[str, Any] = {
        "members": chosen, "params": sum(params[name] for name in chosen),
        "public_flip": accuracy([public[name] for name in chosen], truth["validation"]),
        "private_flip": float(right.mean()),
        "interval": list(wilson_interval(int(right.sum()), len(right))),
        "private_new_flip": float(new.mean()),
        "macro_f1": classification_report(truth["test"], mean, dataset.classes)["macro_f1"],
    }  # fmt: skip
    replace_file(args.out / "ensemble.json", json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
