"""The pages of runs: written to files with their pictures, or served live on loopback."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.common.errors import UserError
from nas.common.files import replace_file
from nas.common.lazy import lazy_function
from nas.common.web import Server
from nas.report.explorer import as_json, comparison_page, explorer_page
from nas.search.archive import Archive
from nas.search.comparison import comparison
from nas.search.overview import overview
from nas.search.store import RunDirectory

REFRESH = 4.0  # s between two readings of the archive
PATIENCE = 20  # readings may take a twentieth of the time, whatever the size of the run
SLOW = ("population", "surrogate")  # parts that are made anew more seldom still
HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'"}  # the page has its own beside
Row = dict[str, Any]
# With matplotlib, which a page does without.
write_paper = lazy_function("nas.report.paper:write_paper")
pareto_picture = lazy_function("nas.report.pareto:pareto_picture")

log = logging.getLogger(__name__)


def write_page(
    run: RunDirectory, archive: Archive, baseline: RunDirectory | None = None, deep: bool = True
) -> Row:
    """report.html in the run, of its `overview`, which is given back with the `page`."""
    found, page = overview(run, baseline, deep, archive), run.file("report.html")
    replace_file(page, explorer_page(found))
    return {**found, "page": str(page)}


def write_report(run: RunDirectory, baseline: RunDirectory | None, paper: bool) -> Row:
    """The page, the `picture` of the front, and RUN/paper if wanted. UserError without a front."""
    archive = run.archive(run.space().contains)
    found, picture = write_page(run, archive, baseline), run.file("pareto.png")
    if found["best"] is None:
        raise UserError(f"{run.path}: no front: {archive.why_no_front()}")
    pareto_picture(picture, found)
    if paper:
        log.info("figures and the LaTeX table: %s", write_paper(run.file("paper"), found))
    return {**found, "picture": str(picture)}


def write_comparison(runs: Sequence[RunDirectory], page: Path) -> Row:
    """The page of several runs, of their `comparison`, which is given back with the `page`."""
    found = comparison(runs)
    replace_file(page, comparison_page(found))
    return {**found, "page": str(page)}


class LivePage:
    """URL path -> the page of a run, or its data; what nas.common.web.Server hands out."""

    def __init__(self, run: RunDirectory, baseline: RunDirectory | None = None) -> None:
        self.run, self.baseline = run, baseline
        self._lock = threading.Lock()  # of the visitors' threads
        self._found: Row = {}
        self._due = self._deep_due = 0.0

    def get(self, path: str, /) -> bytes | None:
        if path == "/":
            return explorer_page(self._overview(), live=True).encode()
        if path == "/data.json":
            return as_json({**self._overview(), "live": True}).encode()
        return None

    def _overview(self) -> Row:
        with self._lock:
            if time.monotonic() < self._due:
                return self._found
            started, deep = time.monotonic(), time.monotonic() >= self._deep_due
            found = overview(self.run, self.baseline, deep)
            if not deep:
                found |= {name: self._found[name] for name in SLOW}
            took = time.monotonic() - started
            self._found, self._due = found, time.monotonic() + max(REFRESH, PATIENCE * took)
            if deep:
                self._deep_due, self._due = self._due, time.monotonic() + REFRESH
            return found


def page_server(run: RunDirectory, port: int, baseline: RunDirectory | None = None) -> Server:
    """Not running yet. port: 0 for any free one."""
    return Server(LivePage(run, baseline), port, HEADERS)
