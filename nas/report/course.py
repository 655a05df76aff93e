"""The course of a search as pictures: hypervolume, and how well accuracy was predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.report.axes import scale_of
from nas.report.colours import BASELINE, FRONT, MUTED
from nas.report.plots import plain, write_figure

Row = dict[str, Any]


def course_picture(path: Path, overview: Row) -> None:
    """Hypervolume against evaluations and running time; predicted against measured accuracy."""
    figure = Figure(figsize=(13, 4.6), dpi=120, layout="constrained")
    evaluations, minutes, predicted = figure.subplots(1, 3)
    for axes, key, scale, label in (
        (evaluations, 0, 1, "networks evaluated"),
        (minutes, 1, 60, "minutes that the search ran"),
    ):
        _volume(axes, overview["hypervolume"], key, scale, FRONT, "-", "this run")
        if overview["baseline"]:
            name = f"baseline ({overview['baseline']['algorithm']})"
            curve = overview["baseline"]["hypervolume"]
            _volume(axes, curve, key, scale, BASELINE, "--", name)
        axes.set_xlabel(label)
        axes.set_ylabel("hypervolume (share of the box, %)")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3, linewidth=0.5)
    if overview["baseline"]:
        handles, names = evaluations.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    _prediction(predicted, overview["surrogate"], overview["measure"])
    write_figure(path, figure)


def _volume(
    axes: Axes, curve: list[list[float]], key: int, scale: float, colour: str, line: str, name: str
) -> None:
    x, y = [point[key] / scale for point in curve], [100 * point[2] for point in curve]
    axes.step(x, y, where="post", color=colour, linestyle=line, label=name)


def _prediction(axes: Axes, checked: Row | None, measure: Row) -> None:
    scale = scale_of(measure)
    axes.set_xlabel(plain(f"measured {measure['label']}"))
    axes.set_ylabel(plain(f"predicted {measure['name']}") + (" (%)" if measure["share"] else ""))
    axes.grid(alpha=0.3, linewidth=0.5)
    if checked is None:
        axes.text(0.5, 0.5, "too few networks", ha="center", transform=axes.transAxes)
        return
    points = checked["points"]
    x, y, low, high = ([scale * p[k] for p in points]
                       for k in ("measured", "predicted", "low", "high"))  # fmt: skip
    bars = np.abs(np.array([low, high]) - np.array(y))
    axes.errorbar(x, y, bars, fmt="o", markersize=3, color=FRONT, ecolor="#9fc5df", elinewidth=0.7)
    ends = [min(x), max(x)]
    axes.plot(ends, ends, color=MUTED, linestyle="--", linewidth=1)
    how = "before its training" if checked["before"] else "from the others"
    title = f"{len(points)} networks, each predicted {how}; bars: one deviation"
    if checked["rank_correlation"] is not None:
        title += f"\nrank correlation {checked['rank_correlation']:.2f}"
    axes.set_title(title, fontsize=9)
