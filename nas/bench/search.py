"""Score optimizers on a table of trained networks, at equal budgets of different networks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nas.bench.baselines import SINGLE, STRATEGIES, Strategy, observed_front
from nas.bench.table import Rows, Table
from nas.common.files import make_folder, replace_file
from nas.report.plots import hypervolume_png

NEAR = (0.1, 0.5)  # points below the best accuracy
CURVE = 60  # points of a curve, spread evenly on a logarithmic axis

log = logging.getLogger(__name__)


def measure(
    path: Path, cost: str | None, names: Sequence[str], *, single: bool, budgets: Sequence[int],
    seeds: int, out: Path | None,
) -> tuple[Table, list[dict[str, Any]]]:  # fmt: skip
    """The table, and the summary of the optimizers of these names; with `out`, all as files there.

    single: for accuracy alone, on the test column. UserError where the table is none.
    """
    table, known = Table.load(path, cost), STRATEGIES
    if single:
        table, known = table.noise_free(), SINGLE
    scores, curves = compare(table, {name: known[name] for name in names}, sorted(budgets), seeds)
    if out:
        _write(out, table.name, scores, curves)
    return table, summary(scores)


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
            for name_of, share in (("", 0.5), ("_q1", 0.25), ("_q3", 0.75)):
                quartile = group[key].quantile(share, interpolation="lower")
                row[f"{key}{name_of}"] = _plain(quartile)
        out.append(row)
    return out


def _write(out: Path, name: str, scores: pd.DataFrame, curves: pd.DataFrame) -> None:
    make_folder(out)
    medians = curves.groupby(["optimizer", "evaluations"], sort=False)["hypervolume"]
    quartiles = medians.quantile([0.25, 0.5, 0.75]).unstack().reset_index()
    quartiles.columns = ["optimizer", "evaluations", "q1", "median", "q3"]
    for kind, frame, digits in (("scores", scores, "%.6g"), ("curves", quartiles, "%.5f")):
        text = frame.to_csv(index=False, float_format=digits)
        replace_file(out / f"{name}_{kind}.csv", text)
    lines = {
        str(optimizer): group[["evaluations", "q1", "median", "q3"]].to_numpy().tolist()
        for optimizer, group in quartiles.groupby("optimizer", sort=False)
    }
    hypervolume_png(out / f"{name}.png", lines, name)


def _first(reached: npt.NDArray[np.bool_]) -> float:
    return float(np.argmax(reached)) + 1 if reached.any() else float("inf")


def _plain(value: float) -> float | None:
    """JSON has no infinity: None means that half of the seeds or more never got there."""
    return float(value) if np.isfinite(value) else None
