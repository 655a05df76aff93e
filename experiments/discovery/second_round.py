"""A second round of soft labels: final networks join the teachers that taught them.

    python experiments/discovery/second_round.py experiments/discovery/further \\
        --labels experiments/discovery/h200/soft_labels.safetensors --data fer2013 --out LABELS

FOLDER: finals*.safetensors and results.jsonl of gpu.py. Every network, of each seed, answers the
augmented copies of Training that the first teachers saw; the new labels are the mean of all
teachers' probabilities. No network has trained on PublicTest or PrivateTest.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

from gpu import Data
from score import load_finals, model_of

from nas.training.predict import Precision
from nas.training.teacher import SoftLabels, teach


def joined(first: SoftLabels, second: SoftLabels) -> SoftLabels:
    """The mean over the networks of both, each of the same weight."""
    assert first.rows.equal(second.rows), "labels of other images"
    assert (first.seed, first.augment) == (second.seed, second.augment), "other copies of them"
    names = [*first.origin["networks"], *second.origin["networks"]]
    share = len(first.origin["networks"]) / len(names)
    mean = share * first.probabilities.float() + (1 - share) * second.probabilities.float()
    origin = first.origin | {"networks": names}
    return dataclasses.replace(first, probabilities=mean.round().byte(), origin=origin)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("packed", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=Path, required=True, help="of the first round")
    parser.add_argument("--genomes", nargs="+", help="ids of those that join; none: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    finals = {
        name: (genome, state)
        for name, (genome, state) in load_finals(args.folder).items()
        if not args.genomes or genome.id in args.genomes
    }
    first = SoftLabels.load(args.labels)
    fit = Data(args.packed, args.device).train.at(first.rows)
    models = [model_of(genome, state).to(args.device) for genome, state in finals.values()]
    second = teach(
        models, fit, variants=len(first.probabilities), augment=first.augment, seed=first.seed,
        precision=Precision(bf16=True, channels_last=True), origin={"networks": list(finals)},
    )  # fmt: skip
    joined(first, second).save(args.out)


if __name__ == "__main__":
    main()
