"""A search's front against a random search's, both after long training.

    python experiments/discovery/compare.py OUT      # OUT of run.sh

Reads the folders of OUT/search-long and OUT/random-long; writes OUT/fronts.png, and OUT/scores.csv
for figure.py; prints the table, the hypervolume of each front, and how search accuracy ranks the
networks after long training (Spearman, with a 95 % bootstrap interval over networks). Accuracy is
that of PrivateTest, mirrored; before it stands the hypervolume by search accuracy.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from scipy import stats
from score import FIELDS

from nas.report.colours import BASELINE, FRONT
from nas.report.metrics import interval_of
from nas.report.plots import logarithmic
from nas.space.space import SearchSpace

matplotlib.use("Agg")
import matplotlib.pyplot as plt

KINDS = {"search": ("NSGA-II with surrogate", FRONT, "o"),
         "random": ("random search", BASELINE, "s")}  # fmt: skip
WORST = 0.25  # accuracy, about that of the majority class; the parameters' worst is the largest
FIGURES = ("validation_flip_mean", "test_mean", "test_flip_mean")
RESAMPLES = 10_000
STEP = 20  # networks


def reports(out: Path, kind: str) -> list[dict[str, Any]]:
    """Those of the long trainings that are done."""
    files = sorted((out / f"{kind}-long").glob("*/report.json"))
    return [json.loads(path.read_text()) for path in files]


def load(out: Path) -> pd.DataFrame:
    """A row for each network that was trained long; accuracies are shares, means over seeds."""
    rows = []
    for kind in KINDS:
        lines = (out / kind / "evaluations.jsonl").read_text().splitlines()
        searched = {e["id"]: e["metrics"]["accuracy"] for e in map(json.loads, lines)}
        for report in reports(out, kind):
            seeds = report["seeds"]
            flip = seeds["test"]["accuracy_flip"]
            _, high = interval_of(len(seeds["list"]), flip["mean"], flip["std"], share=True)
            rows.append({
                "kind": kind, "id": report["genome"], "params": report["cost"]["params"],
                "seeds": len(seeds["list"]), "search_accuracy": searched[report["genome"]],
                "validation_flip_mean": seeds["validation"]["accuracy_flip"]["mean"],
                "test_mean": seeds["test"]["accuracy"]["mean"],
                "test_flip_mean": flip["mean"], "test_flip_high": high,
            })  # fmt: skip
    return pd.DataFrame(rows)


def score_of(report: dict[str, Any], kind: str) -> dict[str, Any]:
    """The seed that was kept, as a row of scores.csv."""
    found = report["views_and_copies"]

    def share(split: str, views: str, images: str = "all") -> float:
        return round(100 * float(found[split][views][images]["accuracy"]), 2)

    return {
        "name": f"{kind}, CPU", "genome": report["genome"], "seed": report["seed"],
        "params": report["cost"]["params"], "macs": report["cost"]["macs"],
        "public": share("validation", "single"), "public_flip": share("validation", "flip"),
        "private": share("test", "single"), "private_flip": share("test", "flip"),
        "private_new": share("test", "single", "without_copies"),
        "private_new_flip": share("test", "flip", "without_copies"),
        "macro_f1_flip": round(100 * report["test_with_views"]["macro_f1"], 2),
    }  # fmt: skip


def write_scores(out: Path) -> None:
    rows = [score_of(report, kind) for kind in KINDS for report in reports(out, kind)]
    with open(out / "scores.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["params"]))


def limit(out: Path) -> int:
    """Parameters that the space allows at most."""
    constraints = SearchSpace.load(out / "search" / "space.yaml").constraints
    assert constraints.params is not None
    return constraints.params[1]


def hypervolume(points: Iterable[tuple[float, float]], largest: float) -> float:
    """Of (parameters, accuracy): above WORST, and the logarithm below the limit; 0..1."""
    area, reached = 0.0, WORST
    span = np.log10(largest / 1000)
    for params, accuracy in sorted(points):
        if accuracy > reached:
            area += (accuracy - reached) * np.log10(largest / params) / span
            reached = accuracy
    return area / (1 - WORST)


def course(out: Path, kind: str, largest: float) -> str:
    """The hypervolume by search accuracy, as measured, after every STEP networks."""
    lines = (out / kind / "evaluations.jsonl").read_text().splitlines()
    metrics = [row["metrics"] for row in map(json.loads, lines) if row["status"] == "ok"]
    points = [(m["params"], m["accuracy"]) for m in metrics]
    counts = range(STEP, len(points) + 1, STEP)
    return ", ".join(f"{n}: {hypervolume(points[:n], largest):.3f}" for n in counts)


def rank_correlation(table: pd.DataFrame, figure: str) -> tuple[float, float, float]:
    """Spearman's of search accuracy and a figure, and its bootstrap interval."""
    pairs = table[["search_accuracy", figure]].to_numpy()
    rng = np.random.default_rng(0)
    drawn = [pairs[rng.integers(len(pairs), size=len(pairs))] for _ in range(RESAMPLES)]
    ranks = [stats.spearmanr(*d.T).statistic for d in drawn if len(np.unique(d[:, 0])) > 1]
    low, high = np.quantile(ranks, [0.025, 0.975])
    return float(stats.spearmanr(*pairs.T).statistic), float(low), float(high)


def draw(table: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for kind, (label, colour, marker) in KINDS.items():
        some = table[table["kind"] == kind].sort_values("params")
        mean = 100 * some["test_flip_mean"]
        half = 100 * (some["test_flip_high"].astype(float) - some["test_flip_mean"]).fillna(0)
        seeds = half if half.any() else None  # of one seed, no bar
        axes.errorbar(some["params"], mean, seeds, fmt=marker, color=colour, capsize=3, label=label)
        best = mean.cummax()
        axes.step(some["params"], best, where="post", color=colour, alpha=0.4)
    logarithmic(axes)
    axes.set_xlabel("parameters")
    axes.set_ylabel("PrivateTest accuracy after long training, mirrored (%)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=120)


def main(out: Path) -> None:
    table = load(out)
    write_scores(out)
    draw(table, out / "fronts.png")
    print("| search | network | parameters | seeds | search accuracy | public, mirrored | "
          "private, single | private, mirrored |")  # fmt: skip
    print("| --- " * 8 + "|")
    for row in table.sort_values("params").itertuples():
        accuracies = (row.search_accuracy, row.validation_flip_mean, row.test_mean,
                      row.test_flip_mean)  # fmt: skip
        cells = [row.kind, f"`{row.id}`", f"{row.params:,}", row.seeds,
                 *(f"{100 * a:.1f}" for a in accuracies)]  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |")
    largest = limit(out)
    for kind, (label, *_) in KINDS.items():
        print(f"{label}: by search accuracy after so many networks {course(out, kind, largest)}")
        some = table.loc[table["kind"] == kind, ["params", "test_flip_mean"]]
        volume = hypervolume(some.itertuples(index=False, name=None), largest)
        print(f"{label}: hypervolume {volume:.4f}, {len(some)} networks")
    for figure in FIGURES:
        rank, low, high = rank_correlation(table, figure)
        print(f"search accuracy with {figure}: {rank:.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
