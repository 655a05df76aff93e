"""Networks after their long training: accuracy for their size, and for what the search saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.report.colours import BEST, FRONT, INK

Row = dict[str, Any]
MARKS = (
    ("test", "o", "full", FRONT, "one view"),
    ("test_flip", "s", "none", BEST, "mean with the mirror image"),
)


def final_figure(rows: Sequence[Row], rank_correlation: float | None) -> Figure:
    """Test accuracy against parameters and against search accuracy, where that is known.

    rows: what nas.search.final.FIELDS names, at least one; bars are 95 % intervals over seeds.
    """
    figure = Figure(figsize=(11, 4.8), dpi=120, layout="constrained")
    size, searched = figure.subplots(1, 2, sharey=True)
    seeds = sorted({row["seeds"] for row in rows})
    figure.suptitle(
        f"{len(rows)} networks fully trained, {' or '.join(map(str, seeds))} seeds each"
        + ("; bars: 95 % intervals of the mean over seeds" if max(seeds) > 1 else ""),
        color=INK, fontsize=10,
    )  # fmt: skip
    _draw(size, rows, "params", 1)
    size.set_xscale("log")
    size.set_xlabel("parameters")
    size.set_ylabel("test accuracy (%)")
    _draw(searched, rows, "search_accuracy", 100)
    ranks = "" if rank_correlation is None else f"; rank correlation {rank_correlation:.2f}"
    searched.set_xlabel(f"search accuracy, held-out images (%){ranks}")
    figure.legend(*size.get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False, fontsize=9)  # fmt: skip
    return figure


def _draw(axes: Axes, rows: Sequence[Row], key: str, scale: float) -> None:
    for figure, marker, fill, colour, name in MARKS:
        some = [r for r in rows if r[key] is not None and r[f"{figure}_mean"] is not None]
        if not some:
            continue
        middle = [100 * row[f"{figure}_mean"] for row in some]
        arms = [  # below and above; 0 for one seed
            [0.0 if row[f"{figure}_{end}"] is None
             else 100 * abs(row[f"{figure}_{end}"] - row[f"{figure}_mean"]) for row in some]
            for end in ("low", "high")
        ]  # fmt: skip
        axes.errorbar([scale * row[key] for row in some], middle, arms, fmt=marker, color=colour,
                      markersize=6, fillstyle=fill, capsize=3, linewidth=1, label=name)  # fmt: skip
    axes.grid(alpha=0.3, linewidth=0.5)
