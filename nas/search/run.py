"""A whole search on real parts, from Python or from the command line, which calls it too."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
import types
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.arch.genome import Genome
from nas.common.cli import resumable
from nas.common.deadline import OutOfTime, beginning_within, ending_after
from nas.common.errors import UserError, as_path, expect
from nas.common.files import read_json
from nas.common.options import with_values
from nas.data import SearchData, open_dataset, search_data
from nas.data.sources import located
from nas.evolution.predictor import StaticMetrics
from nas.search.archive import Evaluation
from nas.search.cluster import check_address
from nas.search.driver import Callback, Search
from nas.search.elapsed import Outcome
from nas.search.evaluate import (
    EvaluatorFunction,
    FunctionEvaluator,
    chosen_function,
    evaluator_name,
)
from nas.search.machine import measure_front, measure_machine
from nas.search.profile import HardwareProfile, given_profile, static_metrics
from nas.search.progress import ProgressView
from nas.search.results import Run
from nas.search.seeds import first_genomes
from nas.search.settings import (
    Settings,
    changeable,
    check_addressed,
    checked,
    fixed_changes,
    going_on,
)
from nas.search.store import RunDirectory
from nas.search.workers import Workers, start_workers
from nas.space.space import SearchSpace
from nas.training.evaluator import TrainingEvaluator
from nas.training.precision import torch_device
from nas.training.predict import Precision
from nas.training.teacher import teacher_of_a_part

LAST_SHARE, LAST_SECONDS = 0.1, 30.0  # of a time budget, kept for the front's frame rates

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What a search or an ablation is made of, checked before anything is written.

    by: what is trained on, or what measures instead. fingerprint: of the data.
    """

    settings: Settings
    space: SearchSpace
    by: SearchData | EvaluatorFunction
    fingerprint: str | None = None


def search(
    space: SearchSpace | str | Path | None = None,
    *,
    settings: Settings | None = None,
    evaluator: EvaluatorFunction | str | None = None,
    seed_genomes: Sequence[str | Path] | None = None,
    machine: str | Path | None = None,
    run_dir: str | Path | None = None,
    resume: str | Path | Run | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    command: Sequence[str] = (),
    started: float | None = None,
    **options: Any,
) -> Run:
    """Search `space` (a name, a file or an object), or go on with the run `resume`.

    options: over `settings`, by the names of the command line (data="fer2013", evaluations=50,
    workers=2, epochs=3, time_budget="10m", seed=1) or of config.yaml (fitness={...}). evaluator: a
    function genome -> metrics, instead of a training (`budget` and `seed` are handed to it where it
    has such parameters), or its name "package.module:function"; to go on, it is given again.
    seed_genomes: names or files of genomes to begin with, [] for none; None: the report's proposed
    model. machine: a machine.json, instead of measuring anew. progress: a view in a terminal, a bar
    in a notebook, else a line now and then on stderr. started: of time.monotonic, when the time
    budget began.

    Ctrl-C ends a search early, with a front; it and an exception leave a run that goes on:
    `nas.search(resume=run)`, with more `evaluations` or a further `time_budget`, if wanted.
    """
    started = time.monotonic() if started is None else started
    expect(settings, (Settings, types.NoneType), "search: settings", "Settings")
    expect(callbacks, Sequence, "search: callbacks", "a list of them")
    if (space is None) == (resume is None):
        raise UserError("search: expected either a space, or a run to resume")
    if resume is not None:
        run = RunDirectory.open(as_path(resume, "search: resume"))
        parts, initial = _resumed(run, settings, evaluator, options, started)
    else:
        assert space is not None
        found = space if isinstance(space, SearchSpace) else SearchSpace.load(space)
        wanted = checked(_with(settings or Settings(), options, evaluator))
        parts = prepared(findable(wanted), found, evaluator, started)
        profile = given_profile(
            parts.settings, as_path(machine, "search: machine") if machine else None
        )
        initial = first_genomes(seed_genomes, parts.space)
        folder = None if run_dir is None else as_path(run_dir, "search: run_dir")
        run = RunDirectory.create(
            folder, parts.settings, parts.space, initial, command, parts.fingerprint
        )
        if profile is not None:
            run.write("machine.json", profile.to_json())
    if progress:
        callbacks = [*callbacks, ProgressView(started)]
    with run, resumable(by=f"python -m nas.search --resume {run.path}"):
        outcome = _search(run, parts, initial, callbacks, started, fresh=resume is None)
    return Run(run, outcome)


def _resumed(
    run: RunDirectory, settings: Settings | None, evaluator: EvaluatorFunction | str | None,
    options: dict[str, Any], started: float,
) -> tuple[Parts, list[Genome]]:  # fmt: skip
    stored = run.settings()
    run.check_files()  # before other data, or another space, are taken for the mistake
    if settings is None:
        check_addressed(stored, "address" in options)
    wanted = checked(going_on(_with(settings or stored, options, evaluator), options))
    # Paths of earlier runs are relative, and stay as their fingerprints have them.
    for name, (before, after) in fixed_changes(findable(stored), findable(wanted)).items():
        raise UserError(
            f"--resume: {name}: the run has {before}, and its networks do not compare with those "
            f"of {after}; start a new run. What may change: {changeable()}"
        )
    same = {name: getattr(stored, name) for name in ("data", "fps_model", "recipe")}
    wanted = dataclasses.replace(wanted, **same)
    parts = prepared(wanted, run.space(), evaluator, started)
    run.check_unchanged(parts.fingerprint)
    return parts, run.initial()


def _with(
    settings: Settings, options: dict[str, Any], evaluator: EvaluatorFunction | str | None
) -> Settings:
    """The settings with some given by name, read as YAML's would be."""
    if evaluator is not None:
        options = {**options, "evaluator": evaluator_name(evaluator, "search")}
    try:
        text = json.dumps(options, default=dataclasses.asdict)  # objectives may be dataclasses
    except TypeError as error:
        raise UserError(f"search: {error}; expected plain values") from None
    return with_values(settings, json.loads(text), "search")


def findable(settings: Settings) -> Settings:
    """With absolute paths for data, fps model and teacher, so that a run goes on from any folder;
    the names of data sets stay names.
    """
    data = settings.data if settings.evaluator else located(settings.data)
    fps_model, teacher = (
        None if path is None else os.path.abspath(path)
        for path in (settings.fps_model, settings.recipe.teacher)
    )
    recipe = dataclasses.replace(settings.recipe, teacher=teacher)
    return dataclasses.replace(settings, data=data, fps_model=fps_model, recipe=recipe)


def prepared(
    settings: Settings, space: SearchSpace, evaluator: EvaluatorFunction | str | None,
    started: float,
) -> Parts:  # fmt: skip
    """Everything that can be wrong is found here, before a folder is made."""
    if settings.address is not None:
        check_address(settings.address)
    if settings.evaluator is not None:
        function = chosen_function(settings.evaluator, evaluator)
        return Parts(settings, settings.space(space), function)
    with beginning_within(settings.time_budget, started, "the data set was prepared"):
        dataset = open_dataset(settings.data)
    torch_device(settings.device)  # the workers open it themselves, and the teacher
    teacher_of_a_part(settings.recipe, dataset.fingerprint)
    space = settings.space(space, dataset.form)
    return Parts(settings, space, search_data(dataset), dataset.fingerprint)


def _search(
    run: RunDirectory, parts: Parts, initial: list[Genome], callbacks: Sequence[Callback],
    started: float, fresh: bool,
) -> Outcome:  # fmt: skip
    """On the locked folder: measure the machine, search, measure the front, write the results."""
    log.info("run directory: %s", run.path)
    budget, end, deadline = parts.settings.time_budget, None, None
    if budget is not None:
        end = started + budget
        deadline = end - min(LAST_SHARE * budget, LAST_SECONDS)
    settings = parts.settings
    search: Search | None = None
    workers: Workers | None = None
    try:
        with ending_after(None if deadline is None else deadline - time.monotonic()):
            profile = profile_of(run, parts)
            search = Search(
                run, settings, parts.space, initial, callbacks, static_of(profile, settings)
            )
            if not fresh and search.complete and _has_results(search):
                log.info(
                    "%s: finished already, with %d evaluations; it goes on with more --evaluations",
                    run.path, len(search.archive),
                )  # fmt: skip
                return Outcome("finished", search.before)
            if not fresh and settings != run.settings():
                run.store(settings)
            # A process that died with a candidate in it may have died of it: now it gets its own.
            alone = search.pending.abandoned
            workers = evaluating(parts, profile, deadline, alone)
        if fresh:  # only now: what fails at its start is nothing to look at
            run.point_latest()
        search.tell_callbacks("on_start")
        outcome = search.loop(workers, deadline)
    except OutOfTime:  # before there was a worker
        search = search or Search(run, settings, parts.space, initial, callbacks)
        outcome = Outcome("time is up", search.before)
        if fresh:
            run.point_latest()
    finally:
        if workers is not None:
            workers.close()
    search.write_results(final=True)
    if outcome.stopped != "interrupted":
        _measure_front(search, end)
    outcome.seconds = time.monotonic() - started
    run.write("summary.json", json.dumps(_summary(search, outcome, parts.by), indent=1))
    search.tell_callbacks("on_end", outcome)
    return outcome


def _has_results(search: Search) -> bool:
    """Whether they were written after the last evaluation: a process may have been killed then."""
    path = search.run.file("summary.json")
    summary = read_json(path) if path.exists() else {}
    return bool(summary.get("evaluations") == len(search.archive))


def profile_of(run: RunDirectory, parts: Parts) -> HardwareProfile | None:
    """None where nobody asks for frames per second, and nothing is trained."""
    if not isinstance(parts.by, SearchData) and "fps" not in parts.settings.wanted:
        return None
    return measure_machine(run, parts.settings, parts.space)


def static_of(profile: HardwareProfile | None, settings: Settings) -> StaticMetrics:
    """What is known of a genome before a measurement."""
    model = profile.calibration.model if profile else None
    return partial(static_metrics, fps_model=model, more=settings.footprint)


def evaluating(
    parts: Parts, profile: HardwareProfile | None, deadline: float | None = None,
    alone: bool = False,
) -> Workers:  # fmt: skip
    """Workers that train on the data, in the profile's mode, or that call the user's function."""
    settings, by = parts.settings, parts.by
    if not isinstance(by, SearchData):
        return start_workers(settings, FunctionEvaluator, (by,), deadline, alone)
    assert profile is not None
    precision = Precision(profile.bf16, profile.channels_last)
    arguments = (by, settings.recipe, precision, settings.device)
    return start_workers(settings, TrainingEvaluator, arguments, deadline, alone)


def _measure_front(search: Search, end: float | None) -> None:
    """Measured here, unless another machine is the target or fps is none of the objectives."""
    run, settings = search.run, search.settings
    if "fps" not in settings.wanted:
        return
    if settings.fps_model is not None:
        log.info(
            "fps was predicted for the machine of %s; to measure the front, run there: "
            "python -m nas.fps --run %s", settings.fps_model, run.path,
        )  # fmt: skip
        return
    members = run.front(search.archive)
    measure_front(run, [member.measured for member in members], end)


def _summary(
    search: Search, outcome: Outcome, by: SearchData | EvaluatorFunction
) -> dict[str, Any]:
    done: list[Evaluation] = search.archive.evaluations
    return {
        "stopped": outcome.stopped,
        "evaluations": len(done),
        "failed": sum(e.status == "failed" for e in done),
        "epochs_trained": sum(e.fidelity.epochs for e in done),
        "seconds": outcome.total.seconds,
        "loop_seconds": outcome.total.loop_seconds,
        "driver_overhead": outcome.overhead,
        "training_seconds": sum(e.seconds for e in done),
        "majority_baseline": majority_baseline(by) if isinstance(by, SearchData) else None,
    }


def majority_baseline(data: SearchData) -> float:
    """Accuracy of always naming the most frequent class of the held-out part."""
    labels = np.asarray(data.labels)[data.held_out]
    return float(np.bincount(labels).max() / len(labels))
