"""One evaluation, in whichever process: what an evaluator gives, raises or breaks off.

The evaluator trains (training/evaluator.py), or is a function of the user's.
"""

from __future__ import annotations

import importlib
import inspect
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nas.common.deadline import OutOfTime, ending_after
from nas.common.errors import UserError, did_you_mean, told
from nas.evolution.objectives import check_measured
from nas.search.archive import Evaluation
from nas.training.task import Evaluator, Task

MAX_ERROR_TEXT = 2000
EvaluatorFunction = Callable[..., Mapping[str, float]]


class FunctionEvaluator:
    """A function of the user's as an evaluator: genome -> {metric: number}.

    It is given `budget` (a Fidelity: epochs, fraction) and `seed` where it has parameters of these
    names.
    """

    def __init__(self, function: EvaluatorFunction) -> None:
        self.function = function
        self.wants = _wants(function)

    def __call__(self, task: Task) -> dict[str, float]:
        offered = {"budget": task.fidelity, "seed": task.seed}
        found = self.function(task.genome, **{name: offered[name] for name in self.wants})
        if not isinstance(found, Mapping):
            raise TypeError(
                f"the evaluator returned {type(found).__name__}; expected a dict of numbers"
            )
        return {str(name): _number(name, value) for name, value in found.items()}


def _number(name: object, value: object) -> float:
    """A plain number, as JSON has it; NumPy's and one-element tensors' are taken."""
    if hasattr(value, "item"):
        try:
            value = value.item()
        except (RuntimeError, ValueError):
            raise TypeError(
                f"the evaluator's metric {name} has several values; expected a number"
            ) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"the evaluator's metric {name} is {type(value).__name__}, no number")
    return value


def _wants(function: Callable[..., Any]) -> set[str]:
    return {"budget", "seed"} & set(inspect.signature(function).parameters)


def check_function(function: Callable[..., Any], name: str) -> None:
    """UserError unless it can be called with a genome: before a folder is made."""
    try:
        inspect.signature(function).bind("a genome", **dict.fromkeys(_wants(function)))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"evaluator: {name}: {error}; expected a function of a genome, and of budget and seed "
            "where it wants them"
        ) from None


def load_function(name: str) -> Callable[..., Any]:
    """`package.module:function`, as the user typed it. UserError where there is none."""
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:  # a console script does not look there
        sys.path.append(os.getcwd())
    try:
        found: object = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # what a module's own code raises, too
        raise UserError(
            f"evaluator: {name}: {told(error)}; expected package.module:function"
        ) from None
    if not callable(found):
        raise UserError(f"evaluator: {name}: not a function")
    return found


def evaluator_name(evaluator: EvaluatorFunction | str, where: str) -> str:
    """`package.module:function`. UserError for what is neither a function nor a name."""
    if isinstance(evaluator, str):
        return evaluator
    if not callable(evaluator):
        raise UserError(
            f"{where}: evaluator: found {type(evaluator).__name__}; expected a function, or its "
            "name"
        )
    name = getattr(evaluator, "__qualname__", type(evaluator).__qualname__)
    return f"{evaluator.__module__}:{name}"


def chosen_function(stored: str, evaluator: EvaluatorFunction | str | None) -> EvaluatorFunction:
    """The function itself. UserError where only a file (`stored`) names it: none is imported."""
    if evaluator is None:
        raise UserError(
            f"evaluator {stored}: named by a file, and no file has us import anything; if you "
            f"know it, say so: --evaluator {shlex.quote(stored)}"
        )
    function = load_function(evaluator) if isinstance(evaluator, str) else evaluator
    check_function(function, stored)
    return function


def completed(
    evaluation: Evaluation, known: Mapping[str, float], wanted: Sequence[str],
    before: Iterable[Evaluation],
) -> Evaluation:  # fmt: skip
    """With the metrics that need no measurement; failed where one that is wanted is missing.

    UserError where it is so of the first that is measured: then a name is misspelt, and every
    further network would be measured in vain. before: the evaluations so far.
    """
    if evaluation.status == "failed":
        return evaluation
    metrics = {**evaluation.metrics, **known}
    missing = [name for name in wanted if name not in metrics]
    if not missing:
        return replace(evaluation, metrics=metrics)
    given = ", ".join(f"{name} {value:.6g}" for name, value in evaluation.metrics.items())
    error = (
        f"the evaluator gave no {', '.join(missing)}, which the search needs; it gave "
        f"{given or 'nothing'}{did_you_mean(missing[0], evaluation.metrics)}"
    )
    if not any(e.status != "failed" for e in before):
        raise UserError(f"{evaluation.id}: {error}")
    return replace(evaluation, status="failed", metrics={}, error=error)


def run_task(evaluator: Evaluator, task: Task) -> Evaluation | Task:
    """Evaluate; whatever goes wrong becomes an evaluation with status failed.

    Where the search's time ends first, the last point of the evaluator's `learning_curve` counts
    (epochs and metrics): status stopped. Where there is none, the task itself comes back.
    """
    started, clock = time.time(), time.perf_counter()
    metrics, status, error = dict[str, float](), "ok", ""
    try:
        with ending_after(task.seconds):
            metrics = evaluator(task)
        check_measured(metrics)
    except OutOfTime:
        curve = getattr(evaluator, "learning_curve", None)
        if not curve:
            return task
        epochs, metrics = curve[-1]
        task, status = replace(task, fidelity=replace(task.fidelity, epochs=epochs)), "stopped"
    except (Exception, SystemExit) as problem:  # a function of the user's may exit, too
        metrics, status = {}, "failed"
        error = f"{type(problem).__name__}: {problem}"[:MAX_ERROR_TEXT]
        if not str(problem).strip():
            error = f"{type(problem).__name__}\n{traceback.format_exc(limit=-3)}"[:MAX_ERROR_TEXT]
    seconds = time.perf_counter() - clock
    return evaluation(task, status, metrics, error, seconds, started)


def failed(task: Task, error: str, seconds: float = 0.0) -> Evaluation:
    """The evaluation of a task whose worker never answered."""
    return evaluation(task, "failed", {}, error[:MAX_ERROR_TEXT], seconds, time.time() - seconds)


def evaluation(
    task: Task, status: str, metrics: dict[str, float], error: str, seconds: float, started: float
) -> Evaluation:
    return Evaluation(
        task.index, task.genome, task.fidelity, task.seed, status, metrics, error, seconds, started,
        task.parents, task.changes, task.predicted,
    )  # fmt: skip
