"""What a child promises: expected improvement, of the front's hypervolume or of one fitness.

Notation and shapes
    n, M       children; objectives, 2 or 3, every one as a value z of which less is better
    Y_j        (n,)    a child's value of objective j: known, or uncertain before its training
    front      (p, M)  the best values known; reference (M,): gains beyond it do not count
    l_b, u_b   (B, M)  disjoint boxes that tile what is better than the reference and not dominated

Expected hypervolume improvement (Emmerich, Giannakoglou and Naujoks 2006; as a sum over boxes:
Yang, Emmerich, Deutz and Baeck 2019, which BoTorch follows too):
    EHVI = E[ volume of the z that Y dominates and the front does not ]
         = sum_b prod_j E[ length of [l_bj, u_bj] above Y_j ]
         = sum_b prod_j int_{l_bj}^{u_bj} P(Y_j <= z) dz
The product holds because objectives are taken for independent: each uncertain metric has a Gaussian
process of its own. Where Y_j is known the integral is max(0, u_bj - max(l_bj, Y_j)). Where it is
uncertain, scale(Y_j) is normal for a monotone scale, and the integral is a sum over levels.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from nas.evolution.pareto import nondominated

Array = npt.NDArray[np.float64]
Scale = Callable[[npt.ArrayLike], Array]

LEVELS = 48  # of an uncertain value between the reference and the best one known
ABOVE = 16  # and better than that


class Values(Protocol):
    """Values (n,) of one objective, less is better."""

    def lengths(self, lower: Array, upper: Array) -> Array:
        """Expected length (n, B) of each interval [lower, upper] (B,) above the value."""


@dataclass(frozen=True)
class Known:
    """values: (n,)."""

    values: Array

    def lengths(self, lower: Array, upper: Array) -> Array:
        return np.asarray(np.maximum(0.0, upper - np.maximum(lower, self.values[:, None])))


@dataclass(frozen=True)
class Uncertain:
    """mean, deviation (n,): of scale(-value), which is normal. ideal: no value is less; best: the
    least one known, near which levels are dense.
    """

    mean: Array
    deviation: Array
    scale: Scale
    ideal: float
    best: float

    def lengths(self, lower: Array, upper: Array) -> Array:
        low, high = np.maximum(lower, self.ideal), np.maximum(upper, self.ideal)
        edges = np.unique(np.concatenate([low, high, self._levels(float(high.max()))]))
        middles = (edges[1:] + edges[:-1]) / 2
        reached = ndtr((self.mean[:, None] - self.scale(-middles)) / self.deviation[:, None])
        until = np.zeros((len(self.mean), len(edges)))
        np.cumsum(reached * np.diff(edges), axis=1, out=until[:, 1:])
        return until[:, np.searchsorted(edges, high)] - until[:, np.searchsorted(edges, low)]

    def _levels(self, worst: float) -> Array:
        best = min(max(self.best, self.ideal), worst)
        better = best + (self.ideal - best) * np.linspace(0, 1, ABOVE + 1) ** 2
        return np.concatenate([better, np.linspace(best, worst, LEVELS + 1)])


def expected_hypervolume_improvement(
    children: Sequence[Values], front: Array, reference: Array
) -> Array:
    """EHVI (n,) of the notation. children: one `Values` for each of the M objectives."""
    lower, upper = nondominated_boxes(front, reference)
    gain = children[0].lengths(lower[:, 0], upper[:, 0])
    for j, values in enumerate(children[1:], 1):
        gain = gain * values.lengths(lower[:, j], upper[:, j])
    return np.asarray(gain.sum(1))


def nondominated_boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """Lower and upper corners (B, M) of disjoint boxes, M 2 or 3, B at most about 3 p.

    Together they hold every z below the reference (M,) that no point of the front (p, M) dominates;
    lower corners reach to minus infinity.
    """
    inside = front[(front < reference).all(axis=1)]
    points = inside[nondominated(inside)] if len(inside) else inside
    flat = points.shape[1] == 2
    if flat:  # a third objective in which all are alike
        points = np.column_stack([points, np.zeros(len(points))])
        reference = np.append(reference, 1.0)
    boxes = np.array(_sweep(points[np.lexsort(points.T)], *map(float, reference)))
    if flat:
        boxes = boxes[boxes[:, 1, 2] == 1.0][:, :, :2]
    return boxes[:, 0], boxes[:, 1]


def _sweep(points: Array, x: float, y: float, z: float) -> list[list[tuple[float, float, float]]]:
    """Boxes (lower, upper) below the reference (x, y, z); points: (p, 3), by ascending z.

    At every z the region that is not dominated is a row of strips along x, each lower than the one
    before: strip i is starts[i] <= x < starts[i + 1], y < tops[i], and has been so since[i].
    """
    starts, tops, since = [-np.inf], [y], [-np.inf]
    boxes = []

    def close(i: int, left: float, until: float) -> None:
        right = starts[i + 1] if i + 1 < len(starts) else x
        if since[i] < until and left < right:
            boxes.append([(left, -np.inf, since[i]), (right, tops[i], until)])

    for px, py, pz in points.tolist():
        first = bisect_right(starts, px) - 1
        last = first
        while last < len(starts) and tops[last] > py:
            close(last, max(starts[last], px), pz)
            last += 1
        if last == first:
            continue  # dominated at this z by an earlier point
        keep = first + (starts[first] < px)  # the first one's left part goes on
        starts[keep:last], tops[keep:last], since[keep:last] = [px], [py], [pz]
    for i in range(len(starts)):
        close(i, starts[i], z)
    return boxes


def expected_improvement(
    mean: Array, deviation: Array, scale: Scale, penalties: Array, best: float
) -> Array:
    """Expected gain (n,) of `metric - penalty` over the best value known, for a share 0..1."""
    above = max(0.0, min(1.0, best + float(penalties.min())))
    edges = _edges(max(0.0, best), above)
    gain = np.maximum(0.0, -(best + penalties))  # gained with a metric of 0 already
    for low, high in pairwise(edges):
        if high > low:
            level = (low + high) / 2
            chance = ndtr((mean - scale(level)) / deviation)
            gain = gain + chance * (level - penalties > best) * (high - low)
    return np.asarray(gain)


def sampled_improvement(values: Array, best: float) -> Array:
    """Expected gain (n,) over the best, the mean over samples. values: (samples, n)."""
    return np.asarray(np.maximum(0.0, values - best).mean(0))


def _edges(lowest: float, best: float) -> Array:
    above = best + (1 - best) * np.linspace(0, 1, ABOVE + 1) ** 2
    return np.concatenate([np.linspace(lowest, best, LEVELS + 1)[:-1], above])
