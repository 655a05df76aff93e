"""The progress line of a search in a terminal."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from nas.search.archive import Evaluation
from nas.search.driver import Callback, Outcome, Search


class ProgressBar(Callback):
    """Evaluations, time left, best so far, size of the front.

    started: of time.monotonic, when the time budget began.
    """

    def __init__(self, started: float) -> None:
        self._started = started
        self._bar: tqdm[Any] | None = None

    def on_start(self, search: Search) -> None:
        self._bar = tqdm(
            total=search.settings.evaluations,
            initial=len(search.archive),
            unit="net",
            desc="search",
            dynamic_ncols=True,
            mininterval=0.2 if sys.stderr.isatty() else 15,
            smoothing=0.1,
        )

    def on_evaluation(self, search: Search, evaluation: Evaluation) -> None:
        assert self._bar is not None
        chosen, shown = search.best(), f"front {len(search.archive.front)}"
        if chosen is not None and "accuracy" in chosen.metrics:
            m = chosen.metrics
            shown = f"best {m['accuracy']:.1%} {m['params'] / 1e3:.0f}k params, {shown}"
        if search.settings.time_budget is not None:
            left = max(0.0, search.settings.time_budget - (time.monotonic() - self._started))
            shown += f", {left / 60:.0f} min left"
        self._bar.set_postfix_str(shown, refresh=False)
        self._bar.update(1)

    def on_end(self, search: Search, outcome: Outcome) -> None:
        if self._bar is not None:
            self._bar.close()
