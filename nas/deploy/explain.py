"""Pictures of what a network's answers rest on: right and wrong ones of every class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.common.files import replace_file
from nas.common.pixels import normalise
from nas.data import Dataset
from nas.deploy.checkpoint import TrainedModel
from nas.deploy.saliency import deletion, saliency
from nas.report import saliency_png
from nas.training.predict import Subset, logits, views_of

DELETED = 0.2  # of the pixels, in the check
CHECKED = 128  # images in the check


def explain(
    trained: TrainedModel, dataset: Dataset, split: str, method: str, per_class: int, out: Path
) -> dict[str, Any]:
    """Write CLASS.png for every class, overview.png and explain.json; returns what it holds.

    Shown are the most confident right answers and the most confident wrong ones of a class's
    images; a map explains the answer that was given.
    """
    genome, model = trained.genome, trained.model
    subset, rows = Subset.of(dataset, split), dataset.indices(split)
    probabilities = torch.softmax(logits(model, genome, subset), 1).numpy()
    size = genome.input
    images = normalise(subset.images[subset.rows].float())
    x = views_of(images, size.height, size.width, "single")[0]
    answers, labels = probabilities.argmax(1), dataset.labels[rows].astype(np.int64)

    def maps_of(chosen: Any) -> Tensor:
        return saliency(genome, model, x[chosen], torch.tensor(answers[chosen]), method)

    classes, overview = [], []
    for label, name in enumerate(dataset.classes):
        shown = {}
        for kind, match in (("right", answers == labels), ("wrong", answers != labels)):
            mine = np.flatnonzero(match & (labels == label))
            mine = mine[np.argsort(-probabilities[mine].max(1), kind="stable")][:per_class]
            maps = maps_of(mine) if len(mine) else torch.zeros(0, size.height, size.width)
            shown[kind] = [
                {
                    "row": int(rows[i]),
                    "answer": dataset.classes[answers[i]],
                    "probability": float(probabilities[i].max()),
                    "image": x[i, 0].numpy(),
                    "map": maps[k].numpy(),
                }
                for k, i in enumerate(mine)
            ]
        picture = out / f"{name}.png"
        saliency_png(picture, shown, f"{name}: {method}, {dataset.name} {split}")
        overview.append((name, shown["right"][:4] + shown["wrong"][:4]))
        classes.append({
            "class": name, "right": len(shown["right"]), "wrong": len(shown["wrong"]),
            "picture": str(picture),
            "images": {kind: [{k: v for k, v in item.items() if k not in ("image", "map")}
                              for item in items] for kind, items in shown.items()},
        })  # fmt: skip
    saliency_png(out / "overview.png", dict(overview), f"{method}: four right, four wrong answers")
    check = np.flatnonzero(answers == labels)[:CHECKED]
    target = torch.tensor(answers[check])
    salient, by_chance = (
        deletion(model, x[check], target, maps_of(check), DELETED) if len(check) else (None, None)
    )
    summary = {
        "genome": genome.id, "data": dataset.name, "split": split, "method": method,
        "classes": classes, "overview": str(out / "overview.png"),
        "deletion": {"share": DELETED, "images": len(check), "salient": salient,
                     "random": by_chance},
    }  # fmt: skip
    replace_file(out / "explain.json", json.dumps(summary, indent=1))
    return summary
