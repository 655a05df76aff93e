"""Score optimizers on a table of trained networks, at equal budgets of different networks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nas.bench.baselines import Strategy, observed_front
from nas.bench.table import Rows, Table

NEAR = (0.1, 0.5)  # points below the best accuracy
CURVE = 60  # points of a curve, spread evenly on a logarithmic axis

log = logging.getLogger(__name__)


def compare(
    table: Table, strategies: dict[str, Strategy], budgets: Sequence[int], seeds: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(scores: a row for each optimizer, budget and seed; curves: hypervolume at evaluations).

    Every strategy runs once a seed, to the largest budget: a smaller one is its beginning.
    """
    top = min(max(budgets), len(table))
    marks = np.unique(np.geomspace(10, top, CURVE).round().astype(int))
    scores, curves = [], []
    for name, strategy in strategies.items():
        started = time.perf_counter()
        for seed in range(seeds):
            rows = np.array(strategy.run(table, top, seed))
            for budget in budgets:
                scores.append({"optimizer": name, "seed": seed, "budget": budget,
                               **score(table, rows[:budget], strategy.front)})  # fmt: skip
            for n in marks:
                volume = table.hypervolume(rows[:n])
                curves.append({"optimizer": name, "seed": seed, "evaluations": int(n),
                               "hypervolume": volume})  # fmt: skip
        took = (time.perf_counter() - started) / seeds
        log.info("%s: %s: %d seeds, %.1f s each", table.name, name, seeds, took)
    return pd.DataFrame(scores), pd.DataFrame(curves)


def score(
    table: Table, rows: npt.ArrayLike, front: Callable[[Table, Rows], Rows] = observed_front
) -> dict[str, float]:
    """Figures of the networks evaluated so far, in order.

    regret: points between the best val_accuracy of the table and of these. evaluations_to_best,
    _0.1, _0.5: how many it took to come within so many points, inf where it did not.
    front_found: share of the true front among them. test_hypervolume: of the front that would be
    returned, `front` of them, see Table.test_hypervolume.
    """
    rows = np.asarray(rows)
    found = table.accuracy[rows]
    best = float(table.accuracy.max())
    return {
        "hypervolume": table.hypervolume(rows),
        "regret": best - float(found.max()),
        "evaluations_to_best": _first(found >= best),
        **{f"evaluations_to_{near}": _first(found >= best - near) for near in NEAR},
        "front_found": float(np.isin(table.front, rows).mean()),
        "test_hypervolume": table.test_hypervolume(front(table, rows)),
        "evaluated": len(rows),
    }


def summary(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Medians and quartiles over the seeds, one row for each optimizer and budget."""
    out = []
    pairs = scores[["optimizer", "budget"]].drop_duplicates().itertuples(index=False)
    for name, budget in pairs:
        group = scores[(scores["optimizer"] == name) & (scores["budget"] == budget)]
        row: dict[str, Any] = {"optimizer": str(name), "budget": int(budget)}
        for key in group.columns.drop(["optimizer", "seed", "budget"]):
            row[key] = _plain(group[key].quantile(0.5, interpolation="lower"))
            row[f"{key}_q1"] = _plain(group[key].quantile(0.25, interpolation="lower"))
            row[f"{key}_q3"] = _plain(group[key].quantile(0.75, interpolation="lower"))
        out.append(row)
    return out


def _first(reached: npt.NDArray[np.bool_]) -> float:
    return float(np.argmax(reached)) + 1 if reached.any() else float("inf")


def _plain(value: float) -> float | None:
    """JSON has no infinity: None means that half of the seeds or more never got there."""
    return float(value) if np.isfinite(value) else None
