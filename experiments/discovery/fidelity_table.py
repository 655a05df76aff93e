"""The networks of fidelity.py as one public table, in the form of docs/tables.md.

    python experiments/discovery/fidelity_table.py OUT --spaces fer_tiny --macs 4e6 --networks 40
    python -m nas.bench search --table OUT/fer_tiny_long.csv

OUT of fidelity.py, and the options that it was given. Writes OUT/SPACE_long.csv, a row for each
network of the first space with a long training: genes; val_accuracy, on the held-out rows, and
test_accuracy, on PublicTest, in percent; costs; macro F1 on PublicTest, the held-out accuracy after
each epoch, and that of each short training. Prints the file's checksum.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import pandas as pd
from fidelity import SPACES, networks

from nas.arch.genome import Genome
from nas.space.space import SearchSpace


def table(results: pd.DataFrame, space: SearchSpace, genomes: dict[str, Genome]) -> pd.DataFrame:
    rows = []
    for long in results[results["arm"] == "long"].sort_values("number").to_dict("records"):
        genes = space.genes(genomes[long["id"]])
        short = results[(results["id"] == long["id"]) & ~results["arm"].str.startswith("long")]
        if genes:
            rows.append({
                "id": long["id"], **{f"gene:{name}": value for name, value in genes.items()},
                "val_accuracy": 100 * long["held_out_accuracy"],
                "test_accuracy": 100 * long["public_accuracy"],
                **{f"cost:{name}": long[name] for name in ("params", "macs", "activations")},
                "macro_f1": 100 * long["public_macro_f1"],
                "curve": json.dumps([round(100 * accuracy, 2) for accuracy in long["curve"]]),
                **{f"short:{r.arm}": 100 * r.held_out_accuracy for r in short.itertuples()},
            })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--networks", type=int, default=64)
    parser.add_argument("--spaces", nargs="+", default=SPACES)
    parser.add_argument("--macs", type=float, default=float("inf"))
    args = parser.parse_args()
    listed = networks(args.networks, args.spaces, args.macs)
    results = pd.read_json(args.out / "results.jsonl", lines=True, dtype={"id": str})
    space = SearchSpace.load(Path(f"search_spaces/{args.spaces[0]}.yaml"))
    found = table(results, space, {genome.id: genome for _, genome in listed})
    path = args.out / f"{space.name}_long.csv"
    found.round(4).to_csv(path, index=False)
    print(f"{path}: {len(found)} networks, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
