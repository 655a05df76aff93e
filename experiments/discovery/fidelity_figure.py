"""Rank correlation and regret of each short training against its cost.

    python experiments/discovery/fidelity_figure.py OUT     # OUT of fidelity.py

Writes OUT/fidelity.png and prints a table. rank: Spearman's correlation of the short training's
figure on the held-out rows with the long training's accuracy on PublicTest; low, high: its 95 %
bootstrap interval over networks. smaller half: the correlation for half of the networks, so that
size does not do the work. with costs: the signal is a linear fit of the final accuracy to the short
one and the logarithms of MACs and parameters, each network predicted from the others. as the search
reads it: drawn towards what the held-out cross entropy says (nas/evolution/predictor.py). regret:
points between the best network and the one that the short training would choose, both after the
long one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from nas.evolution.predictor import readings
from nas.report.colours import FRONT

RESAMPLES = 2000
LEAST = 8  # networks, for a fit of four numbers
Array = npt.NDArray[np.float64]
SIGNALS = {"held_out_accuracy": 1, "held_out_loss": -1}
SHOWN = {"held_out_accuracy": "accuracy", "held_out_loss": "cross entropy"}


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    return float(stats.spearmanr(a, b).statistic)


def with_costs(short: pd.Series, long: pd.DataFrame, final: npt.NDArray[np.float64]) -> Array:
    """(n,): what a linear fit to the other networks predicts of each."""
    x = np.column_stack([np.ones(len(short)), short, np.log(long["macs"]), np.log(long["params"])])
    rows = np.arange(len(x))
    fits = [np.linalg.lstsq(x[rows != i], final[rows != i], rcond=None)[0] for i in rows]
    return np.array([x[i] @ fits[i] for i in rows])


def interval(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    rows = [rng.integers(len(a), size=len(a)) for _ in range(RESAMPLES)]
    low, high = np.nanquantile([spearman(a[r], b[r]) for r in rows], [0.025, 0.975])
    return float(low), float(high)


def compare(results: pd.DataFrame) -> pd.DataFrame:
    """A row for each short arm and signal."""
    long = results[results["arm"] == "long"].set_index("id")
    rows = []
    for name, group in results.groupby("arm", sort=False):
        if str(name).startswith("long"):
            continue
        short = group.set_index("id")
        ids = [i for i in short.index if i in long.index]
        short, final = short.loc[ids], 100 * long.loc[ids, "public_accuracy"].to_numpy()
        small = long.loc[ids, "params"].to_numpy() <= long.loc[ids, "params"].median()
        signals = {name: sign * short[name].to_numpy() for name, sign in SIGNALS.items()}
        if len(ids) >= LEAST:
            fitted = with_costs(short["held_out_accuracy"], long.loc[ids], final)
            signals["held_out_accuracy with costs"] = fitted
            metrics = [{"accuracy": row.held_out_accuracy, "loss": row.held_out_loss}
                       for row in short.itertuples()]  # fmt: skip
            signals["accuracy as the search reads it"] = readings("accuracy", metrics)
        for signal, values in signals.items():
            low, high = interval(values, final)
            rows.append({
                "arm": name, "signal": signal, "networks": len(ids),
                "seconds": short["seconds"].mean(), "rank": spearman(values, final), "low": low,
                "high": high, "smaller half": spearman(values[small], final[small]),
                "regret": float(final.max() - final[values.argmax()]),
            })  # fmt: skip
    again = results[results["arm"] == "long again"].set_index("id")
    ids = [i for i in again.index if i in long.index]
    if len(ids) > 2:
        a, b = again.loc[ids, "public_accuracy"], long.loc[ids, "public_accuracy"]
        print(f"two long trainings of {len(ids)} networks: rank {spearman(a, b):.2f}, deviation "
              f"of one {100 * (a - b).std() / 2**0.5:.2f} points")  # fmt: skip
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, path: Path) -> None:
    """A row for each arm, the cheapest first; filled: by accuracy, hollow: by cross entropy."""
    arms = table.drop_duplicates("arm").sort_values("seconds", ascending=False)
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.55 * len(arms)), layout="constrained")
    for (signal, shown), shift in zip(SHOWN.items(), (0.12, -0.12), strict=True):
        rows = table[table["signal"] == signal].set_index("arm").loc[arms["arm"]]
        ends = [rows["rank"] - rows["low"], rows["high"] - rows["rank"]]
        axes.errorbar(rows["rank"], np.arange(len(rows)) + shift, xerr=ends, fmt="o", color=FRONT,
                      capsize=3, fillstyle="none" if shift < 0 else "full",
                      label=f"by held-out {shown}")  # fmt: skip
    labels = [
        f"{row.arm}, {row.networks} networks\n{row.seconds:.0f} s each" for row in arms.itertuples()
    ]
    axes.set_yticks(range(len(arms)), labels)
    axes.set_xlabel("rank correlation with the long training")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(path, dpi=120)


def main(out: Path) -> None:
    results = pd.read_json(out / "results.jsonl", lines=True)
    table = compare(results)
    draw(table, out / "fidelity.png")
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
