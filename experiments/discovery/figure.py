"""Final networks against published ones: python experiments/discovery/figure.py [SCORES.csv ...]

Prints the rows of README.md's table: mean over seeds, and Student's 95 % interval of the mean where
there are several. Of all scores it also writes front.png and a drawing of each network that ships.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from scipy import stats

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from nas.arch.genome import Genome
from nas.arch.picture import svg
from nas.report.colours import BASELINE, BEST, FRONT, REFERENCE
from nas.report.colours import PUBLISHED as PUBLISHED_COLOUR
from nas.report.labels import place_labels
from nas.report.plots import logarithmic

HERE = Path(__file__).parent
MEANS = ("public_flip", "private", "private_flip", "private_new_flip", "macro_f1_flip")
PUBLISHED = [  # parameters, private test accuracy in %; sources in docs/references.md
    ("mini-Xception", 58_423, 66.0), ("report, 158 epochs", 784_263, 68.5),
    ("TinyFER-Lite", 930_000, 67.1), ("Pramerdorfer VGG", 1_800_000, 72.7),
    ("Pramerdorfer ResNet", 5_300_000, 72.4), ("Khaireddin VGG", 29_900_000, 73.3),
]  # fmt: skip
SHIPPED = {  # name: genome
    "model": "fer_tiny/search-long/1f8ca14e9b93/genome.json", "best": "further/16d74f9d25d1.json",
}  # fmt: skip
KINDS = {  # name starts with: label, colour, marker
    "search": ("our searches", FRONT, "o"),
    "random": ("random search", BASELINE, "s"),
    "proposed": ("the report's network", REFERENCE, "D"),
    "mini": ("mini-Xception, our training", REFERENCE, "P"),
    "5M": ("residual, by hand", BEST, "v"),
}


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """A row for each network: means over seeds, and the half width of the interval."""
    rows = []
    for (name, genome), group in scores.groupby(["name", "genome"], sort=False):
        row = {"name": name, "genome": genome, "params": group["params"].iloc[0],
               "macs": group["macs"].iloc[0], "seeds": len(group)}  # fmt: skip
        for column in MEANS:
            row[column] = group[column].mean()
        row["half"] = _half_width(group["private_flip"])
        rows.append(row)
    return pd.DataFrame(rows).sort_values("params", ignore_index=True)


def _half_width(values: pd.Series) -> float:
    n = len(values)
    return float(stats.t.ppf(0.975, n - 1) * values.std() / np.sqrt(n)) if n > 1 else np.nan


def draw(table: pd.DataFrame, path: Path) -> None:
    """Accuracy against parameters; error bars where there are seeds."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for start, (label, colour, marker) in KINDS.items():
        some = table[table["name"].str.startswith(start)]
        if len(some):
            axes.errorbar(some["params"], some["private_flip"], some["half"].fillna(0), fmt=marker,
                          color=colour, label=label, capsize=3)  # fmt: skip
    _, params, accuracy = zip(*PUBLISHED, strict=True)
    axes.scatter(params, accuracy, marker="^", s=42, facecolors="none", edgecolors=PUBLISHED_COLOUR,
                 linewidths=1.6, zorder=4, label="published, as reported")  # fmt: skip
    logarithmic(axes)
    axes.set_xlabel("parameters")
    axes.set_ylabel("PrivateTest accuracy (%), ours mirrored")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9,
                  title="bars: 95 % intervals over seeds", title_fontsize=9)  # fmt: skip
    bars = [(x, y + share * half) for x, y, half in
            zip(table["params"], table["private_flip"], table["half"].fillna(0), strict=True)
            for share in np.linspace(-1, 1, 21)]  # fmt: skip
    marks = np.array([*zip(params, accuracy, strict=True), *bars])
    figure.set_dpi(120)
    place_labels(axes, [(n, x, y, PUBLISHED_COLOUR) for n, x, y in PUBLISHED], marks)
    figure.savefig(path, dpi=120)


def main(files: list[str]) -> None:
    found = files or sorted(str(path) for path in HERE.glob("*/scores.csv"))
    table = summary(pd.concat([pd.read_csv(path) for path in found]))
    if not files:
        draw(table, HERE / "front.png")
        for name, file in SHIPPED.items():
            (HERE / f"{name}.svg").write_text(svg(Genome.load(HERE / file)))
    print("| network | parameters | million MACs | seeds | public | private, single | private | "
          "private without copies | macro F1 |")  # fmt: skip
    print("| --- " * 9 + "|")
    for row in table.itertuples():
        spread = "" if np.isnan(row.half) else f" ± {row.half:.1f}"
        cells = [
            f"{row.name} `{row.genome}`", f"{row.params:,}", f"{row.macs / 1e6:.1f}", row.seeds,
            f"{row.public_flip:.1f}", f"{row.private:.1f}", f"{row.private_flip:.1f}{spread}",
            f"{row.private_new_flip:.1f}", f"{row.macro_f1_flip:.1f}",
        ]  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main(sys.argv[1:])
