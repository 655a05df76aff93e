"""The tasks that are in flight, as the run directory keeps them. No torch here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from nas.common.errors import UserError
from nas.common.files import LineFile, lines_of, open_regular, replace_file
from nas.common.schema import read
from nas.training.task import Task

LINES_BEFORE_REWRITE = 10_000


class Pending:
    """What is in flight: a line of `pending.jsonl` for each start of a task; the last counts.

    Appending keeps the cost of a start the same for any number of workers. Nothing here is
    irreplaceable: a line that cannot be read is left out, and another genome is asked for. So is
    what is `done` (indices of the archive).
    """

    def __init__(self, path: Path, done: Container[int]) -> None:
        self.path = path
        self.tasks: dict[int, Task] = {}
        self.abandoned = False  # by a driver that died with these tasks running
        self._running: set[int] = set()  # started by this process
        self._lines = 0
        self._file: LineFile | None = None
        for task, running in _read(path):
            if task.index not in done:
                self.tasks[task.index] = task
                self.abandoned |= running

    def start(self, task: Task) -> None:
        """Take note, before the task runs. UserError when the disk does not take it."""
        self.tasks[task.index] = task
        self._running.add(task.index)
        if self._file is None or self._lines > LINES_BEFORE_REWRITE + 4 * len(self.tasks):
            self._rewrite()
            return
        self._file.append(_line(task, True))
        self._lines += 1

    def done(self, index: int) -> None:
        self.tasks.pop(index, None)
        self._running.discard(index)

    def close(self) -> None:
        """The search ends in good order: nothing is running any more."""
        self._running.clear()
        if self._file is None:
            return
        try:
            self._rewrite()
        finally:
            self._file.close()
            self._file = None

    def _rewrite(self) -> None:
        """Start the file anew with what is still pending."""
        if self._file is not None:
            self._file.close()
        lines = (_line(task, index in self._running) for index, task in self.tasks.items())
        replace_file(self.path, "".join(line + "\n" for line in lines))
        self._file = LineFile(self.path, sync=False)
        self._lines = len(self.tasks)


def _line(task: Task, running: bool) -> str:
    plain = {**vars(task), "running": running}
    del plain["seconds"]
    plain |= {"genome": task.genome.to_dict(), "fidelity": dataclasses.asdict(task.fidelity)}
    return json.dumps(plain, separators=(",", ":"))


def _read(path: Path) -> Iterator[tuple[Task, bool]]:
    """Tasks, and whether a worker had them when the line was written."""
    if not path.exists():
        return
    with open_regular(path) as file:
        for number, line in enumerate(lines_of(file, path), 1):
            where = f"{path}:{number}"
            try:
                data: dict[str, Any] = json.loads(line)
                running = bool(data.pop("running", data["attempt"]))
                # 0 in files of version 0.1, where the driver's own end counted.
                data["attempt"] = max(1, data["attempt"])
                yield read(Task, data, where), running
            except (UserError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
                continue
