"""Tasks that were started and not yet told: what a resumed search evaluates first."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from nas.arch.genome import Genome
from nas.common.errors import UserError
from nas.common.files import LineFile, replace_file
from nas.common.schema import LARGEST, Int, read
from nas.search.archive import Fidelity
from nas.training.evaluator import Task

LINES_BEFORE_REWRITE = 10_000


class Pending:
    """A line of `pending.jsonl` for each start of a task; the last line of an index counts.

    Appending keeps the cost of a start the same for any number of workers. Nothing here is
    irreplaceable: a line that cannot be read is left out, and another genome is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tasks: dict[int, Task] = {}
        self.asked = 0  # one more than the highest index seen
        self._running: set[int] = set()  # started by this process
        self._lines = 0
        self._file: LineFile | None = None

    @classmethod
    def load(cls, path: Path, done: Container[int]) -> Pending:
        """What was started and is not `done` (indices of the archive)."""
        pending = cls(path)
        for task in _read(path):
            pending.asked = max(pending.asked, task.index + 1)
            if task.index not in done:
                pending.tasks[task.index] = task
        return pending

    def start(self, task: Task) -> None:
        """Take note, before the task runs. UserError when the disk does not take it."""
        self.tasks[task.index] = task
        self._running.add(task.index)
        if self._file is None or self._lines > LINES_BEFORE_REWRITE + 4 * len(self.tasks):
            self._rewrite()
            return
        self._file.append(_line(task))
        self._lines += 1

    def done(self, index: int) -> None:
        self.tasks.pop(index, None)
        self._running.discard(index)

    def close(self) -> None:
        """The search ends in good order: the attempts that it breaks off do not count."""
        if self._file is not None:
            for index in self._running:
                task = self.tasks[index]
                self.tasks[index] = dataclasses.replace(task, attempt=task.attempt - 1)
            self._rewrite()
            self._file.close()
            self._file = None

    def _rewrite(self) -> None:
        """Start the file anew with what is still pending."""
        if self._file is not None:
            self._file.close()
        replace_file(self.path, "".join(_line(task) + "\n" for task in self.tasks.values()))
        self._file = LineFile(self.path, sync=False)
        self._lines = len(self.tasks)


def _line(task: Task) -> str:
    plain = {name: getattr(task, name) for name in ("index", "seed", "attempt")}
    plain |= {"genome": task.genome.to_dict(), "fidelity": dataclasses.asdict(task.fidelity)}
    return json.dumps(plain, separators=(",", ":"))


def _read(path: Path) -> Iterator[Task]:
    if not path.exists():
        return
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                data: dict[str, Any] = json.loads(line)
                genome = Genome.from_dict(data["genome"], f"{path}:{number}")
                index, seed, attempt = (
                    Int(0, LARGEST).read(data[key], key) for key in ("index", "seed", "attempt")
                )
                fidelity = read(Fidelity, data["fidelity"], "fidelity")
                yield Task(index, genome, fidelity, seed, attempt)
            except (UserError, KeyError, TypeError, ValueError, RecursionError):
                continue
