"""Read PrivateTest once for each final network that gpu.py trained, in float32 on the CPU.

    python experiments/discovery/score.py RESULTS --data fer2013 --out experiments/discovery/h200

Writes scores.csv: a row for each network and seed, accuracies in percent with one view and with
the mean over an image and its mirror image, on PublicTest, on PrivateTest, and on PrivateTest
without the images that Training holds too. A network already in the file is not read again.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.arch.module import build
from nas.data import Dataset, copies_of_train, open_dataset
from nas.report.metrics import classification_report
from nas.training.predict import Subset, logits

FIELDS = ["name", "genome", "seed", "params", "macs", "public", "public_flip", "private",
          "private_flip", "private_new", "private_new_flip", "macro_f1_flip"]  # fmt: skip


def networks(folder: Path) -> dict[str, tuple[str, Genome]]:
    """What was trained to the end: id -> name and genome, from the log."""
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    found: dict[str, tuple[str, Genome]] = {}
    for row in rows:
        if row.get("job", "").startswith("final "):
            name = row["job"].removeprefix("final ").rpartition(" ")[0]  # of the first seed
            found.setdefault(row["id"], (name, Genome.from_dict(row["genome"], row["job"])))
    return found


def load_finals(folder: Path) -> dict[str, tuple[Genome, dict[str, torch.Tensor]]]:
    """ID/SEED -> genome and weights (float16) of each final network."""
    weights: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("finals*.safetensors")):
        weights |= load_file(path)
    known, found = networks(folder), dict[str, tuple[Genome, dict[str, torch.Tensor]]]()
    for key, value in weights.items():
        genome, seed, name = key.split("/", 2)
        found.setdefault(f"{genome}/{seed}", (known[genome][1], {}))[1][name] = value
    return found


def model_of(genome: Genome, state: dict[str, torch.Tensor]) -> nn.Module:
    """The network with stored weights, in float32."""
    model = build(genome)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    dataset = open_dataset(args.data)
    finals = load_finals(args.results)
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "scores.csv"
    done = set()
    if file.exists():
        with open(file, newline="") as stream:
            done = {(row["genome"], row["seed"]) for row in csv.DictReader(stream)}
    known, copies = networks(args.results), copies_of_train(dataset)
    for key in sorted(finals, key=lambda key: (cost(finals[key][0]).macs, key)):
        genome_id, seed = key.split("/")
        if (genome_id, seed) in done:
            continue
        name, (genome, state) = known[genome_id][0], finals[key]
        row = {"name": name, "genome": genome_id, "seed": seed, "params": cost(genome).params,
               "macs": cost(genome).macs, **_scores(genome, state, dataset, copies)}  # fmt: skip
        new = not file.exists()
        with open(file, "a", newline="") as stream:
            writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)


def _scores(
    genome: Genome, state: dict[str, torch.Tensor], dataset: Dataset, copies: np.ndarray
) -> dict[str, Any]:
    model = model_of(genome, state)
    found: dict[str, Any] = {}
    for split, name in (("validation", "public"), ("test", "private")):
        rows = dataset.indices(split)
        subset = Subset.of(dataset, split)
        fresh = ~copies[rows]
        for views, suffix in (("single", ""), ("flip", "_flip")):
            y = torch.softmax(logits(model, genome, subset, views=views), 1).numpy()
            truth = np.asarray(dataset.labels)[rows]
            right = y.argmax(1) == truth
            found[f"{name}{suffix}"] = round(100 * float(right.mean()), 2)
            if split == "test":
                found[f"private_new{suffix}"] = round(100 * float(right[fresh].mean()), 2)
                if views == "flip":
                    report = classification_report(truth, y.astype(np.float64), dataset.classes)
                    found["macro_f1_flip"] = round(100 * report["macro_f1"], 2)
    return found


if __name__ == "__main__":
    main()
