"""How long a search has run: pauses between its processes do not count."""

import json
import time
from dataclasses import replace

import pytest
from fakes import FakeEvaluator, evaluation

from nas.common.errors import UserError
from nas.search.driver import Search
from nas.search.elapsed import Ran, by_elapsed, ran_before, running_seconds
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.search.volume import Box
from nas.search.workers import InProcess

HOUR = 3600.0


def seconds(evaluations):
    return [second for second, _ in by_elapsed(evaluations)]


def test_a_pause_of_an_hour_is_no_running_time(proposed, tmp_path):
    """10 s, an hour's pause, 10 s: 20 s, as noted and as derived of a run that noted nothing."""
    first = evaluation(proposed, 0, 0.5, 2000, 100.0, seconds=10.0, started=1000.0)
    second = evaluation(proposed, 1, 0.7, 1000, 200.0, seconds=10.0, started=1010.0 + HOUR)
    derived = [first, second]
    noted = [replace(first, elapsed=10.0), replace(second, elapsed=20.0)]
    for run in (derived, noted, [noted[0], noted[1]][::-1], [first, replace(second, elapsed=20.0)]):
        assert seconds(run) == [10.0, 20.0]
        assert running_seconds(run) == 20.0
        curve = Box.around([run], 7).curve(run)
        assert [(n, s) for n, s, _ in curve] == [(1, 10.0), (2, 20.0)]
    # The process that was killed after them wrote no summary; one that ended in good order did.
    summary = tmp_path / "summary.json"
    assert ran_before(summary, derived) == Ran(20.0, 20.0)
    summary.write_text(json.dumps({"seconds": 14.0, "loop_seconds": 12.0}))
    assert ran_before(summary, derived) == Ran(22.0, 20.0)


def test_what_trains_at_once_counts_once(proposed):
    rows = [(0.0, 30.0), (5.0, 10.0), (31.0, 10.0)]  # started, took
    run = [evaluation(proposed, i, started=100 + s, seconds=t) for i, (s, t) in enumerate(rows)]
    assert seconds(run) == [15.0, 30.0, 41.0]  # a second's proposal is running time
    assert seconds([]) == []


def test_a_summary_that_is_none_is_refused(tmp_path):
    summary = tmp_path / "summary.json"
    for text in ("[]", '{"seconds": "long"}', '{"loop_seconds": -1}'):
        summary.write_text(text)
        with pytest.raises(UserError, match="summary"):
            ran_before(summary, [])


def test_a_resumed_search_goes_on_counting(quick, tmp_path, monkeypatch):
    """Each evaluation takes a second of our own clock; between the processes lies an hour."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return Clock.now

    class Evaluator(FakeEvaluator):
        def __call__(self, task):
            metrics = super().__call__(task)
            Clock.now += 1.0
            return metrics

    monkeypatch.setattr(time, "perf_counter", Clock())
    settings = Settings(evaluations=6, population=8, algorithm="nsga2")
    run = RunDirectory.create(tmp_path / "run", settings, quick)

    def go_on(calls):
        evaluator = Evaluator(calls)
        return Search(run, settings, quick, []).loop(InProcess(lambda: evaluator, threads=1))

    assert go_on(2).total == Ran(0.0, 2.0)
    Clock.now += HOUR
    assert go_on(10).total == Ran(2.0, 6.0)
    assert [e.elapsed for e in run.archive()] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
