"""A search in a process of its own, to be killed: what tests/test_crashes.py starts."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from fakes import FakeEvaluator, OutOfOrder

from nas.common.files import LineFile
from nas.search import driver as loop
from nas.search.driver import Callback, Search
from nas.search.evaluate import run_task
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.space.space import SearchSpace

ROOT = Path(__file__).parents[1]
SPACE = SearchSpace.load("quick")


class Reporting(Callback, logging.Handler):
    """Writes the index of every evaluation that the user was told of, and every message."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def emit(self, record):
        os.write(self.file, f"note {record.getMessage()}\n".encode())

    def on_evaluation(self, search, evaluation):
        os.write(self.file, f"told {evaluation.index}\n".encode())


class Deadly(FakeEvaluator):
    """Takes its process with it at one genome; the others take a little while."""

    def __init__(self, deadly):
        super().__init__()
        self.deadly = deadly

    def __call__(self, task):
        if task.genome.id == self.deadly:
            os._exit(1)
        time.sleep(0.002)
        return super().__call__(task)


def torn_append(self, line):
    """As LineFile.append, but slow enough for a kill to fall between the halves of a line."""
    raw = line.encode() + b"\n"
    self._file.write(raw[: len(raw) // 2])
    time.sleep(0.002)
    self._file.write(raw[len(raw) // 2 :])


class InOrder(OutOfOrder):
    """Workers of which the first to start is the first to answer, so that every life gets on."""

    def __init__(self, evaluator, count):
        super().__init__(evaluator, 0)
        self.capacity = count

    def next(self):
        return run_task(self.evaluator, self.tasks.pop(0))


def search(path: Path, report: Path, settings: Settings, deadly: str = "", torn: bool = False):
    """Start or resume the run at `path`."""
    loop.RETRY_SECONDS = 0.05
    if torn:
        LineFile.append = torn_append
    run = RunDirectory(path)
    if not path.joinpath("config.yaml").exists():
        run = RunDirectory.create(path, settings, SPACE, [], ["test"])
    reporting = Reporting(report)
    logging.getLogger("nas").addHandler(reporting)
    with run:
        found = Search(run, settings, SPACE, [], [reporting])
        found.loop(InOrder(Deadly(deadly), settings.workers))
