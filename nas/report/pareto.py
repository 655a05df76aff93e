"""Pareto fronts as pictures: PNG for a look, PDF and SVG for a paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from nas.report.axes import axis, scale_of
from nas.report.colours import BASELINE, BEST, FRONT, INK, MUTED, ORDER, PUBLISHED, REFERENCE
from nas.report.front import staircase
from nas.report.labels import place_labels
from nas.report.plots import logarithmic, plain, write_figure

Row = dict[str, Any]


def pareto_picture(path: Path, overview: Row, published: bool = False) -> None:
    """The measure against each axis, of what nas.search.overview gives.

    published: with the networks' published test accuracies, of far longer training. Marks: what was
    measured. Bars: what is believed of a network on the front, less and plus one deviation; the
    front is chosen by it.
    """
    panels = [_Panel(overview, axis, published) for axis in overview["axes"]]
    figure = Figure(figsize=(0.4 + 4.2 * max(2, len(panels)), 5.2), dpi=120, layout="constrained")
    figure.suptitle(
        plain(f"{overview['space']} on {overview['data']}: {len(overview['networks'])} networks"),
        color=INK,
    )
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, ax in zip(panels, axes, strict=True):
        panel.draw(ax)
    axes[0].set_ylabel(plain(overview["measure"]["label"]))
    handles, names = axes[0].get_legend_handles_labels()
    columns = 4 if len(panels) > 2 else 3 if len(panels) > 1 else 2
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False,
                  fontsize=9)  # fmt: skip
    for panel, ax in zip(panels, axes, strict=True):
        panel.label(ax)
    write_figure(path, figure)


def objectives_figure(
    networks: Sequence[Row], objectives: Sequence[tuple[str, bool]], title: str
) -> Figure:
    """The first objective against each of the others, whatever they are.

    networks: rows of the objectives' values and `front`. objectives: name, and whether more is
    better. The line bounds what is dominated in these two alone.
    """
    (first, up), *others = objectives
    figure = Figure(figsize=(1.5 + 4 * len(others), 4.2), dpi=110, layout="constrained")
    figure.suptitle(plain(title), color=INK, fontsize=10)
    panels = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
    measure = axis(first, up)
    for axes, (key, more) in zip(panels, others, strict=True):
        along = axis(key, more)
        points = {
            front: [(scale_of(along) * n[key], scale_of(measure) * n[first])
                    for n in networks if n["front"] == front]
            for front in (False, True)
        }  # fmt: skip
        for front, colour, size, name in (
            (False, MUTED, 11, "evaluated"), (True, FRONT, 34, "Pareto front")
        ):  # fmt: skip
            if points[front]:
                axes.scatter(*zip(*points[front], strict=True), color=colour, s=size, linewidths=0,
                             zorder=2 + front, label=name)  # fmt: skip
        _stairs(axes, points[True], 1 if up else -1, smaller=not more)
        if all(x > 0 for x, _ in points[False] + points[True]):
            logarithmic(axes)
        axes.set_xlabel(plain(along["label"]))
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0].set_ylabel(plain(measure["label"]))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False, fontsize=9)  # fmt: skip
    return figure


class _Panel:
    """One axis of the picture, and what is drawn on it."""

    def __init__(self, overview: Row, axis: Row, published: bool) -> None:
        self.overview, self.axis = overview, axis
        self.measure = overview["measure"]
        self.scale = scale_of(self.measure)
        self.up = 1 if self.measure["maximize"] else -1
        self.networks = [n for n in overview["networks"] if n["status"] == "ok" and self._has(n)]
        self.front = [n for n in self.networks if n["front"]]
        self.trained = [r for r in overview["references"] if self._has(r)]
        self.published = [
            r for r in overview["references"]
            if published and self.measure["name"] == "accuracy" and r["published"] is not None
            and axis["name"] in r["metrics"]
        ]  # fmt: skip

    def draw(self, axes: Axes) -> None:
        if self.axis["log"]:
            logarithmic(axes)
        axes.set_xlabel(plain(self.axis["label"]))
        axes.grid(alpha=0.3, linewidth=0.5)
        rest = [n for n in self.networks if not n["front"]]
        order = LinearSegmentedColormap.from_list("order", ORDER)
        axes.scatter(
            self._x(rest), self._y(rest), c=[n["index"] for n in rest], cmap=order, s=11,
            linewidths=0, zorder=2, label="evaluated, light first to dark last",
        )  # fmt: skip
        points = zip(self._x(self.networks), self._y(self.networks), strict=True)
        _stairs(axes, points, self.up, smaller=not self.axis["maximize"], linestyle=":",
                label="best for its cost")  # fmt: skip
        believed = any(n.get("low") is not None for n in self.front)
        measure = self.measure["name"]
        self._bars(axes, self.front, FRONT, f"believed {measure}, one deviation")
        name = (
            f"Pareto front by believed {measure}, as measured"
            if believed
            else "Pareto front of all objectives"
        )
        axes.scatter(self._x(self.front), self._y(self.front), s=34, color=FRONT, zorder=3,
                     linewidths=0, label=name)  # fmt: skip
        best = [n for n in self.front if n["id"] == self.overview["best"]][:1]
        axes.scatter(self._x(best), self._y(best), marker="*", s=190, color=BEST, zorder=5,
                     label=f"best.json (fitness by believed {measure})" if believed
                     else "best.json (penalised fitness)")  # fmt: skip
        name = "reference, trained here"
        _hollow(axes, self._x(self.trained), self._y(self.trained), "D", REFERENCE, name)
        if self.overview["baseline"]:
            others = [n for n in self.overview["baseline"]["front"] if self._has(n)]
            name = f"front of the baseline ({self.overview['baseline']['algorithm']})"
            self._bars(axes, others, BASELINE)
            _hollow(axes, self._x(others), self._y(others), "s", BASELINE, name)
        shares = [100 * n["published"] for n in self.published]
        name = "published, test split, fully trained"
        _hollow(axes, self._x(self.published), shares, "^", PUBLISHED, name)

    def label(self, axes: Axes) -> None:
        """The names of the references, when the axes have their final limits."""
        at = zip(self.trained, self._x(self.trained), self._y(self.trained), strict=True)
        labels = [(r["name"], x, y, REFERENCE) for r, x, y in at]
        marks = list(zip(self._x(self.networks), self._y(self.networks), strict=True))
        known = [(r, x, 100 * r["published"])
                 for r, x in zip(self.published, self._x(self.published), strict=True)]  # fmt: skip
        labels += [(r["name"], x, y, PUBLISHED) for r, x, y in known]
        marks += [(x, y) for _, x, y in known] + [(x, y) for _, x, y, _ in labels]
        place_labels(axes, labels, np.array(marks).reshape(-1, 2))

    def _bars(self, axes: Axes, rows: list[Row], colour: str, name: str | None = None) -> None:
        bars = [n for n in rows if n.get("low") is not None]
        for network, x in zip(bars, self._x(bars), strict=True):
            ends = [self.scale * network["low"], self.scale * network["high"]]
            axes.plot([x, x], ends, color=colour, linewidth=1.2, alpha=0.6, marker="_",
                      markersize=5, zorder=2, label=name)  # fmt: skip
            name = None  # one entry of the legend

    def _has(self, row: Row) -> bool:
        return all(a["name"] in row["metrics"] for a in (self.axis, self.measure))

    def _x(self, rows: list[Row]) -> list[float]:
        return [scale_of(self.axis) * row["metrics"][self.axis["name"]] for row in rows]

    def _y(self, rows: list[Row]) -> list[float]:
        return [self.scale * row["metrics"][self.measure["name"]] for row in rows]


def _stairs(
    axes: Axes, points: Iterable[tuple[float, float]], up: int, smaller: bool, **style: Any
) -> None:
    """The boundary of what is dominated. up: -1 where less y is better. smaller: x is better."""
    corners = staircase(((x, up * y) for x, y in points), smaller)
    if corners:
        axes.plot([x for x, _ in corners], [up * y for _, y in corners], color=FRONT, linewidth=1,
                  alpha=0.7, zorder=1, **style)  # fmt: skip


def _hollow(
    axes: Axes, x: list[float], y: list[float], marker: str, colour: str, name: str
) -> None:
    if x:
        axes.scatter(x, y, marker=marker, s=42, facecolors="none", edgecolors=colour,
                     linewidths=1.6, zorder=4, label=name)  # fmt: skip
