"""Who inherits from whom: the weights that a run keeps, and the nearest parent of a child.

Weights travel inside tasks and evaluations as safetensors, so workers on any machine need no common
file system; the driver alone reads and writes `weights/` of the run directory.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Container
from functools import lru_cache
from pathlib import Path

from nas.arch.genome import Genome
from nas.arch.layers import Layer
from nas.arch.lowering import lower
from nas.common.files import replace_file
from nas.search.archive import Evaluation, Front
from nas.training.evaluator import Task, WarmStart

# Least share of a child's layers that its parent has too. Of fer.yaml's mutations nine in ten have
# more than 0.54; the nearest of 40 random networks has 0.31 at most.
KIN = 1 / 3


class WeightPool:
    """Parents to be: the front, and the `recent` latest that finished.

    What is kept follows from what was told alone, so that a resumed search finds the same parents.
    """

    def __init__(self, folder: Path, recent: int) -> None:
        self.folder = folder
        self._front = Front()
        self._recent: deque[Evaluation] = deque(maxlen=recent)
        self._members: dict[str, Evaluation] = {}
        self._leaving: set[str] = set()

    def keep(self, evaluation: Evaluation) -> Evaluation:
        """Store the weights that came with an evaluation; UserError when the disk is full."""
        if evaluation.weights:
            self.folder.mkdir(exist_ok=True)
            replace_file(self._path(evaluation.id), evaluation.weights)
        return dataclasses.replace(evaluation, weights=b"")

    def tell(self, evaluation: Evaluation, needed: Container[str]) -> None:
        """A finished network may become a parent; weights that are of no use any more go.

        needed: ids of parents whose children have not finished.
        """
        if evaluation.ok:
            self._front.add(evaluation)
            self._recent.append(evaluation)
            members = {e.id: e for e in (*self._front, *self._recent)}
            self._leaving = (self._leaving | self._members.keys() | {evaluation.id}) - set(members)
            self._members = members
        for gone in [i for i in self._leaving if i not in needed]:
            self._path(gone).unlink(missing_ok=True)
            self._leaving.discard(gone)

    def heritage(self, child: Genome) -> WarmStart | None:
        """Of the nearest parent, by layers in common; the more accurate of equals. None: no kin."""
        ranked = [(kinship(child, e.genome), e.metrics["accuracy"], -e.index, e)
                  for e in self._members.values()]  # fmt: skip
        share, _, _, parent = max(ranked, key=lambda row: row[:3], default=(0.0, 0.0, 0, None))
        if parent is None or share < KIN:
            return None
        return WarmStart(parent.genome, parent.fidelity.epochs + parent.inherited_epochs)

    def equip(self, task: Task) -> Task:
        """The task with its parent's weights; a newborn's where they are gone."""
        if task.heritage is None:
            return task
        try:
            weights = self._path(task.heritage.genome.id).read_bytes()
        except OSError:
            return dataclasses.replace(task, heritage=None)
        return dataclasses.replace(
            task, heritage=dataclasses.replace(task.heritage, weights=weights)
        )

    def _path(self, genome_id: str) -> Path:
        return self.folder / f"{genome_id}.safetensors"


def kinship(child: Genome, parent: Genome) -> float:
    """Share of the child's layers with parameters that the parent has too, in the same place."""
    ours = _layers(child)
    return len(ours & _layers(parent)) / len(ours)


@lru_cache(maxsize=4096)
def _layers(genome: Genome) -> frozenset[tuple[str, Layer]]:
    return frozenset((u.name, x) for u in lower(genome) for x in u.layers if x.params)
