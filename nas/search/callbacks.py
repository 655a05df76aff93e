"""What a search makes for those who watch it: its page, as a file and live, studies and logs."""

from __future__ import annotations

import logging
import threading
import time
from importlib.util import find_spec

from nas.common.errors import UserError
from nas.common.lazy import lazy_function
from nas.common.web import Server
from nas.search.archive import Evaluation
from nas.search.driver import Callback, Search
from nas.search.elapsed import Outcome
from nas.search.pages import page_server, write_page
from nas.search.study import FILE, Study

LEAST = 10.0  # s between two pages
PATIENCE = 50  # pages take a fiftieth of the time at most

# Of libraries that may not be there.
TensorBoard = lazy_function("nas.search.tensorboard:TensorBoard")
MLflow = lazy_function("nas.search.mlflow:MLflow")

log = logging.getLogger(__name__)


class ReportPage(Callback):
    """report.html in the run's folder, made anew now and then, and whole at the end."""

    def on_start(self, search: Search) -> None:
        self._due = time.monotonic() + LEAST

    def on_evaluation(self, search: Search, evaluation: Evaluation) -> None:
        if time.monotonic() >= self._due:
            started = time.monotonic()
            write_page(search.run, search.archive, deep=False)
            took = time.monotonic() - started
            self._due = time.monotonic() + max(LEAST, PATIENCE * took)

    def on_end(self, search: Search, outcome: Outcome) -> None:
        write_page(search.run, search.archive)


class OptunaStudy(Callback):
    """optuna.log in the run's folder, which optuna-dashboard follows."""

    def on_start(self, search: Search) -> None:
        path, objectives = search.run.file(FILE), search.settings.objectives
        self._study = Study(path, search.space, objectives, search.archive)

    def on_evaluation(self, search: Search, evaluation: Evaluation) -> None:
        self._study.add(evaluation)


class LivePages(Callback):
    """The page on loopback while the search goes on. port: 0 for any free one."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._server: Server | None = None  # a search may end before it begins

    @property
    def url(self) -> str:
        """Where it is, once the search has started."""
        assert self._server is not None
        return self._server.url

    def on_start(self, search: Search) -> None:
        self._server = page_server(search.run, self.port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        log.info("%s (this machine only)", self._server.url)

    def on_end(self, search: Search, outcome: Outcome) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def watchers(mlflow: str | None = None, port: int | None = None) -> list[Callback]:
    """The page and the study always, the rest where it is asked for or installed."""
    found: list[Callback] = [ReportPage(), OptunaStudy()]
    if find_spec("tensorboard"):
        found.append(TensorBoard())
    if mlflow:
        if not find_spec("mlflow"):
            raise UserError("--mlflow: MLflow is not installed; pip install mlflow-skinny")
        found.append(MLflow(mlflow))
    if port is not None:
        found.append(LivePages(port))
    return found
