"""Pareto fronts as pictures: PNG for a look, PDF and SVG for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from nas.report.colours import BASELINE, BEST, FRONT, INK, MUTED, ORDER, PUBLISHED, REFERENCE
from nas.report.front import staircase
from nas.report.labels import place_labels
from nas.report.plots import write_figure

AXES = {
    "params": "parameters",
    "macs": "multiply-accumulates an image",
    "fps": "predicted frames a second (batch 1, one thread)",
}
Row = dict[str, Any]


def pareto_picture(path: Path, overview: Row, published: bool = False) -> None:
    """Accuracy against params, MACs and fps, of what nas.search.overview gives.

    published: with the networks' published test accuracies, of far longer training.
    """
    figure = Figure(figsize=(13, 5.2), dpi=120, layout="constrained")
    figure.suptitle(
        f"{overview['space']} on {overview['data']}: {len(overview['networks'])} networks",
        color=INK,
    )
    panels = figure.subplots(1, 3, sharey=True)
    for axes, key in zip(panels, AXES, strict=True):
        _panel(axes, key, overview, published)
    panels[0].set_ylabel("search accuracy, held-out images (%)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    for axes, key in zip(panels, AXES, strict=True):
        _label(axes, key, overview, published)
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
    figure.suptitle(title, color=INK, fontsize=10)
    panels = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
    scale = 100 if first == "accuracy" else 1
    for axes, (key, more) in zip(panels, others, strict=True):
        points = {
            front: [(n[key], scale * n[first]) for n in networks if n["front"] == front]
            for front in (False, True)
        }
        for front, colour, size, name in (
            (False, MUTED, 11, "evaluated"), (True, FRONT, 34, "Pareto front")
        ):  # fmt: skip
            if points[front]:
                axes.scatter(*zip(*points[front], strict=True), color=colour, s=size, linewidths=0,
                             zorder=2 + front, label=name)  # fmt: skip
        sign = 1 if up else -1
        corners = staircase(((x, sign * y) for x, y in points[True]), smaller=not more)
        if corners:
            axes.plot([x for x, _ in corners], [sign * y for _, y in corners], color=FRONT,
                      linewidth=1, alpha=0.7, zorder=1)  # fmt: skip
        if all(x > 0 for x, _ in points[False] + points[True]):
            _logarithmic(axes)
        axes.set_xlabel(AXES.get(key, key))
        axes.grid(alpha=0.3, linewidth=0.5)
    panels[0].set_ylabel("search accuracy, held-out images (%)" if scale > 1 else first)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False, fontsize=9)  # fmt: skip
    return figure


def _panel(axes: Any, key: str, overview: Row, published: bool) -> None:
    found = [n for n in overview["networks"] if n["status"] == "ok" and n.get(key)]
    rest = [n for n in found if not n["front"]]
    front = [n for n in found if n["front"]]
    _logarithmic(axes)
    axes.set_xlabel(AXES[key])
    axes.grid(alpha=0.3, linewidth=0.5)
    order = LinearSegmentedColormap.from_list("order", ORDER[::-1])
    axes.scatter(
        _x(rest, key), _y(rest), c=[n["index"] for n in rest], cmap=order, s=11, linewidths=0,
        zorder=2, label="evaluated, light first to dark last",
    )  # fmt: skip
    corners = staircase(((n[key], 100 * n["accuracy"]) for n in found), smaller=key != "fps")
    if corners:
        axes.plot(*zip(*corners, strict=True), color=FRONT, linewidth=1, alpha=0.7, zorder=1,
                  label="best for its cost")  # fmt: skip
    bars = [n for n in front if n.get("low") is not None]
    if bars:
        low, high = ([100 * abs(n[k] - n["accuracy"]) for n in bars] for k in ("low", "high"))
        axes.errorbar(_x(bars, key), _y(bars), [low, high], fmt="none", ecolor=FRONT, zorder=3)
    axes.scatter(_x(front, key), _y(front), s=34, color=FRONT, zorder=3, linewidths=0,
                 label="Pareto front of all objectives")  # fmt: skip
    best = [n for n in front if n["id"] == overview["best"]][:1]
    axes.scatter(_x(best, key), _y(best), marker="*", s=190, color=BEST, zorder=5,
                 label="best.json (penalised fitness)")  # fmt: skip
    trained = _trained(overview)
    _hollow(axes, _x(trained, key), _y(trained), "D", REFERENCE, "reference, trained here")
    if overview["baseline"]:
        others = overview["baseline"]["front"]
        name = f"front of the baseline ({overview['baseline']['algorithm']})"
        _hollow(axes, _x(others, key), _y(others), "s", BASELINE, name)
    if published:
        known = _published(overview, key)
        shares = [100 * n["published"] for n in known]
        name = "published, test split, fully trained"
        _hollow(axes, _x(known, key), shares, "^", PUBLISHED, name)


def _logarithmic(axes: Any) -> None:
    """A logarithmic x axis with numbers such as 20k, which stay apart however short it is."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label(axes: Any, key: str, overview: Row, published: bool) -> None:
    found = [n for n in overview["networks"] if n["status"] == "ok" and n.get(key)]
    labels = [(n["name"], n[key], 100 * n["accuracy"], REFERENCE) for n in _trained(overview)]
    marks = [(n[key], 100 * n["accuracy"]) for n in found]
    if published:
        known = _published(overview, key)
        labels += [(n["name"], n[key], 100 * n["published"], PUBLISHED) for n in known]
        marks += [(n[key], 100 * n["published"]) for n in known]
    place_labels(axes, labels, np.array(marks))


def _hollow(axes: Any, x: list[float], y: list[float], marker: str, colour: str, name: str) -> None:
    if x:
        axes.scatter(x, y, marker=marker, s=42, facecolors="none", edgecolors=colour,
                     linewidths=1.6, zorder=4, label=name)  # fmt: skip


def _trained(overview: Row) -> list[Row]:
    return [r for r in overview["references"] if r.get("accuracy") is not None and r.get("fps")]


def _published(overview: Row, key: str) -> list[Row]:
    return [r for r in overview["references"] if r["published"] is not None and r.get(key)]


def _x(rows: list[Row], key: str) -> list[float]:
    return [row[key] for row in rows]


def _y(rows: list[Row]) -> list[float]:
    return [100 * row["accuracy"] for row in rows]
