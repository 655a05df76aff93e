"""What a search shows while it runs: a view in a terminal, a bar in a notebook, else lines."""

from __future__ import annotations

import html
import threading
import time
from collections import deque
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.common.cli import note
from nas.common.errors import first_line
from nas.report.axes import SHARES
from nas.search.archive import Evaluation
from nas.search.driver import Callback, Search
from nas.search.elapsed import Outcome
from nas.search.volume import Box

BARS = " ▁▂▃▄▅▆▇█"
SPARKS = 40  # characters
LINE_SECONDS = 15.0  # between two plain lines
BAR_SECONDS = 0.5  # between two states of a notebook's bar
LAST, FRONT_ROWS = 3, 6  # evaluations and members of the front that are shown
CURVE_GROWTH = 1.02  # the hypervolume's curve is made anew when there are so many times more


class ProgressView(Callback):
    """Progress, time left, the front, and in a terminal hypervolume, busy workers, the last ones.

    started: of time.monotonic, when the time budget began.
    """

    def __init__(self, started: float, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._started, self._before = started, 0
        self._last: deque[Evaluation] = deque(maxlen=LAST)
        self._curve: list[float] = []
        self._curve_of = self._grown = 0
        self._line_due = 0.0
        self._live: Live | None = None
        self._bar: Any = None  # IPython's handle of what it displays
        self._lock = threading.Lock()  # the view is drawn by a thread of its own

    def on_start(self, search: Search) -> None:
        self._started_here, self._before = time.monotonic(), len(search.archive)
        if self.console.is_jupyter:  # there IPython is, and nowhere else is it needed
            self._bar = import_module("IPython.display").display(
                self._html(search), display_id=True
            )
        elif self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=2,
                              get_renderable=lambda: self._draw(search))  # fmt: skip
            self._live.start()

    def on_evaluation(self, search: Search, evaluation: Evaluation) -> None:
        with self._lock:
            self._last.append(evaluation)
            if any(member.index == evaluation.index for member in search.archive.front):
                self._grown = len(search.archive)
            if len(search.archive) >= CURVE_GROWTH * self._curve_of:
                self._curve_of = len(search.archive)
                self._curve = hypervolumes(search)
        if self._live is None and time.monotonic() >= self._line_due:
            every = LINE_SECONDS if self._bar is None else BAR_SECONDS
            self._line_due = time.monotonic() + every
            self._say(search)

    def on_end(self, search: Search, outcome: Outcome) -> None:
        if self._live is not None:
            self._live.stop()
        elif len(search.archive):
            self._say(search)

    def line(self, search: Search) -> str:
        """The state of the search in one line."""
        limit = search.settings.evaluations
        parts = [f"{len(search.archive)}" + (f"/{limit}" if limit else "") + " networks"]
        left = self.seconds_left(search)
        if left is not None:
            parts.append(f"{_time(left)} left")
        chosen = search.best()
        if chosen is not None:
            parts.append(f"best {_about(chosen, search)}")
        grown = f", which grew last with network {self._grown}" if self._grown else ""
        return ", ".join([*parts, f"{len(search.archive.front)} on the front{grown}"])

    def seconds_left(self, search: Search) -> float | None:
        """Of the time budget, or by the pace so far; None before anything is known."""
        budget, limit = search.settings.time_budget, search.settings.evaluations
        now = time.monotonic()
        guesses = [] if budget is None else [max(0.0, budget - (now - self._started))]
        made = len(search.archive) - self._before
        if limit is not None and made:
            pace = (now - self._started_here) / made
            guesses.append(max(0.0, (limit - len(search.archive)) * pace))
        return min(guesses, default=None)

    def _say(self, search: Search) -> None:
        if self._bar is None:
            note(self.line(search))
        else:
            self._bar.update(self._html(search))

    def _html(self, search: Search) -> Any:
        """The bar and the line as IPython displays them."""
        text = html.escape(self.line(search))
        bar = f'<progress max="1" value="{self._share(search):.4f}" style="width: 16em"></progress>'
        return import_module("IPython.display").HTML(f"{bar} {text}")

    def _share(self, search: Search) -> float:
        """How much of the search is done, 0 to 1."""
        limit, budget = search.settings.evaluations, search.settings.time_budget
        share = len(search.archive) / limit if limit else 0.0
        if not limit and budget:
            share = (time.monotonic() - self._started) / budget
        return min(1.0, share)

    def _draw(self, search: Search) -> Group:
        with self._lock:
            last, curve = list(self._last), list(self._curve)
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(100, 100 * self._share(search), width=24), Text(self.line(search)))
        volume = f"   hypervolume {sparkline(curve)}" if curve else ""
        lines: list[Table | Text] = [head, Text(f"workers busy: {search.busy}{volume}")]
        lines += [Text(f"  {_evaluated(e, search)}") for e in reversed(last)]
        members = list(search.archive.front)[:FRONT_ROWS]
        if members:
            more = len(search.archive.front) - len(members)
            text = "; ".join(_about(e, search) for e in members) + (
                f"; and {more} more" if more else ""
            )
            lines.append(Text(f"front: {text}"))
        return Group(*lines)


def hypervolumes(search: Search) -> list[float]:
    """Share of the box after each enlargement of the front; [] before there is one.

    One box for the whole curve, about what was evaluated so far: shares of an earlier and a later
    curve do not compare.
    """
    found = search.archive.evaluations
    box = Box.around([found], search.space.classes, search.settings.objectives)
    return [share for _, _, share in box.curve(found)] if box else []


def sparkline(values: Sequence[float]) -> str:
    """The values from 0 to their largest as a row of bars, at most SPARKS long."""
    if not values:
        return ""
    step = max(1.0, len(values) / SPARKS)
    picked = [values[int(i * step)] for i in range(int(len(values) / step))]
    picked[-1] = values[-1]
    top = max(values) or 1.0
    return "".join(BARS[round(v / top * (len(BARS) - 1))] for v in picked)


def _evaluated(e: Evaluation, search: Search) -> str:
    if e.status == "failed":
        return f"{e.id} failed: {first_line(e.error)[:60]}"
    return f"{_about(e, search)}, {e.seconds:.0f} s"


def _about(e: Evaluation, search: Search) -> str:
    """The first objective and the size; a percentage alone is accuracy."""
    first, m = search.settings.objectives[0].name, e.metrics
    value = [f"{m[first]:.1%}" if first in SHARES else f"{m[first]:.4g}"] if first in m else []
    name = [first] if value and first != "accuracy" else []
    size = [f"{m['params'] / 1e3:.0f}k params"] if "params" in m else []
    return " ".join([e.id, *name, *value, *size])


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
