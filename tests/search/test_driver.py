"""The search loop with a fake evaluator: order, resume, failures, budgets."""

import errno
import json
import os
import time
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from fakes import FakeEvaluator, OutOfOrder

from nas.common.errors import UserError
from nas.evolution.pareto import pareto_front
from nas.search.archive import Evaluation
from nas.search.driver import Callback, Search
from nas.search.evaluate import run_task
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.search.workers import InProcess, again, evaluations_of
from nas.training.task import Fidelity, Task

pytestmark = pytest.mark.slow


def in_process(evaluator):
    return InProcess(lambda: evaluator, threads=2)


def search(path, space, settings, initial=()):
    run = RunDirectory(path)
    if not path.exists():
        run = RunDirectory.create(path, settings, space, list(initial), ["test"])
    return Search(run, settings, space, list(initial))


@pytest.fixture
def start(tmp_path, quick):
    def begin(name, **settings):
        return search(tmp_path / name, quick, Settings(population=8, algorithm="nsga2", **settings))

    return begin


def rows(found):
    return [(e.index, e.id, e.status, e.metrics) for e in sorted(found, key=lambda e: e.index)]


@pytest.mark.parametrize("stop_after", [0, 3, 17])
@pytest.mark.parametrize("damaged", [False, True])
def test_interrupted_and_resumed_is_uninterrupted(start, stop_after, damaged):
    whole = start("whole", evaluations=30, deterministic=True)
    assert whole.loop(in_process(FakeEvaluator())).stopped == "finished"
    cut = start("cut", evaluations=30, deterministic=True)
    outcome = cut.loop(in_process(FakeEvaluator(stop_after)))
    assert outcome.stopped == "interrupted"
    assert len(cut.archive) == stop_after
    cut.archive.close()
    if damaged:
        cut.run.file("pending.jsonl").write_text("{ not whole")
    again = start("cut", evaluations=30, deterministic=True)
    evaluator = FakeEvaluator()
    again.loop(in_process(evaluator))
    assert len(evaluator.seen) == 30 - stop_after
    assert rows(again.archive) == rows(whole.archive)
    assert [e.id for e in pareto_front(again.archive)] == [
        e.id for e in pareto_front(whole.archive)
    ]


def test_deterministic_whatever_order_the_workers_answer_in(start):
    ids = []
    for order in range(3):
        found = start(f"order{order}", evaluations=40, deterministic=True, workers=2)
        found.loop(OutOfOrder(FakeEvaluator(), order))
        ids.append(rows(found.archive))
    assert ids[0] == ids[1] == ids[2]


def test_resumed_with_two_workers_is_uninterrupted(start):
    whole = start("whole", evaluations=30, deterministic=True, workers=2)
    whole.loop(OutOfOrder(FakeEvaluator(), 0))
    cut = start("cut", evaluations=30, deterministic=True, workers=2)
    cut.loop(OutOfOrder(FakeEvaluator(13), 1))
    cut.archive.close()
    again = start("cut", evaluations=30, deterministic=True, workers=2)
    again.loop(OutOfOrder(FakeEvaluator(), 2))
    assert rows(again.archive) == rows(whole.archive)


def test_what_was_begun_goes_on_only_as_far_as_is_wanted(start):
    """Two were running when the search ended; the resumed one wants one more."""
    cut = start("cut", evaluations=20, workers=2)
    cut.loop(OutOfOrder(FakeEvaluator(6), 1))
    assert (len(cut.archive), len(cut.pending.tasks)) == (6, 2)
    again = start("cut", evaluations=7, workers=2)
    again.loop(OutOfOrder(FakeEvaluator(), 2))
    assert len(again.archive) == 7
    assert len(again.pending.tasks) == 1  # for a further resume


def test_failed_candidates_do_not_end_the_search(start):
    found = start("run", evaluations=20)
    outcome = found.loop(in_process(FakeEvaluator(fail=(2, 7))))
    assert outcome.stopped == "finished"
    failed = [e for e in found.archive if not e.ok]
    assert [e.index for e in failed] == [1, 4, 6]
    assert failed[0].error == "MemoryError: no room for this one"
    assert "accuracy is nan" in failed[1].error
    front = {e.index for e in found.archive.front}
    assert not front & {1, 4, 6}
    assert found.run.file("best.json").exists()


def test_waiting_that_ctrl_c_ends_is_no_overhead(start):
    class Slow(OutOfOrder):
        def next(self):
            time.sleep(0.3)
            raise KeyboardInterrupt

    outcome = start("run", evaluations=5).loop(Slow(FakeEvaluator(), 0))
    assert outcome.stopped == "interrupted"
    assert outcome.waited >= 0.3


def cannot_write(number):
    """As files.py complains: the system's reason is the cause."""

    def write(evaluation):
        raise UserError("evaluations.jsonl: cannot write") from OSError(number, os.strerror(number))

    return write


def test_a_full_disk_is_waited_for_and_what_cannot_be_stored_is_printed(start, monkeypatch, caplog):
    def ctrl_c(seconds):
        raise KeyboardInterrupt

    for number in (errno.ENOSPC, errno.EDQUOT):
        caplog.clear()
        found = start(f"run{number}", evaluations=5)
        monkeypatch.setattr(found.archive, "append", cannot_write(number))
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", ctrl_c)
            assert found.loop(in_process(FakeEvaluator())).stopped == "interrupted"
        said = [record.getMessage() for record in caplog.records]
        assert "free some space" in said[0]
        line = said[1].removeprefix("not stored: ")
        assert Evaluation.from_dict(json.loads(line), "line").index == 0
        again = start(f"run{number}", evaluations=5)
        assert again.loop(in_process(FakeEvaluator())).stopped == "finished"
        assert [e.index for e in again.archive] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.EIO, errno.EROFS])
def test_what_waiting_does_not_mend_ends_the_search(start, monkeypatch, caplog, number):
    """The first error is the one that is reported, whatever goes wrong while the files close."""
    found = start("run", evaluations=5)
    monkeypatch.setattr(found.archive, "append", cannot_write(number))

    close = found.pending.close

    def gone():
        close()
        raise UserError("pending.jsonl: cannot write")

    monkeypatch.setattr(found.pending, "close", gone)
    with pytest.raises(UserError, match="cannot write"):
        found.loop(in_process(FakeEvaluator()))
    assert "not stored: {" in caplog.text
    assert "pending.jsonl: cannot write" in caplog.text


def test_a_callback_that_raises_ends_no_search(start, caplog):
    class Broken(Callback):
        def on_evaluation(self, search, evaluation):
            raise OSError("the log is on the full disk")

    class Counting(Callback):
        told = 0

        def on_evaluation(self, search, evaluation):
            self.told += 1

    counting = Counting()
    found = start("run", evaluations=5)
    found.callbacks = [Broken(), counting]
    assert found.loop(in_process(FakeEvaluator())).stopped == "finished"
    assert counting.told == 5
    assert caplog.text.count("the log is on the full disk") == 1


class Unsteady(OutOfOrder):
    """Dies with every third task once, and with the seventh always."""

    capacity = 0

    def next(self):
        if not self.tasks:
            self.capacity = 2
            return None
        task = self.tasks.pop()
        if (task.attempt == 1 and task.index % 3 == 0) or task.index == 7:
            self.capacity = len(self.tasks)
            return again(task, "its node is gone")
        return run_task(self.evaluator, task)


def test_tasks_of_no_search_are_done_alike(quick, rng):
    tasks = [Task(i, quick.sample(rng).genome, Fidelity(), 0) for i in range(10)]
    found = list(evaluations_of(Unsteady(FakeEvaluator(), 0), tasks))
    assert sorted(e.index for e in found) == list(range(10))
    (failed,) = (e for e in found if not e.ok)
    assert (failed.index, failed.error) == (
        7,
        "broken off 3 times, at last because its node is gone",
    )


def test_workers_that_come_and_go(start):
    """Capacity falls to nothing and grows again; every task that a death broke off is done."""

    for deterministic in (True, False):
        settings = {"evaluations": 20, "workers": 2, "deterministic": deterministic}
        found = start(f"run{deterministic}", **settings)
        found.loop(Unsteady(FakeEvaluator(), 0))
        assert sorted(e.index for e in found.archive) == list(range(20))
        (failed,) = (e for e in found.archive if not e.ok)
        assert failed.index == 7
        assert failed.error == "broken off 3 times, at last because its node is gone"


def test_what_was_broken_off_comes_first(start):
    """Before what was asked ahead: a search that ends in between has the fewer gaps."""

    class DiesOnce:
        capacity, begun = 1, []

        def submit(self, task):
            self.task = task
            self.begun.append((task.index, task.attempt))

        def next(self):
            if self.begun[-1] == (0, 1):
                return again(self.task, "its node is gone")
            return run_task(FakeEvaluator(), self.task)

    workers = DiesOnce()
    start("run", evaluations=3, deterministic=True).loop(workers)
    assert workers.begun == [(0, 1), (0, 2), (1, 1), (2, 1)]


def test_deterministic_mode_keeps_the_deadline(start):
    """What was asked ahead and not begun is left to a resumed search."""

    class Slow(FakeEvaluator):
        def __call__(self, task):
            time.sleep(0.2)
            return super().__call__(task)

    found = start("run", evaluations=None, deterministic=True)
    outcome = found.loop(in_process(Slow()), time.monotonic() + 0.5)
    assert outcome.stopped == "time is up"
    assert 1 <= len(found.archive) <= 4
    whole = start("whole", evaluations=20, deterministic=True)
    whole.loop(in_process(FakeEvaluator()))
    found.run.__exit__(None, None, None)
    again = start("run", evaluations=20, deterministic=True)
    again.loop(in_process(FakeEvaluator()))
    assert [e.id for e in again.archive] == [e.id for e in whole.archive]


def test_time_is_up(start):
    found = start("run", evaluations=None)
    outcome = found.loop(in_process(FakeEvaluator()), time.monotonic() + 0.3)
    assert outcome.stopped == "time is up"
    assert len(found.archive) > 0


def test_a_genome_from_outside_is_measured_but_not_on_the_front(tmp_path, quick, proposed):
    settings = Settings(evaluations=10, population=4, algorithm="nsga2")
    found = search(tmp_path / "run", quick, settings, [proposed])
    found.loop(in_process(FakeEvaluator()))
    assert found.archive.evaluations[0].id == proposed.id
    assert proposed.id not in {e.id for e in found.archive.front}


def test_a_stopped_network_is_no_failure_to_the_surrogate(tmp_path, quick, rng):
    """Its time was up: a resumed search neither asks for it again nor takes it for the worst."""
    settings = Settings(evaluations=20, algorithm="nsga2+gp")
    whole = search(tmp_path / "whole", quick, settings)
    whole.loop(in_process(FakeEvaluator()), time.monotonic() + 60)
    last = whole.archive.evaluations[-1]
    forecasts = []
    for name, ends in (("without", []), ("stopped", [replace(last, status="stopped")])):
        run = RunDirectory.create(tmp_path / name, settings, quick)
        with closing(run.archive(quick.contains)) as archive:
            for evaluation in [*whole.archive.evaluations[:-1], *ends]:
                archive.append(evaluation)
        resumed = search(run.path, quick, settings)
        predictor = resumed.optimizer.screen.predictor
        predictor.fit()
        forecasts.append(predictor.forecasts([quick.genotype(last.genome)]))
    assert forecasts[0] == forecasts[1]
    with pytest.raises(UserError, match="was told before"):
        resumed.optimizer.tell(last.genome, None)


def test_the_callers_threads_stay_theirs():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        workers = in_process(FakeEvaluator())
        assert torch.get_num_threads() == 2
        workers.close()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_settings_round_trip(start):
    found = start("run", evaluations=7, fidelity=Fidelity(2, 0.5))
    assert found.run.settings() == found.settings
