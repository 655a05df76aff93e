"""Labels beside their marks in a matplotlib picture: none covers a mark or another label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

TURNS = (0, 8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15)  # sixteenths; beside it first
DISTANCES = (8, 14, 22, 32, 44, 58, 74, 92)  # points between a mark and its label
MARK = 3  # points that a mark takes on each side of its middle


def place_labels(
    axes: Any, labels: Sequence[tuple[str, float, float, str]], marks: npt.NDArray[np.float64]
) -> None:
    """labels: (text, x, y, colour) at data coordinates; marks (n, 2): what must stay free.

    Call it when the axes have their final limits. A label that finds no free place stands where
    it covers fewest marks; a thin line leads from a distant one to its mark.
    """
    figure = axes.figure
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    renderer = figure._get_renderer()
    inside = axes.get_window_extent(renderer).padded(-4 * scale)
    obstacles = axes.transData.transform(marks) if len(marks) else np.empty((0, 2))
    angles = np.array(TURNS) * np.pi / 8
    sides = list(zip(np.cos(angles), np.sin(angles), strict=True))
    taken: list[tuple[float, float, float, float]] = []
    for text, x, y, colour in labels:
        at = axes.transData.transform((x, y))
        drawn = axes.annotate(text, (x, y), color=colour, fontsize=8.5, va="bottom", ha="left",
                              xytext=(0, 0), textcoords="offset points")  # fmt: skip
        box = drawn.get_window_extent(renderer)
        size = (box.width, box.height)
        best: tuple[float, float, float] | None = None
        for far in DISTANCES:
            for dx, dy in sides:
                left = at[0] + dx * far * scale - (0.5 - 0.5 * dx) * size[0]
                low = at[1] + dy * far * scale - (0.5 - 0.5 * dy) * size[1]
                spot = (left, low, left + size[0], low + size[1])
                outside = (
                    spot[0] < inside.x0 or spot[2] > inside.x1
                    or spot[1] < inside.y0 or spot[3] > inside.y1
                )  # fmt: skip
                if outside or any(_cross(spot, other) for other in taken):
                    continue
                cost = _covered(spot, obstacles, MARK * scale) + far / 1000
                if best is None or cost < best[0]:
                    best = (cost, left, low)
        if best is None:  # the axes are smaller than the text: nothing fits
            drawn.remove()
            continue
        _, left, low = best
        taken.append((left, low, left + size[0], low + size[1]))
        drawn.set_position(((left - at[0]) / scale, (low - at[1]) / scale))
        middle = np.clip(at, (left, low), (left + size[0], low + size[1]))
        if np.hypot(*(middle - at)) > 12 * scale:
            ends = axes.transData.inverted().transform([at, middle])
            axes.plot(*ends.T, color=colour, linewidth=0.6, zorder=1, scalex=False, scaley=False)


def _cross(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _covered(
    spot: tuple[float, float, float, float], marks: npt.NDArray[np.float64], reach: float
) -> int:
    low, high = np.array(spot[:2]) - reach, np.array(spot[2:]) + reach
    return int(((marks > low) & (marks < high)).all(axis=1).sum())
