"""The found networks' stored weights as folders that nas.export reads, and nas.retrain --initial.

    python experiments/discovery/weights.py further --data fer2013 --out FOLDER
    python -m nas.export --model FOLDER/ID --data fer2013

Writes FOLDER/ID/model.safetensors, genome.json and what a model card says (report.json), for each
network in further/finals_found.safetensors, of the seed that is best on PublicTest (mirrored). The
stored weights are float16. Nothing is chosen by the PrivateTest figures of the card.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from gpu import STUDENT
from safetensors.torch import load_file
from score import model_of
from torch import nn

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.common.files import make_folder, replace_file
from nas.data import Dataset, duplicate_report, open_dataset
from nas.deploy.checkpoint import save_weights
from nas.deploy.export import export_onnx
from nas.deploy.latency import measure_fps
from nas.report.metrics import classification_report, summarise
from nas.training.predict import Subset, logits

HERE = Path(__file__).parent
RECIPES = {
    "h200": {"batch_size": 256, "epochs": 41}, "h100": {"batch_size": 128, "epochs": 50},
    "further": {"batch_size": 128, "epochs": 101},
}  # fmt: skip


def report(
    genome: Genome,
    model: nn.Module,
    dataset: Dataset,
    scores: pd.DataFrame,
    run: dict[str, Any],
    recipe: dict[str, Any],
    out: Path,
) -> dict[str, Any]:
    """What a model card says. scores: the rows of scores.csv for this network."""

    def scored(split: str, views: str = "single") -> dict[str, Any]:
        subset = Subset.of(dataset, split)
        y = torch.softmax(logits(model, genome, subset, views=views), 1).double().numpy()
        truth = np.asarray(dataset.labels)[dataset.indices(split)]
        return classification_report(truth, y, dataset.classes)

    parity = export_onnx(genome, model, dataset, Subset.of(dataset, "validation"),
                         out / "model.onnx")  # fmt: skip
    return {
        "genome": genome.id, "cost": asdict(cost(genome)), "fps": measure_fps([genome])[0],
        "data": {
            "name": dataset.name, "fingerprint": dataset.fingerprint, "counts": dataset.counts(),
            "provenance": dataset.provenance, "duplicates": duplicate_report(dataset),
        },
        "recipe": STUDENT.to_dict() | recipe,
        "teachers": ["experiments/discovery/h200/soft_labels.safetensors"],
        "seed": run["seed"], "epochs_trained": run["epochs"], "best_epoch": run["epochs"],
        "choice": "the last (on a GPU); the validation split chose among the seeds",
        "validation": scored("validation"), "test": scored("test"),
        "test_with_views": {"views": "flip", **scored("test", "flip")},
        "seeds": {"list": scores["seed"].tolist(),
                  "test": {"accuracy": summarise((scores["private"] / 100).tolist())}},
        "onnx_parity": asdict(parity),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", choices=RECIPES, help="folder beside this file")
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    dataset = open_dataset(args.data)
    here = HERE / args.run
    stored = load_file(here / "finals_found.safetensors")
    scores = pd.read_csv(here / "scores.csv")
    rows = [json.loads(line) for line in (here / "results.jsonl").read_text().splitlines()]
    runs = {(r["id"], r["seed"]): r for r in rows if r.get("job", "").startswith("final ")}
    for name in sorted({key.split("/")[0] for key in stored}):
        seeds = scores[scores["genome"] == name]
        seed = int(seeds.loc[seeds["public_flip"].idxmax(), "seed"])
        prefix = f"{name}/{seed}/"
        state = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
        genome = Genome.load(here / f"{name}.json")
        model = model_of(genome, state)
        folder = make_folder(args.out / name)
        save_weights(genome, model, dataset, folder / "model.safetensors")
        replace_file(folder / "genome.json", genome.to_json() + "\n")
        found = report(genome, model, dataset, seeds, runs[name, seed], RECIPES[args.run], folder)
        replace_file(folder / "report.json", json.dumps(found, indent=1) + "\n")
        print(f"{folder}: seed {seed}")


if __name__ == "__main__":
    main()
