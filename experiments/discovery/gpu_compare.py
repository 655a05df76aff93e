"""A search against a random search on the GPU: python experiments/discovery/gpu_compare.py FOLDER

FOLDER holds results.jsonl of gpu.py and scores.csv of score.py. Prints the hypervolume of
accuracy and parameters by the short trainings, after every BATCH networks, and by the long ones
(PrivateTest, mirrored, means over seeds); then differences of means over seeds of some pairs, with
Welch's 95 % interval, and how the short training ranks both fronts (Spearman).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from compare import hypervolume
from gpu import BATCH
from scipy import stats

ALGORITHMS = {"search": "nsga2+gp", "random": "random"}
LARGEST = 1_000_000  # parameters that the space allows
PAIRS = (
    ("8f89add136d5", "3fccb0f2dfab"), ("8f89add136d5", "6d477981d688"),
    ("ce4e1911607e", "31818e3f98b0"), ("ce4e1911607e", "3fccb0f2dfab"),
    ("6e9ab9f93879", "adff1704dcc2"), ("6e9ab9f93879", "6bbf2d1921ab"),
    ("119ea4392b94", "6bbf2d1921ab"),
)  # fmt: skip
FIGURES = ("private", "private_flip", "private_new_flip", "macro_f1_flip")


def main(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    scores = pd.read_csv(folder / "scores.csv")
    short: dict[str, float] = {}
    for kind, algorithm in ALGORITHMS.items():
        searched = [row for row in rows if row.get("job", "").rpartition(" ")[0] == algorithm]
        short |= {row["id"]: row["accuracy"] for row in searched}
        points = [(row["params"], row["accuracy"]) for row in searched]
        volumes = [
            f"{n}: {hypervolume(points[:n], LARGEST):.3f}"
            for n in range(BATCH, len(points) + 1, BATCH)
        ]
        best = max(searched, key=lambda row: row["accuracy"])
        print(f"{kind}: {len(points)} networks, best {best['accuracy']:.3f} ({best['params']:,} "
              f"parameters); hypervolume after so many {', '.join(volumes)}")  # fmt: skip
        finals = scores[scores["name"].str.match(rf"{kind} \d")].groupby("genome")
        long = finals[["params", "private_flip"]].mean() / [1, 100]
        volume = hypervolume(long.itertuples(index=False, name=None), LARGEST)
        print(f"{kind}: after long training {volume:.3f}, {len(long)} networks")
    long = scores[scores["genome"].isin(short)].groupby("genome")["private"].mean()
    rank = stats.spearmanr([short[genome] for genome in long.index], long).statistic
    print(f"Spearman of short and long training: {rank:.2f} ({len(long)} networks)")
    for one, other in PAIRS:
        cells = [difference(scores, one, other, figure) for figure in FIGURES]
        print(f"{one} - {other}: {'; '.join(cells)}")


def difference(scores: pd.DataFrame, one: str, other: str, figure: str) -> str:
    """Of the means over seeds, with Welch's 95 % interval."""
    a, b = (scores.loc[scores["genome"] == genome, figure] for genome in (one, other))
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    return f"{figure} {a.mean() - b.mean():+.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
