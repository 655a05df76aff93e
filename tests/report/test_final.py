"""The picture of a front after long training has the intervals where they are."""

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from nas.report.final import final_figure


def row(params, searched, mean, low=None, high=None):
    parts = {"test_mean": mean, "test_low": low, "test_high": high}
    flipped = {f"test_flip_{part}": None for part in ("mean", "low", "high")}
    return {"seeds": 2, "params": params, "search_accuracy": searched, **parts, **flipped}


def drawn(axes):
    """Of each network: x, the mean, and the ends of its interval."""
    (container,) = (c for c in axes.containers if isinstance(c, ErrorbarContainer))
    points = np.column_stack(container.lines[0].get_data())
    ends = [segment[:, 1].tolist() for segment in container.lines[2][0].get_segments()]
    return [(*point, *end) for point, end in zip(points.tolist(), ends, strict=True)]


def test_means_and_intervals_are_where_they_belong():
    rows = [row(1000, 0.4, 0.6, 0.59, 0.64), row(2000, 0.5, 0.7)]
    size, searched = final_figure(rows, 1.0).axes
    expected = [[60, 59, 64], [70, 70, 70]]
    for axes, x in ((size, (1000, 2000)), (searched, (40, 50))):
        for found, at, ends in zip(drawn(axes), x, expected, strict=True):
            assert found == pytest.approx((at, *ends))
