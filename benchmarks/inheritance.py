"""Heirs against newborns: what do a parent's weights save, and do heirs rank networks rightly?

    python benchmarks/inheritance.py measure --pairs 20 [--parts 2 --part 0]
    python benchmarks/inheritance.py report

Each pair is a random network of the space and a mutation of it. The parent trains PARENT epochs;
the child trains from scratch, and again from its parent's weights, for several numbers of epochs,
each a training of its own on the schedule of that many epochs. Reported: rank correlation of heirs,
of newborns, and where half are heirs as in a search, with the newborns' longest training; the mean
accuracy; the hypervolume (accuracy against params) of the children's front; how many epochs of a
newborn give the front that heirs have. `measure` goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import torch
from scipy.stats import spearmanr

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.data import open_dataset, search_split
from nas.space import space as spaces
from nas.space.operators import mutate
from nas.training.inheritance import inherit
from nas.training.predict import Precision, Subset
from nas.training.recipe import Recipe
from nas.training.trainer import TrainingResult, train

PARENT = 4  # epochs
HEIR, NEWBORN = (1, 2, 4), (1, 2, 4, 8)
SPLITS = 200
OUT = Path("experiments/inheritance")
Array = np.ndarray[Any, np.dtype[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Heirs against newborns.")
    parser.add_argument("what", choices=["measure", "report"])
    parser.add_argument("--space", default="search_spaces/quick.yaml")
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--fraction", type=float, default=0.2)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--part", type=int, default=0, help="of --parts processes")
    parser.add_argument("--parts", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "measure":
        OUT.mkdir(parents=True, exist_ok=True)
        measure(args, OUT / f"pairs{args.part}.jsonl")
        return
    rows = [json.loads(x) for p in sorted(OUT.glob("pairs*.jsonl")) for x in p.open()]
    result = {"space": args.space, "data": args.data, "fraction": args.fraction, **report(rows)}
    (OUT / "inheritance.json").write_text(json.dumps(result, indent=1) + "\n")
    show(result)


def measure(args: argparse.Namespace, path: Path) -> None:
    """One line a pair, written when it is complete."""
    done = {json.loads(line)["pair"] for line in path.open()} if path.exists() else set()
    space = spaces.load(args.space)
    fit, held_out = parts(args.data, args.fraction)
    for pair in range(args.part, args.pairs, args.parts):
        if pair in done:
            continue
        rng = np.random.default_rng([0, pair])
        parent = space.sample(rng)
        row = {"pair": pair, **compare(parent, mutate(parent, space, rng), fit, held_out)}
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def parts(data: str, fraction: float) -> tuple[Subset, Subset]:
    dataset = open_dataset(data)
    rows = search_split(dataset)
    images = torch.tensor(dataset.images)
    labels = torch.tensor(np.asarray(dataset.labels, np.int64))
    fit, held_out = (torch.tensor(np.asarray(r, np.int64)) for r in rows)
    keep = np.random.default_rng(0).permutation(len(fit))[: round(fraction * len(fit))]
    return Subset(images, labels, fit[np.sort(keep)]), Subset(images, labels, held_out)


def compare(parent: Genome, child: Genome, fit: Subset, held_out: Subset) -> dict[str, Any]:
    def run(genome: Genome, epochs: int, **more: Any) -> TrainingResult:
        recipe = dataclasses.replace(Recipe(), epochs=epochs)
        seed = zlib.crc32(f"{genome.id}{epochs}{sorted(more)}".encode())  # each its own
        return train(genome, fit, held_out, recipe, seed=seed, mode=Precision(False, True),
                     read_at=(), **more)  # fmt: skip

    def accuracy(result: TrainingResult) -> float:
        return float(result.history[-1]["validation_accuracy"])

    first = run(parent, PARENT)
    weights = inherit(parent, first.model.state_dict(), child)
    return {
        "parent": parent.id,
        "child": child.id,
        "params": cost(child).params,
        "parent_accuracy": accuracy(first),
        "newborn": {k: accuracy(run(child, k)) for k in NEWBORN},
        "heir": {k: accuracy(run(child, k, initial=weights)) for k in HEIR},
    }


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    params = np.array([row["params"] for row in rows], float)
    truth = column(rows, "newborn", NEWBORN[-1])
    reference = 1.05 * params.max()
    found: list[dict[str, Any]] = []
    for kind, epochs in (("newborn", NEWBORN), ("heir", HEIR)):
        for k in epochs:
            accuracy = column(rows, kind, k)
            found.append({
                "kind": kind, "epochs": k, "inherited_epochs": PARENT * (kind == "heir"),
                "accuracy": round(float(accuracy.mean()), 4),
                "spearman": round(float(spearmanr(accuracy, truth).statistic), 3),
                "hypervolume": round(hypervolume(accuracy, params, reference), 4),
            })  # fmt: skip
    newborns = [row for row in found if row["kind"] == "newborn"]
    for row in found:
        row["epochs_of_a_newborn"] = matching(newborns, row["hypervolume"])
    parents = np.array([row["parent_accuracy"] for row in rows])
    return {
        "pairs": len(rows),
        "parent_epochs": PARENT,
        "parent_with_truth": round(float(spearmanr(parents, truth).statistic), 3),
        "half_heirs": {k: mixed(rows, k, truth) for k in HEIR},
        "rows": found,
    }


def mixed(rows: list[dict[str, Any]], epochs: int, truth: Array) -> float:
    """Rank correlation where a random half are heirs and the rest newborns, as in a search."""
    both = np.stack([column(rows, kind, epochs) for kind in ("heir", "newborn")])
    rng, found = np.random.default_rng(0), []
    for _ in range(SPLITS):
        kinds = rng.permutation(np.arange(len(rows)) % 2)
        found.append(spearmanr(both[kinds, np.arange(len(rows))], truth).statistic)
    return round(float(np.mean(found)), 3)


def column(rows: list[dict[str, Any]], kind: str, epochs: int) -> Array:
    return np.array([row[kind][str(epochs)] for row in rows])


def hypervolume(accuracy: Array, params: Array, reference: float) -> float:
    """Of accuracy against log10 params, up to chance (1/7) and the largest network; 1 is all."""
    low, high = 3.0, np.log10(reference)
    points = np.column_stack([1 - accuracy, (np.log10(params) - low) / (high - low)])
    return float(moocore.hypervolume(points, ref=np.array([1 - 1 / 7, 1.0])) / (1 - 1 / 7))


def matching(newborns: list[dict[str, Any]], hypervolume: float) -> float | None:
    """Epochs (interpolated) after which newborns' front has this hypervolume; None: more than all.

    Over a curve that is made to rise, since noise can let it fall.
    """
    curve = np.maximum.accumulate([row["hypervolume"] for row in newborns])
    if hypervolume > curve[-1]:
        return None
    epochs = [row["epochs"] for row in newborns]
    return round(float(np.interp(hypervolume, curve, epochs)), 2)


def show(result: dict[str, Any]) -> None:
    print(f"{result['pairs']} pairs; parents' accuracy with truth: {result['parent_with_truth']}")
    header = ("kind", "epochs", "inherited", "accuracy", "spearman", "hypervolume", "newborn's")
    print(f"rank correlation where half are heirs, by epochs: {result['half_heirs']}")
    print(" ".join(f"{h:>11}" for h in header))
    for row in result["rows"]:
        print(" ".join(f"{v if v is not None else 'more':>11}" for v in row.values()))


if __name__ == "__main__":
    main()
