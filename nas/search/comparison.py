"""Several runs against each other: one reference point, seeds as repetitions, a rank test."""

from __future__ import annotations

import json
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from nas.common.aliases import GONE
from nas.common.errors import UserError, shown
from nas.common.files import parse_yaml, read_json, read_yaml
from nas.common.schema import flatten
from nas.evolution.objectives import Objective
from nas.evolution.pareto import Member
from nas.report.axes import axes_of
from nas.search.archive import Evaluation
from nas.search.settings import STATIC
from nas.search.store import RunDirectory
from nas.search.volume import Box, Curve

# They differ between repetitions of one search, and make no other search of it.
REPETITION = ("config.yaml: seed", "config.yaml: workers", "config.yaml: evaluations",
              "config.yaml: time_budget")  # fmt: skip
GRID = 60  # places at which attainment is read
QUANTILES = (0.0, 0.5, 1.0)  # of the seeds: the worst, the median, the best
EVERY_RUN = ("started", "command", "calibration.seconds")  # differ between any two
FILES = ("config.yaml", "space.yaml", "environment.json", "initial.json", "machine.json")
Row = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Run:
    directory: RunDirectory
    evaluations: list[Evaluation]
    settings: Row  # flat, of config.yaml and space.yaml
    classes: int
    objectives: tuple[Objective, ...]
    front: list[Member[Evaluation]]

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
    runs = [_open(directory) for directory in _different(directories)]
    groups: dict[tuple[tuple[str, str], ...], list[_Run]] = defaultdict(list)
    for run in runs:
        groups[run.way].append(run)
    names = _names(list(groups.values()))
    objectives = _objectives(runs)
    classes = min(run.classes for run in runs)
    box = Box.around([run.evaluations for run in runs], classes, objectives)
    measure, axes = axes_of(
        [(o.name, o.maximize) for o in objectives],
        [e.metrics for run in runs for e in run.evaluations if e.ok],
        STATIC,
    )
    curves = {run.name: box.curve(run.evaluations) if box else [] for run in runs}
    budget = min(len(run.evaluations) for run in runs)
    seconds = min((curve[-1][1] for curve in curves.values() if curve), default=0.0)
    rows = [
        _row(run, name, curves[run.name], budget, seconds, measure["name"])
        for name, group in zip(names, groups.values(), strict=True)
        for run in group
    ]
    return {
        "runs": rows,
        "groups": names,
        "measure": measure,
        "axes": axes,
        "box": [asdict(side) for side in box.sides] if box else [],
        "budget": {"evaluations": budget, "seconds": seconds},
        "attainment": {
            name: _attainment([run.evaluations for run in group], measure, axes[0])
            for name, group in zip(names, groups.values(), strict=True)
        },
        "tests": _tests(rows, names),
        "settings": _differences(runs),
    }


def _different(directories: Sequence[RunDirectory]) -> list[RunDirectory]:
    """Each run once: twice, as by `experiments/*` with its `latest`, it would be two seeds."""
    found: dict[Path, RunDirectory] = {}
    for directory in directories:
        if found.setdefault(directory.path.resolve(), directory) is not directory:
            log.info("%s: named more than once, taken once", directory.path)
    return list(found.values())


def _open(directory: RunDirectory) -> _Run:
    settings, space = directory.settings(), directory.space()
    archive = directory.archive(space.contains)
    # As JSON has them: an older file, with other names or another spelling, says the same.
    config = {**json.loads(json.dumps(asdict(settings))), **_gone(directory)}
    plain = {"config.yaml": config, "space.yaml": parse_yaml(space.to_yaml(), "space.yaml")}
    flat = {f"{file}: {key}": v for file in plain for key, v in flatten(plain[file]).items()}
    return _Run(directory, archive.evaluations, flat, space.classes, settings.objectives,
                directory.front(archive))  # fmt: skip


def _gone(directory: RunDirectory) -> Row:
    """Options of version 0.1 that are no settings any longer, where they were on."""
    gone = {name for names in GONE.values() for name in names}
    plain = flatten(read_yaml(directory.file("config.yaml")))
    return {key: value for key, value in plain.items() if value and gone & {*key.split(".")}}


def _objectives(runs: Sequence[_Run]) -> tuple[Objective, ...]:
    """Those that all runs have. UserError where they share fewer than two."""
    shared = tuple(
        o for o in runs[0].objectives
        if all((o.name, o.maximize) in {(p.name, p.maximize) for p in r.objectives} for r in runs)
    )  # fmt: skip
    if len(shared) < 2:
        found = "; ".join(f"{r.name}: {', '.join(o.name for o in r.objectives)}" for r in runs)
        raise UserError(f"these runs share fewer than two objectives: {found}")
    return shared


def _names(groups: list[list[_Run]]) -> list[str]:
    """A short name for each way to search: the settings in which it differs from the others."""
    if len(groups) == 1:
        return ["all runs"]
    settings = [dict(group[0].way) for group in groups]
    keys = sorted({k for s in settings for k in s if len({o.get(k) for o in settings}) > 1})
    keys = ["config.yaml: algorithm"] if "config.yaml: algorithm" in keys else keys[:2]
    names = [", ".join(_word(key, s.get(key)) for key in keys) for s in settings]
    if len(set(names)) < len(names):  # what tells them apart is too long for a name
        names = [f"{name} ({group[0].directory.path.name})"
                 for name, group in zip(names, groups, strict=True)]  # fmt: skip
    return names


def _word(key: str, value: str | None) -> str:
    name = key.split(": ")[1]
    return str(value) if name == "algorithm" else f"{name} {value}"


def _row(run: _Run, group: str, curve: Curve, budget: int, seconds: float, metric: str) -> Row:
    """The front as it was returned, with what is believed of the metric, one deviation off it."""
    ends = [(m, m.interval.get(metric, (None, None))) for m in run.front]
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
        "front": [
            {"id": m.measured.id, "metrics": m.measured.metrics, "low": low, "high": high}
            for m, (low, high) in ends
        ],
    }


def _at(curve: Curve, key: int, limit: float) -> float:
    """Hypervolume when so many evaluations were made, or so many seconds had passed."""
    place = bisect_right([point[key] for point in curve], limit)
    return curve[place - 1][2] if place else 0.0


def _attainment(runs: Sequence[Sequence[Evaluation]], measure: Row, axis: Row) -> list[Row]:
    """The measure that the worst, the median and the best seed reach with at most so much of the
    axis (at least, where more of it is better).

    Only where every seed has a network that frugal.
    """
    up, along = (1 if row["maximize"] else -1 for row in (measure, axis))
    names = axis["name"], measure["name"]
    points = [
        np.array([[-along * e.metrics[names[0]], up * e.metrics[names[1]]] for e in run
                  if e.ok and names[0] in e.metrics and names[1] in e.metrics]).reshape(-1, 2)
        for run in runs
    ]  # fmt: skip
    if not all(map(len, points)):
        return []
    first, last = max(p[:, 0].min() for p in points), max(p[:, 0].max() for p in points)
    rows = []
    for cost in _grid(first, last, axis["log"]):
        reached = [p[p[:, 0] <= cost + 1e-9 * abs(cost), 1].max() for p in points]
        low, middle, high = (up * np.quantile(reached, QUANTILES)).tolist()
        rows.append({"x": -along * cost, "low": low, "median": middle, "high": high})
    return rows


def _grid(first: float, last: float, log: bool) -> list[float]:
    """GRID costs from the first to the last, even on the axis that they are drawn on."""
    if first == last:
        return [first]
    if not log:
        return [float(x) for x in np.linspace(first, last, GRID)]
    sign = float(np.sign(first))  # of what is to be maximized, the costs are below 0
    return [sign * float(x) for x in np.geomspace(abs(first), abs(last), GRID)]


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


def differences(a: Path, b: Path) -> list[str]:
    """What differs between two runs, a line each, causes first, then the first result.

    UserError when one of them is no run.
    """
    runs = [RunDirectory.open(path) for path in (a, b)]
    lines = []
    for name in FILES:
        left, right = (flatten(_part(run.file(name))) for run in runs)
        lines += [f"{name}: {line}" for line in _unequal(left, right)]
    return lines + _first_difference(*(run.archive().evaluations for run in runs))


def _part(path: Path) -> Any:
    """The plain data of a run's file; {} where there is none."""
    if not path.exists():
        return {}
    return read_yaml(path) if path.suffix == ".yaml" else read_json(path, 64 << 20)


def _first_difference(a: list[Evaluation], b: list[Evaluation]) -> list[str]:
    """How many evaluations agree, and the first that does not."""
    left, right = ({e.index: e for e in found} for found in (a, b))
    for index in sorted(left.keys() | right.keys()):
        one, other = left.get(index), right.get(index)
        if one is None or other is None:
            return [f"evaluation {index}: only in the {'second' if one is None else 'first'} run"]
        if one.id != other.id:
            return [f"evaluation {index}: genome {one.id} | {other.id}"]
        if (one.status, one.metrics) != (other.status, other.metrics):
            found = "; ".join(_unequal(_outcome(one), _outcome(other)))
            return [f"evaluation {index}, genome {one.id}: {found}"]
    return []


def _outcome(evaluation: Evaluation) -> dict[str, Any]:
    return {"status": evaluation.status, **evaluation.metrics}


def _unequal(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [
        f"{key}: {shown(one.get(key))} | {shown(other.get(key))}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key) and not key.startswith(EVERY_RUN)
    ]
