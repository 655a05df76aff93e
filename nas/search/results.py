"""A run that one can look at: its front, its evaluations, its picture."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from nas.arch.genome import Genome
from nas.common.errors import UserError, as_path
from nas.evolution.pareto import Member
from nas.report.pareto import objectives_figure
from nas.report.plots import as_html
from nas.search.archive import Evaluation
from nas.search.elapsed import Outcome
from nas.search.overview import evaluation_rows
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.space.space import SearchSpace

# Columns that a printed frame leaves out, so that it fits a terminal.
UNPRINTED = (
    "index", "activations", "fraction", "parents", "genome", "fps_measured", "fitness", "predicted",
    "predicted_low", "predicted_high", "seed", "elapsed",
)  # fmt: skip


class Networks(pd.DataFrame):  # type: ignore[misc]
    """Networks as a pandas frame, a row each, by id; whatever is made of it is a plain frame.

    Printed, it leaves out what is long or says little. picture: HTML that a notebook shows above.
    """

    _metadata = ("picture",)  # an attribute, for pandas, and no column
    picture: Callable[[], str] | None = None

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def __repr__(self) -> str:
        shown = [name for name in self if name not in UNPRINTED]
        return str(self.to_string(
            columns=shown, max_rows=pd.get_option("display.max_rows"),
            float_format=_short, index_names=False, max_colwidth=40,
        ))  # fmt: skip

    __str__ = __repr__

    def _repr_html_(self) -> str:
        above = self.picture() if self.picture else ""
        shown = pd.DataFrame(self).drop(columns=[name for name in UNPRINTED if name in self])
        return f"{above}{shown._repr_html_()}"


class Run:
    """A search that was made, or is being made, read from its folder.

    outcome: how it ended, of the process that made it; else None.
    """

    def __init__(self, directory: RunDirectory, outcome: Outcome | None = None) -> None:
        self.directory, self.outcome = directory, outcome
        self.settings: Settings = directory.settings()
        self.space: SearchSpace = directory.space()
        self.archive = directory.archive(self.space.contains)

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """UserError when there is no run."""
        return cls(RunDirectory.open(as_path(folder, "Run.open")))

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def best(self) -> Genome:
        """The network that best.json holds. UserError before there is one."""
        chosen = self.settings.choose(self.results)
        if chosen is None:
            raise UserError(f"{self.path}: no front: {self.archive.why_no_front()}")
        return chosen.measured.genome

    @property
    def results(self) -> list[Member[Evaluation]]:
        """The front, with what was measured and what is believed of each."""
        return self.directory.front(self.archive)

    @property
    def front(self) -> pd.DataFrame:
        """The Pareto front, the best in the first objective on top.

        Columns: the objectives as measured, `believed` (the first one, by its measurement and its
        neighbours together), the other metrics, genome.
        """
        first, *others = [objective.name for objective in self.settings.objectives]
        rows = [
            {
                "id": member.measured.id,
                first: member.measured.metrics[first], "believed": member.metrics[first],
                **{name: member.measured.metrics[name] for name in others},
                **member.measured.metrics, "genome": member.measured.genome,
            }
            for member in self.results
        ]  # fmt: skip
        ascending = not self.settings.objectives[0].maximize
        frame = _frame(rows)
        if rows:
            frame = Networks(frame.sort_values(first, ascending=ascending, kind="stable"))
        frame.picture = self._picture
        return frame

    @property
    def evaluations(self) -> pd.DataFrame:
        """Every evaluation, a row each, in the order of their arrival."""
        return _frame(evaluation_rows(self.directory, self.archive))

    def plot(self) -> Figure:
        """The front and all that was evaluated: the first objective against each of the others."""
        objectives = [(o.name, o.maximize) for o in self.settings.objectives]
        front = {member.index for member in self.results}
        rows = [{**e.metrics, "front": e.index in front} for e in self.archive if e.ok]
        return objectives_figure(rows, objectives, self._facts)

    @property
    def _facts(self) -> str:
        done, front = len(self.archive), len(self.results)
        name = self.settings.evaluator or Path(self.settings.data).name
        return f"{self.space.name} on {name}: {done} evaluations, {front} on the front"

    def _picture(self) -> str:
        return as_html(self.plot(), self._facts)

    def _repr_html_(self) -> str:
        """For notebooks: the picture, and a line of facts."""
        facts = html.escape(f"{self.path}: {self._facts}")
        return f"{self._picture()}<p>{facts}</p>"

    def __fspath__(self) -> str:
        """The folder: whatever takes a run's path takes a `Run`."""
        return str(self.path)

    def __repr__(self) -> str:
        done, front = len(self.archive), len(self.results)
        return f"Run({str(self.path)!r}: {done} evaluations, {front} on the front)"


def _frame(rows: Sequence[dict[str, Any]]) -> Networks:
    """Rows of networks, by their id."""
    return Networks(pd.DataFrame(rows, columns=None if rows else ["id"]).set_index("id"))


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
