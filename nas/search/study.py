"""A run as an Optuna study beside its archive: `optuna-dashboard RUN/optuna.log` opens it live."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.common.quiet import errors_alone
from nas.evolution.objectives import Objective
from nas.search.archive import Evaluation
from nas.space.encoding import Encoder
from nas.space.space import SearchSpace

FILE = "optuna.log"


class Study:
    """A study file that follows a run; made anew from the archive, so that it is never stale.

    Genes are the parameters, text by their path; what the genome does not express is left out.
    """

    def __init__(
        self, path: Path, space: SearchSpace, objectives: Sequence[Objective],
        evaluations: Iterable[Evaluation] = (),
    ) -> None:  # fmt: skip
        self.space, self.objectives = space, objectives
        encoder = Encoder(space)
        self._choices = {
            name: CategoricalDistribution(tuple(map(str, column.choices)))
            for name, column in zip(encoder.names, encoder.columns, strict=True)
        }
        # It may be a stranger's: nothing in it is read. The lock may be of a process that was
        # killed; the default one is a link, whose age Optuna cannot tell in a relative folder.
        for left in (path, path.with_name(f"{path.name}.lock")):
            left.unlink(missing_ok=True)
        backend = JournalFileBackend(str(path), JournalFileOpenLock(str(path)))
        with errors_alone("optuna"):
            self.study = optuna.create_study(
                storage=JournalStorage(backend),
                study_name=path.parent.name or "search",
                directions=["maximize" if o.maximize else "minimize" for o in objectives],
            )
        with warnings.catch_warnings():  # an experimental call, as all dashboards need it
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.set_metric_names([o.name for o in objectives])
        for evaluation in evaluations:
            self.add(evaluation)

    def add(self, evaluation: Evaluation) -> None:
        """An evaluation as a finished trial; failed and stopped ones as failures."""
        self.study.add_trial(self._trial(evaluation))

    def _trial(self, e: Evaluation) -> FrozenTrial:
        values = [e.metrics.get(o.name) for o in self.objectives]
        complete = e.ok and None not in values
        genes = {k: v for k, v in self.space.genes(e.genome).items() if v != "absent"}
        trial = create_trial(
            state=TrialState.COMPLETE if complete else TrialState.FAIL,
            values=[v for v in values if v is not None] if complete else None,
            params=genes,
            distributions={name: self._choices[name] for name in genes},
            user_attrs=_attributes(e),
        )
        trial.datetime_start = _time(e.started)
        trial.datetime_complete = _time(e.started + e.seconds)
        return trial


def _attributes(e: Evaluation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": e.id, "index": e.index, "status": e.status, "epochs": e.fidelity.epochs,
        "fraction": e.fidelity.fraction, "seconds": e.seconds, **e.metrics,
    }  # fmt: skip
    for name, (mean, low, high) in e.predicted.items():
        found |= {f"predicted {name}": mean, f"predicted {name}, low": low,
                  f"predicted {name}, high": high}  # fmt: skip
    found |= {"elapsed": e.elapsed} if e.elapsed is not None else {}
    return found | ({"error": e.error} if e.error else {})


def _time(seconds: float) -> datetime.datetime:
    """Local and naive, as Optuna has them."""
    return datetime.datetime.fromtimestamp(seconds)
