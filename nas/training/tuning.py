"""Tune a recipe for one genome with Optuna.

The score is the accuracy on the part of Training that the search holds out too: neither the
validation nor the test split is read.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
import yaml
from optuna.pruners import MedianPruner, NopPruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.arch.genome import Genome
from nas.common.aliases import attribute
from nas.common.deadline import OutOfTime, ending_after
from nas.common.errors import UserError, first_line
from nas.common.files import make_folder, replace_file
from nas.common.quiet import errors_alone
from nas.common.schema import read
from nas.data import Dataset, search_split
from nas.training.precision import fastest_precision, torch_device
from nas.training.predict import Precision, Subset
from nas.training.recipe import OPTIMIZERS, SCHEDULES, Augment, Recipe
from nas.training.teacher import SoftLabels, teacher_of_a_part
from nas.training.trainer import train

log = logging.getLogger(__name__)
FAILURES = (RuntimeError, MemoryError)  # of a trial: diverged, out of memory
BATCHES = (16, 32, 64, 128)
LR, WEIGHT_DECAY, LABEL_SMOOTHING = (1e-4, 1.0), (1e-6, 1e-1), (0.0, 0.3)  # lowest, highest
# The report's two grids (after Khaireddin and Chen): all with momentum 0.9, weight decay 1e-4.
PUBLISHED: dict[str, Any] = {
    "momentum": 0.9, "weight_decay": 1e-4, "plateau_factor": 0.75, "plateau_patience": 5,
}  # fmt: skip
FIXED = {"lr": 0.001, "schedule": "constant"}
DECAYING = {"lr": 0.01, "schedule": "plateau"}
GRIDS: dict[str, dict[str, dict[str, Any]]] = {
    "optimizers": {
        f"{optimizer}, {name}": {"optimizer": optimizer, **rate}
        for optimizer in ("sgd", "nesterov", "asgd", "adam", "amsgrad", "adadelta", "adagrad")
        for name, rate in (("fixed", FIXED), ("decaying", DECAYING))
    },
    "schedules": {
        schedule: {"optimizer": "nesterov", "lr": 0.01, "schedule": schedule}
        for schedule in SCHEDULES
    },
}


@dataclass(frozen=True)
class StudyConfig:
    """What a study is about; a study file made for another goal is refused.

    epochs: length of a trial. The base recipe, and so the winner, keeps its own.
    """

    genome: Genome
    dataset: Dataset
    base: Recipe
    epochs: int
    grid: str | None = None
    seed: int = 0
    device: str = "cpu"

    def to_dict(self) -> dict[str, Any]:
        return {
            "genome": self.genome.id,
            "data": self.dataset.fingerprint,
            "recipe": self.base.to_dict(),
            "epochs": self.epochs,
            "grid": self.grid,
            "seed": self.seed,
        }


@errors_alone("optuna")
def tune(
    goal: StudyConfig, folder: Path, trials: int, *, seconds: float | None = None
) -> optuna.Study:
    """Run trials until `trials` are done, or for so many `seconds`; goes on where the study is.

    Writes study.db, trials.csv and best_recipe.yaml into `folder` after every trial. With a grid
    every setting of it is one trial, and `trials` is ignored.
    """
    goal = dataclasses.replace(goal, device=str(torch_device(goal.device)))
    teacher = teacher_of_a_part(goal.base, goal.dataset.fingerprint)  # before a folder is made
    study = open_study(goal, folder)
    _queue(study, goal)
    total = len(GRIDS[goal.grid]) if goal.grid else trials
    left = total - len(finished(study))
    if left <= 0:
        write_results(study, goal, folder)
        return study
    started = time.monotonic()

    def after(study: optuna.Study, trial: FrozenTrial) -> None:
        write_results(study, goal, folder)
        done = len(finished(study))
        new = done - (total - left)
        eta = (time.monotonic() - started) / max(new, 1) * (total - done)
        log.info("trial %d/%d: %s; %s; %.0f min left", done, total, _outcome(trial), _leader(study),
                 eta / 60)  # fmt: skip

    try:
        with ending_after(seconds):
            objective = _Objective(goal, _precision(study, goal), teacher)
            study.optimize(objective, n_trials=left, callbacks=[after], catch=FAILURES)
    except OutOfTime:  # the trial that was stopped is the first of the next time
        write_results(study, goal, folder)
        log.info("time is up: %d of %d trials are done", len(finished(study)), total)
    return study


def open_study(goal: StudyConfig, folder: Path) -> optuna.Study:
    """The study in folder/study.db. UserError when it belongs to another goal."""
    make_folder(folder)
    path = folder / "study.db"
    try:
        study = optuna.create_study(
            storage=_database(path),
            study_name="recipe",  # one study in a file: one of another goal is found, and refused
            direction="maximize",
            load_if_exists=True,
            pruner=NopPruner() if goal.grid else MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        )
    except Exception as error:  # SQLAlchemy's many kinds for a file that is no database
        raise UserError(f"{path}: not a study: {type(error).__name__}") from None
    # A resumed sampler with the first one's seed would propose the first one's trials again.
    seed = np.random.SeedSequence([goal.seed, len(study.trials)]).generate_state(1)[0]
    study.sampler = optuna.samplers.TPESampler(seed=int(seed))
    wanted = json.loads(json.dumps(goal.to_dict()))  # as it is stored
    found = study.user_attrs.get("goal")
    if found is None:
        study.set_user_attr("goal", wanted)
    elif found != wanted:
        other = [key for key, value in wanted.items() if value != found.get(key)]
        raise UserError(f"{path}: a study of another {', '.join(other)}; expected a new --out")
    return study


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials with an answer: complete, pruned, or failed by themselves."""
    answered = (TrialState.COMPLETE, TrialState.PRUNED)
    return [t for t in study.trials if t.state in answered or "failed" in t.user_attrs]


def recipe_of(goal: StudyConfig, params: Mapping[str, Any]) -> Recipe:
    """The recipe that a trial's parameters stand for."""
    if goal.grid:
        chosen = GRIDS[goal.grid][params["setting"]]
        return dataclasses.replace(goal.base, **{**PUBLISHED, **chosen})
    plain = dict(params)
    strength = plain.pop("augmentation")
    return dataclasses.replace(goal.base, **plain, augment=_scaled(goal.base.augment, strength))


def shortened(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe for a short trial: restarts and steps come often enough to happen in it."""
    third = max(1, epochs // 3)
    return dataclasses.replace(
        recipe, epochs=epochs, restart_epochs=min(recipe.restart_epochs, third),
        step_epochs=min(recipe.step_epochs, third),
    )  # fmt: skip


def write_results(study: optuna.Study, goal: StudyConfig, folder: Path) -> None:
    """trials.csv, and best_recipe.yaml as soon as a trial is complete."""
    replace_file(folder / "trials.csv", study.trials_dataframe().to_csv(index=False))
    if best := _best(study):
        plain = recipe_of(goal, best.params).to_dict()
        comment = (
            f"# Tuned for genome {goal.genome.id} on {goal.dataset.name}: held-out accuracy "
            f"{best.value:.2%} after {goal.epochs} epochs (trial {best.number} of "
            f"{len(study.trials)}).\n"
        )
        text = comment + yaml.safe_dump(plain, sort_keys=False)
        replace_file(folder / "best_recipe.yaml", text)


def rows(study: optuna.Study, goal: StudyConfig) -> list[dict[str, Any]]:
    """Finished trials, best first: what was tried, accuracy, best epoch, seconds."""
    found = []
    for trial in finished(study):
        complete = trial.state == TrialState.COMPLETE
        recipe = recipe_of(goal, trial.params)
        found.append({
            "trial": trial.number,
            "setting": trial.params.get("setting"),
            "optimizer": recipe.optimizer, "schedule": recipe.schedule, "lr": recipe.lr,
            "weight_decay": recipe.weight_decay, "batch_size": recipe.batch_size,
            "augmentation": trial.params.get("augmentation"),
            "label_smoothing": recipe.label_smoothing,
            "accuracy": trial.value if complete else None,
            "best_epoch": trial.user_attrs.get("best_epoch"),
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            "state": "failed" if "failed" in trial.user_attrs else trial.state.name.lower(),
            "error": trial.user_attrs.get("failed"),
        })  # fmt: skip
    return sorted(found, key=lambda row: -1.0 if row["accuracy"] is None else -1 - row["accuracy"])


class _Objective:
    """Trains once for a trial; a trial that lags behind the others is pruned between epochs."""

    def __init__(self, goal: StudyConfig, precision: Precision, teacher: SoftLabels | None) -> None:
        self.goal, self.precision, self.teacher = goal, precision, teacher
        train = Subset.of(goal.dataset, "train", goal.device, goal.base.soft_labels)
        self.fit, self.held_out = map(train.at, search_split(goal.dataset))

    def __call__(self, trial: Trial) -> float:
        recipe = shortened(recipe_of(self.goal, _suggest(trial, self.goal)), self.goal.epochs)

        def on_epoch(row: dict[str, float]) -> None:
            trial.report(row["validation_accuracy"], int(row["epoch"]))
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            result = train(
                self.goal.genome, self.fit, self.held_out, recipe,
                seed=self.goal.seed, precision=self.precision, keep_best=True, teacher=self.teacher,
                on_epoch=on_epoch,
            )  # fmt: skip
        except FAILURES as error:
            trial.set_user_attr("failed", first_line(error))
            raise
        trial.set_user_attr("best_epoch", result.best_epoch)
        return max(row["validation_accuracy"] for row in result.history)


def _precision(study: optuna.Study, goal: StudyConfig) -> Precision:
    """Measured once for a study: its trials must not differ in their arithmetic."""
    stored = attribute("precision", study.user_attrs)
    if stored is not None:
        return read(Precision, stored, "study: precision")
    precision = fastest_precision(torch.device(goal.device), [goal.genome], goal.base.batch_size)
    study.set_user_attr("precision", dataclasses.asdict(precision))
    return precision


def _suggest(trial: Trial, goal: StudyConfig) -> dict[str, Any]:
    if goal.grid:
        return {"setting": trial.suggest_categorical("setting", list(GRIDS[goal.grid]))}
    return {
        "optimizer": trial.suggest_categorical("optimizer", OPTIMIZERS),
        "schedule": trial.suggest_categorical("schedule", SCHEDULES),
        "lr": trial.suggest_float("lr", *LR, log=True),
        "weight_decay": trial.suggest_float("weight_decay", *WEIGHT_DECAY, log=True),
        "batch_size": trial.suggest_categorical("batch_size", BATCHES),
        "augmentation": trial.suggest_float("augmentation", 0.0, 2.0),
        "label_smoothing": trial.suggest_float("label_smoothing", *LABEL_SMOOTHING),
    }


def _scaled(augment: Augment, strength: float) -> Augment:
    """Every change but mirroring, `strength` times as strong."""
    return dataclasses.replace(
        augment,
        shift=min(1.0, augment.shift * strength),
        scale=min(0.9, augment.scale * strength),
        rotate=min(180.0, augment.rotate * strength),
        erase=min(1.0, augment.erase * strength),
    )


def _database(path: Path) -> RDBStorage:
    """SQLite opened by path: in a URL `?` would end the name, and Optuna fills in `{}`."""
    connect = functools.partial(sqlite3.connect, path, timeout=60.0, check_same_thread=False)
    return RDBStorage("sqlite://", {"creator": connect})


def _queue(study: optuna.Study, goal: StudyConfig) -> None:
    """Queue what must be run: the base recipe first, all of a grid, what was interrupted."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):  # its process was killed
        study.tell(trial.number, state=TrialState.FAIL)
    interrupted = [t for t in study.get_trials(states=[TrialState.FAIL])
                   if "failed" not in t.user_attrs]  # fmt: skip
    known = [*map(_params, finished(study) + study.get_trials(states=[TrialState.WAITING]))]
    first = [] if study.trials else [_as_params(goal.base)]
    settings = [{"setting": name} for name in GRIDS[goal.grid]] if goal.grid else first
    for params in [*map(_params, interrupted), *settings]:
        if params and params not in known:
            study.enqueue_trial(params)
            known.append(params)


def _params(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial was asked to try, or, where it was asked for nothing, tried."""
    found: dict[str, Any] = trial.system_attrs.get("fixed_params", trial.params)
    return found


def _as_params(recipe: Recipe) -> dict[str, Any]:
    """The base recipe as a trial, moved inside the ranges where it lies outside."""
    return {
        "optimizer": recipe.optimizer,
        "schedule": recipe.schedule,
        "lr": float(np.clip(recipe.lr, *LR)),
        "weight_decay": float(np.clip(recipe.weight_decay, *WEIGHT_DECAY)),
        "batch_size": min(BATCHES, key=lambda b: abs(b - recipe.batch_size)),
        "augmentation": 1.0,
        "label_smoothing": float(np.clip(recipe.label_smoothing, *LABEL_SMOOTHING)),
    }


def _best(study: optuna.Study) -> FrozenTrial | None:
    complete = [t for t in study.trials if t.state == TrialState.COMPLETE]
    return max(complete, key=lambda t: t.value or 0.0) if complete else None


def _outcome(trial: FrozenTrial) -> str:
    if trial.state == TrialState.COMPLETE:
        return f"{trial.value:.2%}"
    reason = trial.user_attrs.get("failed")
    return f"failed: {reason}" if reason else trial.state.name.lower()


def _leader(study: optuna.Study) -> str:
    best = _best(study)
    return f"best {best.value:.2%} (trial {best.number})" if best else "none complete yet"
