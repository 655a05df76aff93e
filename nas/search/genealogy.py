"""Where a network comes from, and which kinds of change paid."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from nas.arch.genome import Genome
from nas.common.errors import UserError
from nas.report.metrics import mean_interval
from nas.search.archive import Evaluation
from nas.space.changes import changes
from nas.space.space import SearchSpace

Row = dict[str, Any]
CROSSOVER = "crossover"


def changes_of(
    evaluation: Evaluation, by_id: dict[str, Evaluation], space: SearchSpace
) -> list[Row]:
    """Rows of `gene`, `old`, `new`: what differs from the first parent; as recorded, else compared.

    Empty where the parent is not among the evaluations `by_id`, or lies outside the space.
    """
    recorded = [dict(change) for change in evaluation.changes]
    parents = [by_id[name] for name in evaluation.parents if name in by_id]
    if recorded or not parents:
        return recorded
    try:
        pair = [space.genotype(e.genome) for e in (parents[0], evaluation)]
    except UserError:
        return []
    return [dataclasses.asdict(change) for change in changes(*pair)]


def trace(
    evaluations: Sequence[Evaluation], winner: Evaluation | None, initial: Sequence[Genome],
    space: SearchSpace, metric: str = "accuracy", maximize: bool = True,
) -> Row:  # fmt: skip
    """line: ids from an oldest ancestor (a seed genome where there is one) to the winner.
    paid: for each kind of change how often it was made and how much better in the metric the child
    was than its parent.
    """
    by_id = first_of_each(evaluations)
    seeds = {genome.id for genome in initial}
    return {"line": _line(by_id, winner, seeds), "paid": _paid(by_id, space, metric, maximize)}


def first_of_each(evaluations: Sequence[Evaluation]) -> dict[str, Evaluation]:
    """Genome id -> its first evaluation that ended well."""
    return {e.id: e for e in reversed(evaluations) if e.ok}


def kind_of(change: Row) -> str:
    """A change in a few words: `kernel of a block`, `block inserted`, `dropout of the head`."""
    gene = str(change.get("gene", ""))
    section, *_, name = gene.split(".") if "." in gene else (gene, gene)
    if name.isdigit():
        old, new = change.get("old"), change.get("new")
        done = "inserted" if old is None else "removed" if new is None else "replaced"
        return f"block {done}"
    if ".blocks." in gene:
        return f"{name} of a block"
    return {"stages": f"{name} of a stage", "stem": f"{name} of the stem",
            "head": f"{name} of the head"}.get(section, gene)  # fmt: skip


def _line(by_id: dict[str, Evaluation], winner: Evaluation | None, seeds: set[str]) -> list[str]:
    """Breadth first over the parents: the shortest way to a seed genome, else to the oldest."""
    if winner is None or not winner.parents:
        return []
    child_of: dict[str, str] = {winner.id: ""}
    queue = [winner.id]
    for name in queue:
        if name in seeds:
            return _down(child_of, name)
        for parent in by_id[name].parents if name in by_id else ():
            if parent not in child_of:
                child_of[parent] = name
                queue.append(parent)
    return _down(child_of, queue[-1])


def _down(child_of: dict[str, str], name: str) -> list[str]:
    line: list[str] = []
    while name:
        line.append(name)
        name = child_of[name]
    return line


def _paid(
    by_id: dict[str, Evaluation], space: SearchSpace, metric: str, maximize: bool
) -> list[Row]:
    """Gains of children over their first parent, a row for each kind of change, the best first.

    A child of several changes counts for each of their kinds, one of two parents as crossover.
    """
    gains: dict[str, list[float]] = defaultdict(list)
    for child in by_id.values():
        parents = [by_id[p] for p in child.parents if p in by_id]
        if not parents or any(metric not in e.metrics for e in (child, parents[0])):
            continue
        gain = child.metrics[metric] - parents[0].metrics[metric]
        kinds = {CROSSOVER}
        if len(child.parents) == 1:
            kinds = {kind_of(change) for change in changes_of(child, by_id, space)}
        for kind in kinds:
            gains[kind].append(gain if maximize else -gain)
    rows = [{"change": kind, **mean_interval(values)} for kind, values in gains.items()]
    return sorted(rows, key=lambda row: -row["mean"])
