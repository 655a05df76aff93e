"""The ladder: who stops, what it learns, and that the front does not suffer for it."""

import dataclasses

import numpy as np
import pytest
from conftest import ROOT

from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.evolution.pruner import AUDIT, FEW, NEVER, RungPruner
from nas.search.archive import Evaluation, Fidelity
from nas.search.driver import Search
from nas.search.store import RunDirectory, Settings
from nas.search.workers import InProcess
from nas.training.evaluator import Result

TOP = 4
NOBODY = 1  # an index that is not audited


def finished(genome, accuracy, early, index=0, params=1000, fps=500.0):
    metrics = {"accuracy": accuracy, "params": params, "fps": fps}
    return Evaluation(index, genome, Fidelity(TOP), 0, "ok", metrics, learning_curve={"1": early})


@pytest.fixture
def taught(proposed):
    """Gains from 0.10 to 0.29, and the most accurate at 0.6."""
    ladder = RungPruner((1,), TOP)
    for i in range(FEW):
        early = 0.1 + i / 100
        ladder.learn(finished(proposed, early + 0.1 + (i % FEW) / 100, early, i))
    ladder.learn(finished(proposed, 0.6, 0.4, FEW))
    return ladder


@pytest.mark.parametrize("rungs", [(2, 1), (1, 1), (4,), (1, 9)])
def test_rungs_ascend_below_the_top(rungs):
    with pytest.raises(UserError, match="must ascend and stay below the 4 epochs"):
        RungPruner(rungs, TOP)


def test_nobody_stops_before_enough_have_finished(proposed):
    ladder = RungPruner((1,), TOP)
    for i in range(FEW - 1):
        ladder.learn(finished(proposed, 0.9, 0.1 + i / 100, i))
        assert ladder.thresholds(NOBODY, {"params": 5000, "fps": 10}) == ((1, NEVER),)


def test_the_bar_is_the_front_less_an_optimistic_gain(taught):
    ((rung, bar),) = taught.thresholds(NOBODY, {"params": 1000, "fps": 500})
    gains = [0.1 + i / 100 for i in range(FEW)] + [0.2]
    assert (rung, bar) == (1, pytest.approx(0.6 - np.quantile(gains, 0.9)))


@pytest.mark.parametrize("known", [{"params": 999, "fps": 500}, {"params": 1000, "fps": 501}])
def test_smaller_or_faster_than_the_front_never_stops(taught, known):
    assert taught.thresholds(NOBODY, known) == ((1, NEVER),)


def test_one_in_some_is_audited(taught):
    known = {"params": 5000, "fps": 10}
    spared = [i for i in range(3 * AUDIT) if taught.thresholds(i, known) == ((1, NEVER),)]
    assert spared == [0, AUDIT, 2 * AUDIT]


def test_one_that_stopped_counts_with_the_median_gain(taught, proposed):
    stopped = dataclasses.replace(
        finished(proposed, 0.15, 0.0), status="stopped", fidelity=Fidelity(1), learning_curve={}
    )
    assert taught.learn(stopped) == []
    told = taught.expected(stopped)
    assert told.ok
    assert told.metrics["accuracy"] == pytest.approx(0.15 + 0.2)
    done = finished(proposed, 0.5, 0.3)
    assert taught.expected(done) is done
    (rung,) = taught.report()
    assert (rung.epochs, rung.finished, rung.stopped, rung.skipped) == (1, FEW + 1, 1, False)
    assert rung.correlation > 0.9


def test_a_misleading_rung_is_named_and_skipped(proposed):
    ladder = RungPruner((1, 2), TOP)
    news = []
    for i in range(FEW):
        found = finished(proposed, 0.5 + i / 100, 0.4 - i / 100, i)
        news += ladder.learn(
            dataclasses.replace(found, learning_curve={**found.learning_curve, "2": 0.4 + i / 100})
        )
    assert len(news) == 1
    assert "rung of 1 epochs: 0 networks stopped" in news[0]
    assert news[0].endswith("over 20 that finished: -1.00; misleading, skipped")
    assert [rung for rung, _ in ladder.thresholds(NOBODY, {"params": 5000, "fps": 1})] == [2]
    assert [rung.skipped for rung in ladder.report()] == [True, False]


class Silent:
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    def update(self, search, evaluation):
        pass

    def close(self):
        pass


class Curves:
    """Learning curves that are a function of the genome; weights that say whose they are."""

    def __init__(self, calls=10**9):
        self.calls, self.epochs = calls, 0

    def __call__(self, task):
        if self.calls == 0:
            raise KeyboardInterrupt
        self.calls -= 1
        if task.heritage is not None:
            assert task.heritage.weights == task.heritage.genome.id.encode()
        top, gain = np.random.default_rng(int(task.genome.id, 16)).random(2)
        learning_curve = {}
        for rung, bar in task.rungs:
            early = 0.7 * top + 0.1 * gain
            if early <= bar:
                self.epochs += rung
                return Result({**known(task.genome), "accuracy": early}, rung)
            learning_curve[str(rung)] = early
        self.epochs += TOP
        weights = task.genome.id.encode() if task.bequeath else b""
        return Result({**known(task.genome), "accuracy": top}, TOP, learning_curve, weights)


def known(genome):
    found = cost(genome)
    return {"params": found.params, "fps": 1e9 / found.macs}


def search(path, space, evaluator, **more):
    chosen = {"population": 8, "evaluations": 60, "algorithm": "random", "deterministic": True}
    settings = Settings(**{**chosen, **more}, fidelity=Fidelity(TOP))
    run = RunDirectory(path)
    if not path.exists():
        run = RunDirectory.create(path, settings, ROOT / "search_spaces/quick.yaml", [], ["test"])
    found = Search(run, settings, space, [], Silent(), known)
    found.loop(InProcess(lambda: evaluator, threads=1))
    return found


def rows(found):
    return [e.to_dict() | {"seconds": 0, "started": 0} for e in found.archive]


def test_the_same_front_for_fewer_epochs(tmp_path, quick):
    plain, laddered = Curves(), Curves()
    whole = search(tmp_path / "whole", quick, plain)
    found = search(tmp_path / "ladder", quick, laddered, rungs=(1,))
    assert laddered.epochs < 0.8 * plain.epochs
    assert [e.id for e in found.front] == [e.id for e in whole.front]
    stopped = [e for e in found.archive if e.status == "stopped"]
    assert len(stopped) == found.ladder.report()[0].stopped > 5
    assert all(e.fidelity.epochs == 1 for e in stopped)
    assert not {e.id for e in stopped} & {e.id for e in found.front}


@pytest.mark.parametrize("deterministic", [True, False])
def test_resumed_is_uninterrupted(tmp_path, quick, deterministic):
    more = {"algorithm": "nsga2", "rungs": (1, 2), "inherit": True, "deterministic": deterministic}
    whole = search(tmp_path / "whole", quick, Curves(), **more)
    for calls in (25, 10):
        search(tmp_path / "cut", quick, Curves(calls), **more)
    again = search(tmp_path / "cut", quick, Curves(), **more)
    assert rows(again) == rows(whole)
    assert {e.status for e in again.archive} == {"ok", "stopped"}
    heirs = [e for e in again.archive if e.parent]
    assert len(heirs) > 10
    assert all(e.inherited_epochs >= TOP for e in heirs)
    assert max(e.inherited_epochs for e in heirs) > TOP  # heirs of heirs
