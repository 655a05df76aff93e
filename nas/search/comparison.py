"""Several runs against each other: one reference point, seeds as repetitions, a rank test."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from nas.evolution.pareto import pareto_front
from nas.search.archive import Evaluation
from nas.search.compare import flatten, read_part
from nas.search.store import RunDirectory
from nas.search.volume import Box, Curve
from nas.space.space import SearchSpace

# They differ between repetitions of one search, and make no other search of it.
REPETITION = ("config.yaml: seed", "config.yaml: workers", "config.yaml: evaluations",
              "config.yaml: time_budget")  # fmt: skip
GRID = 60  # params at which attainment is read
QUANTILES = (0.0, 0.5, 1.0)  # of the seeds: the worst, the median, the best
Row = dict[str, Any]


@dataclass(frozen=True)
class _Run:
    directory: RunDirectory
    evaluations: list[Evaluation]
    settings: dict[str, Any]  # flat, of config.yaml and space.yaml
    classes: int

    @property
    def name(self) -> str:
        return str(self.directory.path)

    @property
    def way(self) -> tuple[tuple[str, str], ...]:
        """What makes runs repetitions of one another: all settings but the seed and the budget."""
        rest = {k: str(v) for k, v in self.settings.items() if k not in REPETITION}
        return tuple(sorted(rest.items()))


def comparison(directories: Sequence[RunDirectory]) -> Row:
    """Plain data of the runs for nas.report: fronts, hypervolume, attainment, tests, settings."""
    runs = [_open(directory) for directory in directories]
    groups: dict[tuple[tuple[str, str], ...], list[_Run]] = defaultdict(list)
    for run in runs:
        groups[run.way].append(run)
    names = _names(list(groups.values()))
    box = Box.around([run.evaluations for run in runs], min(run.classes for run in runs))
    curves = {run.name: box.curve(run.evaluations) if box else [] for run in runs}
    budget = min(len(run.evaluations) for run in runs)
    seconds = min((curve[-1][1] for curve in curves.values() if curve), default=0.0)
    rows = [
        _row(run, name, curves[run.name], budget, seconds)
        for name, group in zip(names, groups.values(), strict=True)
        for run in group
    ]
    return {
        "runs": rows,
        "groups": names,
        "budget": {"evaluations": budget, "seconds": seconds},
        "attainment": {
            name: _attainment([run.evaluations for run in group])
            for name, group in zip(names, groups.values(), strict=True)
        },
        "tests": _tests(rows, names),
        "settings": _differences(runs),
    }


def _open(directory: RunDirectory) -> _Run:
    parts = ("config.yaml", "space.yaml")
    settings = {
        f"{part}: {key}": value
        for part in parts
        for key, value in flatten(read_part(directory.file(part))).items()
    }
    space = SearchSpace.load(directory.file("space.yaml"))
    return _Run(directory, directory.archive().evaluations, settings, space.classes)


def _names(groups: list[list[_Run]]) -> list[str]:
    """A short name for each way to search: the settings in which it differs from the others."""
    if len(groups) == 1:
        return ["all runs"]
    settings = [dict(group[0].way) for group in groups]
    keys = sorted({k for s in settings for k in s if len({o.get(k) for o in settings}) > 1})
    short = ["config.yaml: algorithm", "config.yaml: surrogate"]
    keys = [k for k in short if k in keys] or keys[:2]
    names = [", ".join(_word(key, s.get(key)) for key in keys) for s in settings]
    if len(set(names)) < len(names):  # what tells them apart is too long for a name
        names = [f"{name} ({group[0].directory.path.name})"
                 for name, group in zip(names, groups, strict=True)]  # fmt: skip
    return names


def _word(key: str, value: str | None) -> str:
    name = key.split(": ")[1]
    return str(value) if name == "algorithm" else f"{name} {value}"


def _row(run: _Run, group: str, curve: Curve, budget: int, seconds: float) -> Row:
    return {
        "run": run.name,
        "group": group,
        "seed": run.settings.get("config.yaml: seed"),
        "evaluations": len(run.evaluations),
        "failed": sum(e.status == "failed" for e in run.evaluations),
        "seconds": curve[-1][1] if curve else 0.0,
        "hypervolume": curve[-1][2] if curve else 0.0,
        "at_evaluations": _at(curve, 0, budget),
        "at_seconds": _at(curve, 1, seconds),
        "curve": curve,
        "front": [{"id": e.id, **e.metrics} for e in pareto_front(run.evaluations)],
    }


def _at(curve: Curve, key: int, limit: float) -> float:
    """Hypervolume when so many evaluations were made, or so many seconds had passed."""
    place = bisect_right([point[key] for point in curve], limit)
    return curve[place - 1][2] if place else 0.0


def _attainment(runs: Sequence[Sequence[Evaluation]]) -> list[Row]:
    """The accuracy that the worst, the median and the best seed reach with at most so many params.

    Only where every seed has a network so small.
    """
    points = [sorted((e.metrics["params"], e.metrics["accuracy"]) for e in run if e.ok)
              for run in runs]  # fmt: skip
    if not all(points):
        return []
    smallest, largest = max(p[0][0] for p in points), max(p[-1][0] for p in points)
    rows = []
    for params in np.geomspace(smallest, max(largest, smallest * 1.001), GRID):
        reached = [max(a for size, a in p if size <= params * (1 + 1e-9)) for p in points]
        low, middle, high = np.quantile(reached, QUANTILES).tolist()
        rows.append({"params": float(params), "low": low, "median": middle, "high": high})
    return rows


def _tests(rows: Sequence[Row], groups: Sequence[str]) -> list[Row]:
    """Mann and Whitney's rank test of the hypervolumes at equal evaluations, two-sided."""
    found = {g: [r["at_evaluations"] for r in rows if r["group"] == g] for g in groups}
    tests = []
    for one, other in combinations(groups, 2):
        if min(len(found[one]), len(found[other])) < 2:
            continue
        result = mannwhitneyu(found[one], found[other], alternative="two-sided")
        pairs = len(found[one]) * len(found[other])
        tests.append({
            "one": one, "other": other, "seeds": f"{len(found[one])} and {len(found[other])}",
            "p": float(result.pvalue), "better": float(result.statistic) / pairs,
        })  # fmt: skip
    return tests


def _differences(runs: Sequence[_Run]) -> list[Row]:
    """Settings that are not alike, a value for each run in their order."""
    keys = {key: None for run in runs for key in run.settings}
    rows = [{"setting": key, "values": [run.settings.get(key) for run in runs]} for key in keys]
    return [row for row in rows if any(value != row["values"][0] for value in row["values"])]
