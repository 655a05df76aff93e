"""The page of a run, live: served on loopback, made anew as the run grows."""

from __future__ import annotations

import threading
import time
from typing import Any

from nas.common.web import Server
from nas.report.explorer import as_json, explorer_page
from nas.search.overview import overview
from nas.search.store import RunDirectory

REFRESH = 4.0  # s between two readings of the archive
PATIENCE = 20  # readings may take a twentieth of the time, whatever the size of the run
SLOW = ("population", "surrogate")  # parts that are made anew more seldom still
HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'"}  # the page has its own beside


class LivePage:
    """URL path -> the page of a run, or its data; what nas.common.web.Server hands out."""

    def __init__(self, run: RunDirectory, baseline: RunDirectory | None = None) -> None:
        self.run, self.baseline = run, baseline
        self._lock = threading.Lock()  # of the visitors' threads
        self._found: dict[str, Any] = {}
        self._due = self._deep_due = 0.0

    def get(self, path: str, /) -> bytes | None:
        if path == "/":
            return explorer_page(self._overview(), live=True).encode()
        if path == "/data.json":
            return as_json({**self._overview(), "live": True}).encode()
        return None

    def _overview(self) -> dict[str, Any]:
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
