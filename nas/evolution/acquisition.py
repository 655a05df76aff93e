"""How much a child would gain: the expected hypervolume improvement. No torch here.

Only accuracy is uncertain; a child's costs are known exactly. So the expectation is an integral
over accuracy alone: of the chance to reach a level, times the area of costs that a network of this
level and these costs would newly dominate there.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtr

LEVELS = 48  # of accuracy between the reference and the best one known
ABOVE = 16  # and above the best


def expected_hypervolume_improvement(
    mean: Any, deviation: Any, scale: Callable[[Any], Any], costs: Any,
    front_accuracy: Any, front_costs: Any, reference: tuple[float, Any],
) -> Any:  # fmt: skip
    """Expected gain (children,) in hypervolume.

    mean, deviation (children,): of accuracy after `scale`. costs (children, k), smaller is better,
    k 1 or 2. front_accuracy (n,), front_costs (n, k): what is known. reference: (accuracy, costs).
    """
    lowest, limits = reference
    edges = _edges(lowest, max(float(front_accuracy.max()), lowest))

    def area(level: float) -> Any:
        return _new_area(costs, front_costs[front_accuracy >= level], limits)

    return _integral(mean, deviation, scale, edges, area)


def expected_improvement(
    mean: Any, deviation: Any, scale: Callable[[Any], Any], penalties: Any, best: float
) -> Any:
    """Expected gain (children,) of `accuracy - penalty` over the best value known."""
    edges = _edges(max(0.0, best), max(0.0, min(1.0, best + float(penalties.min()))))
    certain = np.maximum(0.0, -(best + penalties))  # gained with an accuracy of 0 already
    return certain + _integral(
        mean, deviation, scale, edges, lambda level: (level - penalties > best).astype(float)
    )


def _edges(lowest: float, best: float) -> Any:
    """Levels of accuracy; the steps above the best one grow, since few children get far."""
    above = best + (1 - best) * np.linspace(0, 1, ABOVE + 1) ** 2
    return np.concatenate([np.linspace(lowest, best, LEVELS + 1)[:-1], above])


def _integral(
    mean: Any, deviation: Any, scale: Callable[[Any], Any], edges: Any,
    area: Callable[[float], Any],
) -> Any:  # fmt: skip
    """Over accuracy, of the chance to reach a level times the area that is new there."""
    gain = np.zeros(len(mean))
    for low, high in pairwise(edges):
        if high > low:
            level = (low + high) / 2
            chance = ndtr((mean - scale(level)) / deviation)
            gain += chance * area(level) * (high - low)
    return gain


def _new_area(costs: Any, taken: Any, limits: Any) -> Any:
    """Area (children,) between a child's costs and the limits that no point of `taken` covers."""
    if costs.shape[1] == 1:
        end = min([float(limits[0]), *taken[:, 0]])
        return np.maximum(0.0, end - costs[:, 0])
    order = np.argsort(taken[:, 0], kind="stable")
    starts = np.concatenate([[-np.inf], taken[order, 0]])
    ends = np.minimum(np.append(taken[order, 0], limits[0]), limits[0])
    heights = np.minimum.accumulate(np.concatenate([[limits[1]], taken[order, 1]]))
    widths = np.maximum(0.0, ends - np.maximum(starts, costs[:, :1]))
    return (widths * np.maximum(0.0, np.minimum(heights, limits[1]) - costs[:, 1:])).sum(1)
