"""A search against a random search on the GPU: python experiments/discovery/gpu_compare.py FOLDER

FOLDER holds results.jsonl of gpu.py and scores.csv of score.py. Prints the hypervolume of
accuracy and parameters by the short trainings, after every BATCH networks, and by the long ones
(PrivateTest, mirrored, means over seeds), how the short training ranks both fronts (Spearman), and
differences of means over seeds of some pairs, with Welch's 95 % interval. With tune.jsonl: each
recipe's points above or below the mean of the recipe as it is and with another seed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

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
    ("119ea4392b94", "6bbf2d1921ab"), ("16d74f9d25d1", "3fccb0f2dfab"),
    ("16d74f9d25d1", "8f89add136d5"),
)  # fmt: skip
FIGURES = ("public_flip", "private", "private_flip", "private_new_flip", "macro_f1_flip")


def main(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    scores = pd.read_csv(folder / "scores.csv")
    tuned = folder / "tune.jsonl"
    if tuned.exists():
        print(recipes([json.loads(line) for line in tuned.read_text().splitlines()]))
    if any(row.get("job", "").startswith("random ") for row in rows):
        compare_searches(rows, scores)
    for one, other in PAIRS:
        if {one, other} <= set(scores["genome"]):
            cells = [difference(scores, one, other, figure) for figure in FIGURES]
            print(f"{one} - {other}: {'; '.join(cells)}")


def compare_searches(rows: list[dict[str, Any]], scores: pd.DataFrame) -> None:
    """Hypervolumes of both, and how the short training ranks their networks."""
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


def recipes(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Points gained by each variant, for each network and in the mean."""
    tuned = pd.DataFrame(row for row in rows if "variant" in row)
    table = 100 * tuned.pivot(index="variant", columns="id", values="accuracy")
    gains = table - table.loc[["as it is", "again"]].mean()
    gains["mean"] = gains.mean(axis=1)
    return gains.sort_values("mean", ascending=False).round(1)


def difference(scores: pd.DataFrame, one: str, other: str, figure: str) -> str:
    """Of the means over seeds, with Welch's 95 % interval."""
    a, b = (scores.loc[scores["genome"] == genome, figure] for genome in (one, other))
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    return f"{figure} {a.mean() - b.mean():+.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
