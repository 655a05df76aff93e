"""What differs between two runs: settings, space, environment, machine, and the first result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.common.errors import shown
from nas.common.files import read_json, read_yaml
from nas.common.schema import flatten
from nas.search.archive import Evaluation
from nas.search.store import RunDirectory

EVERY_RUN = ("started", "command", "calibration.seconds")  # differ between any two
FILES = ("config.yaml", "space.yaml", "environment.json", "initial.json", "machine.json")


def differences(a: Path, b: Path) -> list[str]:
    """A line for each difference, causes first. UserError when one of them is no run."""
    runs = [RunDirectory.open(path) for path in (a, b)]
    lines = []
    for name in FILES:
        left, right = (flatten(read_part(run.file(name))) for run in runs)
        lines += [f"{name}: {line}" for line in _unequal(left, right)]
    return lines + _results(*(run.archive().evaluations for run in runs))


def read_part(path: Path) -> Any:
    """The plain data of a run's file; {} where there is none."""
    if not path.exists():
        return {}
    return read_yaml(path) if path.suffix == ".yaml" else read_json(path, 64 << 20)


def _results(a: list[Evaluation], b: list[Evaluation]) -> list[str]:
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
