"""A search in MLflow; imported only where it is asked for."""

from __future__ import annotations

import dataclasses

import mlflow

from nas.common.errors import UserError, first_line
from nas.search.archive import Evaluation
from nas.search.driver import Callback, Search
from nas.search.elapsed import Outcome

FOLDER = "fer_nas.folder"  # the tag by which a resumed search finds its run


class MLflow(Callback):
    """An MLflow run: settings as parameters, each evaluation's metrics, the results as artifacts.

    A resumed search goes on in the run that it began. uri: of the tracking server, or of a database
    such as sqlite:///mlflow.db. Nothing is sent anywhere else. UserError where MLflow refuses it.
    """

    def __init__(self, uri: str) -> None:
        try:
            self._client = mlflow.MlflowClient(tracking_uri=uri)
        except mlflow.MlflowException as error:
            raise UserError(f"--mlflow: {first_line(error)}") from None
        self._run = ""

    def on_start(self, search: Search) -> None:
        name = "fer-nas"
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        folder = str(search.run.path.resolve())
        for run in self._client.search_runs([experiment]):
            if run.data.tags.get(FOLDER) == folder:  # the search goes on
                self._run = run.info.run_id
                self._client.update_run(self._run, status="RUNNING")
                return
        run = self._client.create_run(
            experiment, run_name=search.run.path.name, tags={FOLDER: folder}
        )
        self._run = run.info.run_id
        for key, value in dataclasses.asdict(search.settings).items():
            self._client.log_param(self._run, key, str(value)[:500])

    def on_evaluation(self, search: Search, evaluation: Evaluation) -> None:
        step = len(search.archive)
        for name, value in {**evaluation.metrics, "elapsed": evaluation.elapsed or 0.0}.items():
            self._client.log_metric(self._run, name, float(value), step=step)

    def on_end(self, search: Search, outcome: Outcome) -> None:
        if not self._run:  # it ended before it began
            return
        for name in ("front.json", "best.json", "config.yaml", "space.yaml"):
            if search.run.file(name).exists():
                self._client.log_artifact(self._run, str(search.run.file(name)))
        done = "KILLED" if outcome.stopped == "interrupted" else "FINISHED"
        self._client.set_terminated(self._run, done)
