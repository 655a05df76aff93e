"""Your own measure of a network instead of our training: `python examples/own_evaluator.py`.

Here a network's untrained features are read by scikit-learn's ridge classifier, which takes a
moment. The function gets a genome and returns a dict; accuracy is what the search raises. What it
raises, or a NaN, is a failed evaluation with its reason, and the search goes on.
"""

from __future__ import annotations

import tempfile

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_score

import nas
from nas.arch.module import build

DIGITS = load_digits()
PICTURES = torch.tensor(DIGITS.images[:600, None] / 16, dtype=torch.float32)


def read_features(genome: nas.Genome, seed: int) -> dict[str, float]:
    """How well digits are told by the layers before the classifier, at random weights."""
    torch.manual_seed(seed)
    features = build(genome)[:-1].eval()
    size = (genome.input.height, genome.input.width)
    with torch.no_grad():
        found = features(torch.nn.functional.interpolate(PICTURES, size)).flatten(1).numpy()
    scores = cross_val_score(RidgeClassifier(), found, DIGITS.target[:600], cv=3)
    return {"accuracy": float(np.mean(scores))}


def main() -> None:
    """Eight networks of the small space."""
    with tempfile.TemporaryDirectory() as folder:
        run = nas.search(
            "quick", evaluator=read_features, evaluations=8, workers=1, seed_genomes=[],
            run_dir=f"{folder}/run",
        )  # fmt: skip
        print(run.front[["accuracy", "params", "fps"]])


if __name__ == "__main__":
    main()
