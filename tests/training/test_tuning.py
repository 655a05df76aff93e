"""Tuning on a real SQLite study with tiny trainings."""

import dataclasses
import json
import signal

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from conftest import TINY
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.training import tuning
from nas.training.optim import learning_rate
from nas.training.predict import DivergedError
from nas.training.recipe import Recipe
from nas.training.trainer import TrainingResult
from nas.training.tuning import GRIDS, StudyConfig, finished, open_study, recipe_of, shortened, tune
from nas.tune import main

pytestmark = pytest.mark.slow


@pytest.fixture
def goal(faces):
    return StudyConfig(TINY, faces, Recipe(epochs=20), 2)


def test_study_csv_and_winner(goal, tmp_path, capfd):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    tune(goal, tmp_path, 3)
    assert "A new study created" not in capfd.readouterr().err
    assert optuna.logging.get_verbosity() == optuna.logging.INFO  # as its caller had it
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert len(study.trials) == 3
    first = study.trials[0].params  # the base recipe
    assert (first["optimizer"], first["augmentation"]) == ("adamw", 1.0)
    assert recipe_of(goal, first) == goal.base
    assert Recipe.load(tmp_path / "best_recipe.yaml") == recipe_of(goal, study.best_trial.params)
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 3


@pytest.mark.parametrize("name", ["a?b", "50%25", "{c}", "d#e é"])
def test_any_folder_holds_its_study(goal, tmp_path, name):
    """In a URL `?` ended the name: the study lay beside the folder, in a file called a."""
    study = open_study(goal, tmp_path / name)
    study.add_trial(optuna.trial.create_trial(value=0.5))
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "study.db").stat().st_size > 0
    assert [t.value for t in open_study(goal, tmp_path / name).trials] == [0.5]


def test_resume_adds_what_is_missing(goal, tmp_path):
    tune(goal, tmp_path, 2)
    study = tune(goal, tmp_path, 4)
    assert len(study.trials) == 4
    assert len(tune(goal, tmp_path, 4).trials) == 4
    tried = [tuple(t.params.values()) for t in study.trials]
    assert len(set(tried)) == 4  # a resumed sampler must not start over


def test_an_interrupted_trial_is_run_again(goal, tmp_path, monkeypatch):
    def interrupted(*args, **more):
        raise KeyboardInterrupt

    tune(goal, tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(tuning, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune(goal, tmp_path, 3)
    study = open_study(goal, tmp_path)
    study.ask()  # a trial whose process was killed
    cut = study.trials[1].params
    study = tune(goal, tmp_path, 3)
    assert len(finished(study)) == 3
    assert cut in [t.params for t in finished(study)]
    assert not study.get_trials(states=[TrialState.RUNNING])


def test_a_time_budget_stops_the_trial_that_runs(goal, tmp_path, monkeypatch, faces_file, capsys):
    """However long it would take; the trial is the first of the next time."""
    timers, real = [], tuning.train

    def endless(*args, **more):
        timers.append(signal.getitimer(signal.ITIMER_REAL)[0])
        assert timers[0] > 0, "no timer is set"
        signal.raise_signal(signal.SIGALRM)  # the timer's
        raise AssertionError("not stopped")

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "train", endless)
        study = tune(goal, tmp_path / "a", 2, seconds=3600.0)
    assert timers[0] <= 3600
    assert not finished(study)
    assert (tmp_path / "a" / "trials.csv").exists()
    monkeypatch.setattr(tuning, "train", real)
    assert len(finished(tune(goal, tmp_path / "a", 1))) == 1
    path = tmp_path / "g.json"
    path.write_text(TINY.to_json())
    argv = ["--genome", str(path), "--data", str(faces_file), "--out", str(tmp_path / "b"),
            "--epochs", "10000", "--time-budget", "1s"]  # fmt: skip
    assert main(argv) == 1  # over before it began: this process is older
    assert "no trial is complete; the same command goes on" in capsys.readouterr().out


def test_a_tuning_whose_trials_all_failed_says_of_what(tmp_path, monkeypatch, faces_file, capsys):
    def diverges(*args, **more):
        raise DivergedError("the loss is nan\nat epoch 1")

    monkeypatch.setattr(tuning, "train", diverges)
    path = tmp_path / "g.json"
    path.write_text(TINY.to_json())
    argv = ["--genome", str(path), "--data", str(faces_file), "--out", str(tmp_path / "study"),
            "--trials", "2"]  # fmt: skip
    said = (
        "no trial is complete: 2 of 2 with the loss is nan; all are in "
        f"{tmp_path / 'study/trials.csv'}; the same command goes on"
    )
    for as_json in ([], ["--json"]):
        assert exit_code(main, [*argv, *as_json]) == 1
        out, err = capsys.readouterr()
        assert (err if as_json else out).splitlines()[-1] == said
    assert {row["error"] for row in json.loads(out)["trials"]} == {"the loss is nan"}
    assert (tmp_path / "study/trials.csv").read_text().count("the loss is nan") == 2


def test_another_goal_is_refused(goal, tmp_path):
    tune(goal, tmp_path, 1)
    other = dataclasses.replace(goal, base=Recipe(epochs=3), seed=1)
    with pytest.raises(UserError, match="a study of another recipe, seed"):
        tune(other, tmp_path, 2)
    for other in (
        dataclasses.replace(goal, genome=dataclasses.replace(TINY, bias=True)),
        dataclasses.replace(goal, grid="schedules"),
    ):
        with pytest.raises(UserError, match="a study of another"):
            tune(other, tmp_path, 2)
    (tmp_path / "study.db").write_text("no database at all, but longer than a header" * 100)
    with pytest.raises(UserError, match="not a study"):
        open_study(goal, tmp_path)


@pytest.mark.parametrize("error", [DivergedError, torch.OutOfMemoryError])
def test_a_failing_trial_is_recorded_and_not_repeated(goal, tmp_path, monkeypatch, error):
    calls = []
    train = tuning.train

    def diverges_once(*args, **more):
        calls.append(1)
        if len(calls) == 1:
            raise error("no such luck")
        return train(*args, **more)

    monkeypatch.setattr(tuning, "train", diverges_once)
    study = tune(goal, tmp_path, 2)
    states = [row["state"] for row in tuning.rows(study, goal)]
    assert states == ["complete", "failed"]
    assert study.trials[0].user_attrs["failed"] == "no such luck"
    assert len(tune(goal, tmp_path, 2).trials) == 2


def test_pruning_stops_what_lags_behind(goal, tmp_path, monkeypatch):
    """After the pruner's first trials, one that reports a low accuracy ends early."""
    epochs = []

    def fake(genome, fit, held_out, recipe, *, on_epoch, **more):
        epochs.append(0)
        accuracy = 0.5 if len(epochs) <= 5 else 0.1
        for epoch in range(1, 6):
            epochs[-1] = epoch
            on_epoch({"epoch": epoch, "validation_accuracy": accuracy})
        return TrainingResult(None, [{"validation_accuracy": accuracy}], 1)

    monkeypatch.setattr(tuning, "train", fake)
    study = tune(goal, tmp_path, 6)
    assert study.trials[-1].state == TrialState.PRUNED
    assert epochs[:5] == [5] * 5
    assert epochs[5] < 5


def test_the_reports_grids():
    optimizers, schedules = GRIDS["optimizers"], GRIDS["schedules"]
    assert len(optimizers) == 14  # seven, each at a fixed and a decaying rate
    assert optimizers["adam, fixed"] == {"optimizer": "adam", "lr": 0.001, "schedule": "constant"}
    assert optimizers["asgd, decaying"]["lr"] == 0.01
    assert set(schedules) == {
        "constant", "plateau", "cosine", "cosine_restarts", "one_cycle", "step",
    }  # fmt: skip
    assert all(s["optimizer"] == "nesterov" and s["lr"] == 0.01 for s in schedules.values())


def test_a_grid_runs_every_setting_once(goal, tmp_path, monkeypatch):
    goal = dataclasses.replace(goal, grid="schedules", epochs=1)

    def full(study, goal, folder):
        if len(finished(study)) == 2:
            raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("nas.training.tuning.write_results", full)
        with pytest.raises(OSError, match="no space"):
            tune(goal, tmp_path, 99)  # stops in the middle, then goes on
    study = tune(goal, tmp_path, 99)
    settings = [t.params["setting"] for t in finished(study)]
    assert sorted(settings) == sorted(GRIDS["schedules"])
    recipe = recipe_of(goal, {"setting": "step"})
    assert (recipe.weight_decay, recipe.momentum, recipe.schedule) == (1e-4, 0.9, "step")


def test_a_grid_that_was_interrupted_twice_misses_no_setting(goal, tmp_path, monkeypatch):
    """Also one of before, which noted no trials that were queued again: one ran twice, one not."""
    goal = dataclasses.replace(goal, grid="schedules", epochs=1)
    first, second, *_ = GRIDS["schedules"]
    study = open_study(goal, tmp_path)
    for setting, failed, value in ((first, True, None), (first, False, 0.5), (second, True, None)):
        study.add_trial(optuna.trial.create_trial(
            state=TrialState.FAIL if failed else TrialState.COMPLETE, value=value,
            params={"setting": setting}, system_attrs={"fixed_params": {"setting": setting}},
            distributions={"setting": CategoricalDistribution(list(GRIDS["schedules"]))},
        ))  # fmt: skip
    result = TrainingResult(None, [{"validation_accuracy": 0.5}], 1)
    monkeypatch.setattr(tuning, "train", lambda *_, **__: result)
    done = [t.params["setting"] for t in finished(tune(goal, tmp_path, 99))]
    assert sorted(done) == sorted(GRIDS["schedules"])


def test_schedules_differ_within_a_short_trial():
    """A restart or a step that comes after the end would make two settings one."""
    for epochs in (2, 3, 10, 30):
        curves = set()
        for setting in GRIDS["schedules"].values():
            recipe = shortened(dataclasses.replace(Recipe(epochs=300), **setting), epochs)
            curves.add(tuple(learning_rate(recipe, e / 4) for e in range(4 * epochs)))
        assert len(curves) == len(GRIDS["schedules"]) - 1  # plateau is constant until it waits


def test_soft_labels_are_tuned_on(goal, tmp_path, monkeypatch):
    seen = []

    def fake(genome, fit, held_out, recipe, **more):
        seen.append((fit.targets, recipe.epochs))
        return TrainingResult(None, [{"validation_accuracy": 0.5}], 1)

    monkeypatch.setattr(tuning, "train", fake)
    votes = np.full((len(goal.dataset), 7), 2, np.uint8)
    dataset = dataclasses.replace(goal.dataset, votes=votes)
    base = dataclasses.replace(goal.base, soft_labels=True)
    tune(dataclasses.replace(goal, dataset=dataset, base=base), tmp_path, 1)
    targets, epochs = seen[0]
    np.testing.assert_allclose(targets, 1 / 7)
    assert epochs == 2
    assert Recipe.load(tmp_path / "best_recipe.yaml").epochs == 20
