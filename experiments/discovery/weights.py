"""The found networks' stored weights as files that nas.retrain --initial and nas.export read.

    python experiments/discovery/weights.py --data fer2013 --out FOLDER

Writes FOLDER/ID/model.safetensors and genome.json for each network in finals_found.safetensors,
of the seed that is best on PublicTest (mirrored). The stored weights are float16.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file

from nas.arch.genome import Genome
from nas.arch.module import build
from nas.common.files import make_folder, replace_file
from nas.data import open_dataset
from nas.deploy.checkpoint import save_weights

HERE = Path(__file__).parent / "h200"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    dataset = open_dataset(args.data)
    stored = load_file(HERE / "finals_found.safetensors")
    scores = pd.read_csv(HERE / "scores.csv")
    for name in sorted({key.split("/")[0] for key in stored}):
        rows = scores[scores["genome"] == name]
        seed = int(rows.loc[rows["public_flip"].idxmax(), "seed"])
        prefix = f"{name}/{seed}/"
        state = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
        genome = Genome.load(HERE / f"{name}.json")
        model = build(genome)
        model.load_state_dict({k: v.float() if v.is_floating_point() else v
                               for k, v in state.items()})  # fmt: skip
        folder = make_folder(args.out / name)
        save_weights(genome, model, dataset, folder / "model.safetensors")
        replace_file(folder / "genome.json", genome.to_json() + "\n")
        print(f"{folder}: seed {seed}")


if __name__ == "__main__":
    main()
