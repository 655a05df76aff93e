"""What a search makes for those who watch it, from a search whose evaluator is a function."""

import io
import json
import time
import urllib.request

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console

from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.search import callbacks
from nas.search.callbacks import LivePages, OptunaStudy, ReportPage, watchers
from nas.search.driver import Callback
from nas.search.progress import ProgressView, sparkline
from nas.search.run import search


def measured(genome):
    found = cost(genome)
    if found.params % 5 == 0:
        raise RuntimeError("diverged")
    return {"accuracy": 0.2 + found.params % 100 / 200, "params": found.params,
            "fps": 1e9 / found.macs}  # fmt: skip


def made(quick, tmp_path, *callbacks, evaluator=measured, evaluations=12, **options):
    options = {"workers": 1, "population": 4, "calibration_genomes": 10} | options
    return search(quick, evaluator=evaluator, evaluations=evaluations, callbacks=callbacks,
                  seed_genomes=[], run_dir=tmp_path / "run", **options)  # fmt: skip


class Listening(Callback):
    """Asks for the live page while the search goes on."""

    def __init__(self, pages):
        self.pages, self.seen = pages, []

    def on_evaluation(self, search, evaluation):
        with urllib.request.urlopen(f"{self.pages.url}data.json") as answer:
            self.seen.append(len(json.load(answer)["networks"]))


@pytest.mark.slow
def test_page_study_and_lines(quick, tmp_path, capsys):
    text = io.StringIO()
    view = ProgressView(time.monotonic(), Console(file=text))
    run = made(quick, tmp_path, ReportPage(), OptunaStudy(), view)
    page = (run.path / "report.html").read_text()
    assert all(e.id in page for e in run.archive)
    storage = JournalStorage(JournalFileBackend(str(run.path / "optuna.log")))
    study = optuna.load_study(study_name=None, storage=storage)
    assert len(study.trials) == len(run.archive) == 12
    lost = [t.user_attrs["error"] for t in study.trials if t.state.name == "FAIL"]
    assert len(lost) == sum(e.status == "failed" for e in run.archive)
    lines = capsys.readouterr().err
    assert "12/12 networks" in lines
    assert "\x1b" not in lines  # no terminal: plain lines
    assert text.getvalue() == ""


@pytest.mark.slow
def test_a_terminal_shows_a_compact_view(quick, tmp_path):
    text = io.StringIO()
    view = ProgressView(time.monotonic(), Console(file=text, force_terminal=True, width=120))
    run = made(quick, tmp_path, view)
    shown = text.getvalue()
    assert "12/12 networks" in shown
    assert "workers busy: 0" in shown
    assert "front: " in shown
    assert run.archive.evaluations[-1].id in shown


@pytest.mark.slow
def test_the_live_page_ends_with_the_search(quick, tmp_path):
    pages = LivePages(0)
    listening = Listening(pages)
    made(quick, tmp_path, pages, listening, evaluations=3)
    assert listening.seen[0] >= 1
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(pages.url)


def test_metrics_of_the_users_own_do_not_break_the_page(quick, tmp_path):
    watchers = ReportPage(), OptunaStudy(), ProgressView(time.monotonic())
    objectives = [{"name": name, "direction": "minimize"} for name in ("depth", "params")]
    run = made(quick, tmp_path, *watchers, evaluator=depth, objectives=objectives)
    assert "depth" in (run.path / "optuna.log").read_text()
    assert (run.path / "report.html").stat().st_size > 20_000


def depth(genome):
    return {"depth": float(sum(len(stage.blocks) for stage in genome.stages))}


def test_a_sparkline_keeps_the_last_value():
    assert sparkline([]) == ""
    assert sparkline([0.0, 0.5, 1.0]) == " \u2584\u2588"
    line = sparkline([i / 1000 for i in range(1001)])
    assert 40 <= len(line) <= 41
    assert line[-1] == "\u2588"


@pytest.mark.slow
def test_tensorboard(quick, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from nas.search.tensorboard import TensorBoard

    run = made(quick, tmp_path, TensorBoard())
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    ok = [e for e in run.archive if e.ok]
    assert [s.value for s in events.Scalars("evaluation/params")] == [
        e.metrics["params"] for e in ok
    ]
    assert events.Scalars("search/failed")[-1].value == len(run.archive) - len(ok)
    best = max(e.metrics["accuracy"] for e in ok)
    assert events.Scalars("search/best_accuracy")[-1].value == pytest.approx(best)
    folders = {path.name for path in (run.path / "tensorboard").iterdir() if path.is_dir()}
    assert folders == {e.id for e in run.archive.results()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy, about MLflow
def test_mlflow(quick, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)  # where it keeps artifacts
    from nas.search.mlflow import MLflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run = made(quick, tmp_path, MLflow(uri))
    client = mlflow.MlflowClient(tracking_uri=uri)
    (stored,) = client.search_runs([client.get_experiment_by_name("fer-nas").experiment_id])
    assert stored.info.status == "FINISHED"
    assert stored.data.params["seed"] == "0"
    ok = [e for e in run.archive if e.ok]
    history = client.get_metric_history(stored.info.run_id, "accuracy")
    assert [m.value for m in history] == [e.metrics["accuracy"] for e in ok]
    search(resume=run.path, evaluator=measured, evaluations=15, callbacks=[MLflow(uri)])
    (stored,) = client.search_runs([stored.info.experiment_id])  # the same run goes on
    history = client.get_metric_history(stored.info.run_id, "elapsed")
    assert [m.step for m in history] == list(range(1, 16))
    assert [m.value for m in history] == sorted(m.value for m in history)
    assert stored.info.status == "FINISHED"
    with pytest.raises(UserError, match="--mlflow"):
        MLflow("nonsense://x")


def test_who_watches_without_what_need_not_be_installed(monkeypatch):
    monkeypatch.setattr(callbacks, "find_spec", lambda name: None)
    assert [type(each) for each in watchers()] == [ReportPage, OptunaStudy]
    assert [type(each) for each in watchers(port=0)][2:] == [LivePages]
    with pytest.raises(UserError, match="MLflow is not installed; pip install"):
        watchers(mlflow="sqlite:///x.db")
