import dataclasses

import numpy as np
import pytest
from conftest import TINY

from nas.data import search_split
from nas.search.evaluate import failed, run_task
from nas.training.evaluator import SearchData, TrainingEvaluator
from nas.training.predict import Precision
from nas.training.recipe import Recipe
from nas.training.task import Fidelity, Task

pytestmark = pytest.mark.slow


def made(faces):
    fit, held_out = search_split(faces)
    data = SearchData(faces.images, faces.labels, fit, held_out, np.arange(len(faces)))
    return TrainingEvaluator(data, Recipe(batch_size=16), Precision(channels_last=True))


@pytest.fixture(scope="module")
def evaluator(faces):
    return made(faces)


def task(epochs=2, seed=0, **more):
    return Task(0, TINY, Fidelity(epochs, 1.0), seed, **more)


def test_metrics_of_a_training(evaluator):
    """What needs no training comes from elsewhere (search/machine.py)."""
    found = evaluator(task())
    assert found.keys() == {"accuracy", "macro_f1", "balanced_accuracy", "loss"}
    assert all(0 <= value <= 1 for name, value in found.items() if name != "loss")
    assert found["macro_f1"] != found["accuracy"]
    assert 0.5 < found["loss"] < 1.5 * np.log(7)  # that of guessing is log(7)


def test_a_training_that_is_broken_off_shows_its_last_reading(evaluator):
    """And the readings on the way change nothing."""
    whole = evaluator(task(epochs=2))
    assert evaluator.learning_curve[-1] == (2, whole)
    read = evaluator(task(epochs=2, seconds=1000.0))
    assert evaluator(task(epochs=2, seconds=30.0)) == whole == read
    found = run_task(evaluator, task(epochs=10_000, seconds=3.0))
    assert found.status == "stopped"
    assert 1 <= found.fidelity.epochs < 10_000
    assert (found.fidelity.epochs, found.metrics) == evaluator.learning_curve[-1]
    assert 3 <= found.seconds < 5


def test_before_a_training_has_ended_each_epoch_is_read_where_time_ends(faces):
    """However much is left: it may take longer. Then the last epoch alone, far from the end."""
    evaluator, read = made(faces), []
    for _ in range(2):
        evaluator(task(epochs=2, seconds=9999.0))
        read.append(len(evaluator.learning_curve))
    assert read == [2, 1]


def test_the_same_seed_the_same_accuracy(evaluator):
    first, again = (evaluator(task(seed=0)) for _ in range(2))
    assert first == again
    assert any(evaluator(task(seed=seed)) != first for seed in range(1, 5))


def test_fidelity_is_how_much_training_it_gets(evaluator, faces, monkeypatch):
    seen, held = [], set()

    def train(genome, fit, held_out, recipe, **_):
        seen.append((recipe.epochs, len(fit), tuple(fit.rows.tolist())))
        held.update(held_out.rows.tolist())
        raise MemoryError("enough")

    monkeypatch.setattr("nas.training.evaluator.train", train)
    for fidelity in (Fidelity(3, 1.0), Fidelity(5, 0.5), Fidelity(5, 0.5), Fidelity(1, 0.001)):
        run_task(evaluator, Task(0, TINY, fidelity, 0))
    fit_rows, held_out_rows = search_split(faces)
    whole = len(fit_rows)
    half = round(whole / 2)
    assert [s[:2] for s in seen] == [(3, whole), (5, half), (5, half), (1, 16)]
    assert seen[1][2] == seen[2][2]  # the same part for every genome
    assert set(seen[1][2]) < set(seen[0][2]) == set(fit_rows)
    assert held == set(held_out_rows)


def test_a_task_that_fails_is_an_evaluation(evaluator):
    impossible = dataclasses.replace(TINY, num_classes=3)  # labels go to 6
    wrong = Task(7, impossible, Fidelity(1, 1.0), 0)
    found = run_task(evaluator, wrong)
    assert (found.index, found.status, found.metrics) == (7, "failed", {})
    assert found.error
    assert run_task(evaluator, dataclasses.replace(wrong, genome=TINY)).ok


def test_a_metric_that_is_not_finite_is_a_failure():
    def broken(task):
        return {"accuracy": float("inf")}

    found = run_task(broken, Task(0, TINY, Fidelity(1, 1.0), 0))
    assert not found.ok
    assert "accuracy is inf" in found.error


def test_a_worker_that_never_answered():
    found = failed(Task(3, TINY, Fidelity(1, 1.0), 0), "x" * 10**6)
    assert not found.ok
    assert len(found.error) < 10_000
