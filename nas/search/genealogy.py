"""Where a network comes from, and which kinds of change paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from nas.arch.genome import Genome
from nas.report.metrics import mean_interval
from nas.search.archive import Evaluation

Row = dict[str, Any]
LONGEST = 1000  # generations of a line


def parents_of(evaluation: Evaluation) -> list[str]:
    """Ids of the genomes that it was made of; empty for random ones and in older runs."""
    parents = getattr(evaluation, "parents", ()) or (getattr(evaluation, "parent", ""),)
    return [str(parent) for parent in parents if parent]


def changes_of(evaluation: Evaluation) -> list[Row]:
    """What the operators changed: rows with `operator`, `gene`, `old`, `new`; or empty."""
    return [dict(change) for change in getattr(evaluation, "changes", ())]


def trace(
    evaluations: Sequence[Evaluation], winner: Evaluation | None, initial: Sequence[Genome]
) -> Row:
    """line: ids from an oldest ancestor (a seed genome where there is one) to the winner.
    paid: for each kind of change how often it was made and the child's accuracy less its parent's.
    """
    by_id = {e.id: e for e in reversed(evaluations) if e.ok}  # the first evaluation of each
    seeds = {genome.id for genome in initial}
    return {"line": _line(by_id, winner, seeds), "paid": _paid(by_id)}


def _line(by_id: dict[str, Evaluation], winner: Evaluation | None, seeds: set[str]) -> list[str]:
    """Breadth first over the parents: the shortest way to a seed genome, else to the oldest."""
    if winner is None or not parents_of(winner):
        return []
    child_of: dict[str, str] = {winner.id: ""}
    queue = [winner.id]
    for name in queue:
        if name in seeds:
            return _down(child_of, name)
        for parent in parents_of(by_id[name]) if name in by_id else ():
            if parent not in child_of:
                child_of[parent] = name
                queue.append(parent)
    return _down(child_of, queue[-1])


def _down(child_of: dict[str, str], name: str) -> list[str]:
    line: list[str] = []
    while name and len(line) < LONGEST:
        line.append(name)
        name = child_of[name]
    return line


def _paid(by_id: dict[str, Evaluation]) -> list[Row]:
    """Gains of children over their first parent, a row for each kind of change, the best first."""
    gains: dict[str, list[float]] = defaultdict(list)
    for e in by_id.values():
        parents = [by_id[p] for p in parents_of(e) if p in by_id]
        if not parents:
            continue
        gain = e.metrics["accuracy"] - parents[0].metrics["accuracy"]
        kinds = {str(change.get("operator", "")) for change in changes_of(e)}
        for kind in kinds or {"crossover" if len(parents) > 1 else "mutation"}:
            gains[kind].append(gain)
    rows = [{"change": kind, **mean_interval(values)} for kind, values in gains.items()]
    return sorted(rows, key=lambda row: -row["mean"])
