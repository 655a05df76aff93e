"""A run as Optuna reads it."""

from pathlib import Path

import optuna
import pytest
from conftest import ROOT
from fakes import evaluation
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from nas.evolution.objectives import OBJECTIVES
from nas.evolution.pareto import pareto_front
from nas.search.store import RunDirectory
from nas.search.study import Study
from nas.space.space import SearchSpace


def opened(path):
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.load_study(study_name=None, storage=storage)


@pytest.fixture(scope="module")
def run():
    return RunDirectory.open(ROOT / "experiments/equal_time/default-0")


def test_a_run_is_a_study_of_several_objectives(run, tmp_path):
    evaluations = run.archive().evaluations
    space = SearchSpace.load(run.file("space.yaml"))
    Study(tmp_path / "optuna.log", space, OBJECTIVES, evaluations)
    study = opened(tmp_path / "optuna.log")
    assert study.metric_names == ["accuracy", "params", "fps"]
    assert len(study.trials) == len(evaluations) == 83
    first = study.trials[0]
    assert first.values == [evaluations[0].metrics[n] for n in study.metric_names]
    assert first.params["stem.channels"] == str(evaluations[0].genome.stages[0].blocks[0].channels)
    assert first.duration.total_seconds() == pytest.approx(evaluations[0].seconds, abs=0.01)
    ours = {e.id for e in pareto_front(evaluations)}
    assert {t.user_attrs["id"] for t in study.best_trials} == ours


def test_failures_and_strangers_networks_are_in_it(tmp_path, quick, proposed):
    lost = evaluation(proposed, 1, status="failed", metrics={}, error="no memory")
    study = Study(tmp_path / "optuna.log", quick, OBJECTIVES, [evaluation(proposed)])
    study.add(lost)  # while somebody looks at it
    first, second = opened(tmp_path / "optuna.log").trials
    assert first.params == {}  # outside the space
    assert second.state.name == "FAIL"
    assert second.user_attrs["error"] == "no memory"


def test_the_callers_log_level_stays_theirs(tmp_path, quick, capfd):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    Study(tmp_path / "optuna.log", quick, OBJECTIVES)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    assert capfd.readouterr().err == ""


def test_the_lock_of_a_killed_search_is_not_waited_for(tmp_path, quick, monkeypatch):
    """Optuna waited for ever: in a relative folder the link that was its lock leads nowhere."""
    monkeypatch.chdir(tmp_path)
    path = Path("run/optuna.log")
    path.parent.mkdir()
    path.with_name("optuna.log.lock").symlink_to(path)
    Study(path, quick, OBJECTIVES)
    assert opened(path).trials == []
    assert not [found for found in path.parent.iterdir() if found.is_symlink()]


def test_what_lay_there_is_not_read(tmp_path, quick):
    (tmp_path / "optuna.log").write_text("no journal\n")
    Study(tmp_path / "optuna.log", quick, OBJECTIVES)
    assert opened(tmp_path / "optuna.log").trials == []
