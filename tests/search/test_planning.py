"""The plan: what is measured is real and small here; what follows from it is arithmetic."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import ROOT

from nas.arch.lowering import cost
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.data import search_data
from nas.deploy.latency import FEATURES, Calibration, FpsModel
from nas.evolution.objectives import Constraint, Objective
from nas.plan import main
from nas.search import planning
from nas.search.planning import Speed, Timing, measure, plan, simulate_search, steps
from nas.search.settings import Settings
from nas.search.workers import again
from nas.training.evaluator import TrainingEvaluator
from nas.training.predict import Precision
from nas.training.task import Fidelity, Task

pytestmark = pytest.mark.slow

QUICK = str(ROOT / "search_spaces/quick.yaml")
CALIBRATION = Calibration(FpsModel((1.0, *[1e-6] * (len(FEATURES) - 1))), 0.05, 0.98, 10, 2.0)
# 0.5 s for an evaluation and 0.01 s for a step, whatever the network
EVEN = Timing(Speed((0.5, 0, 0, 0.01, 0, 0, 0), 0.0), CALIBRATION, 10, 300, 200, 60.0)


def settings(**more):
    usual = {"workers": 2, "evaluations": 30, "fidelity": Fidelity(4, 0.5), "algorithm": "nsga2"}
    return Settings(**{**usual, **more})


@pytest.fixture
def one_mode(monkeypatch):
    """Timing every training mode takes long, and is tested elsewhere; few steps do here."""
    monkeypatch.setattr(planning, "STEPS", (2, 6))
    monkeypatch.setattr(planning, "training_precision", lambda *_: ("cpu", Precision(False, True)))


def test_steps_are_those_of_the_evaluator(quick, faces, monkeypatch):
    """The planner and the evaluator must cut the training part alike."""
    data, chosen = search_data(faces), settings()
    evaluator = TrainingEvaluator(data, chosen.recipe, Precision())
    seen = []

    def train(genome, fit, held_out, recipe, **_):
        seen.append(recipe.epochs * max(1, len(fit) // recipe.batch_size))
        raise MemoryError("enough")

    monkeypatch.setattr("nas.training.evaluator.train", train)
    fidelities = [Fidelity(3, 1.0), Fidelity(2, 0.4), Fidelity(1, 0.001)]
    for fidelity in fidelities:
        task = Task(0, quick.sample(np.random.default_rng(0)).genome, fidelity, 0)
        with pytest.raises(MemoryError):
            evaluator(task)
    assert seen == [steps(chosen, fidelity, len(data.fit)) for fidelity in fidelities]


@pytest.fixture
def proposed_in_100_ms(quick, monkeypatch):
    genome = quick.sample(np.random.default_rng(0)).genome
    monkeypatch.setattr(planning, "simulate_search", lambda *_: ([genome], 0.1))


def test_a_plan_by_hand(quick, proposed_in_100_ms):
    found = plan(quick, settings(), 6400, EVEN)  # 100 steps an epoch
    assert found.seconds == pytest.approx(4.5)
    assert found.evaluations_an_hour == pytest.approx(3600 * 2 / 4.6)
    assert found.eta == pytest.approx(30 * 4.6 / 2 + 60)
    assert (found.memory, found.options) == (300 + 2 * 200, ())
    assert EVEN.memory(1) == 300


def test_the_suggestion_is_the_most_training_that_leaves_enough_evaluations(quick):
    for hours in (0.25, 1.0, 8.0):
        found = plan(quick, settings(evaluations=None), 25_838, EVEN, hours)
        (chosen,) = (o for o in found.options if o.suggested)
        later = found.options[found.options.index(chosen) + 1 :]
        assert chosen.evaluations >= planning.SENSIBLE
        assert all(o.evaluations < planning.SENSIBLE for o in later)
        assert found.eta == pytest.approx(3600 * hours, rel=0.02)
    (chosen,) = (o for o in plan(quick, settings(), 25_838, EVEN, 0.02).options if o.suggested)
    assert (chosen.epochs, chosen.fraction) == (1, 0.25)  # the least there is


@pytest.mark.parametrize("algorithm", ["nsga2+gp", "nsga2"])
def test_a_rehearsal_proposes_smaller_networks_than_random_ones(quick, algorithm):
    proposed, thinking = simulate_search(quick, settings(algorithm=algorithm), CALIBRATION, 80)
    rng = np.random.default_rng(1)
    random = [quick.sample(rng).genome for _ in range(80)]
    assert len({g.id for g in proposed}) == 80
    assert 0 < thinking < 5
    macs = [np.mean([cost(g).macs for g in group]) for group in (proposed, random)]
    assert macs[0] < macs[1]


@pytest.mark.parametrize("second", ["macro_f1", "loss", "peak_memory"])
def test_a_rehearsal_has_every_metric_that_a_search_may_be_about(quick, second):
    """It knew accuracy and the costs alone: a plan of another search ended after its timings."""
    objectives = (Objective(second), Objective("params"))
    wanted = settings(objectives=objectives, constraints=(Constraint("int8_size", at_most=1e6),))
    assert len(simulate_search(quick, wanted, CALIBRATION, 12)[0]) == 12


def test_measured_for_real(quick, faces, one_mode):
    chosen = settings(workers=1, calibration_genomes=10)
    found = measure(quick, chosen, faces, 4)
    assert (found.networks, found.speed.error < 1) == (4, True)
    assert found.worker_memory > 50e6
    assert found.setup > 0
    genome = quick.sample(np.random.default_rng(0)).genome
    few, many = (found.speed.seconds(genome, n) for n in (10, 1000))
    assert 0 < few < many


def test_trainings_that_all_fail_are_an_error(quick, faces, one_mode, monkeypatch):
    def broken(self, task):
        raise RuntimeError("no training here")

    monkeypatch.setattr(TrainingEvaluator, "__call__", broken)
    with pytest.raises(UserError, match="9 of 9 trainings failed: RuntimeError: no training here"):
        measure(quick, settings(workers=1), faces, 4)


def test_workers_that_die_are_an_error(quick, faces, one_mode, monkeypatch):
    class Dying:
        capacity = 1

        def submit(self, task):
            self.task = task

        def next(self):
            return again(self.task, "out of memory")

        def close(self):
            pass

    monkeypatch.setattr(planning, "start_workers", lambda *_: Dying())
    with pytest.raises(UserError, match=r"9 of 9 trainings failed: broken off 3 .* out of mem"):
        measure(quick, settings(workers=1), faces, 4)


def test_the_driver_proposes_one_at_a_time(quick, proposed_in_100_ms):
    found = plan(quick, settings(workers=1000), 6400, EVEN)  # 4.5 s an evaluation
    assert found.evaluations_an_hour == pytest.approx(3600 / 0.1)


def test_command_line(faces_file, monkeypatch, capsys):
    monkeypatch.setattr(planning, "measure", lambda *_: EVEN)
    line = ["--space", QUICK, "--data", str(faces_file), "--workers", "2", "--hours", "0.5"]
    line += ["--algorithm", "nsga2"]
    assert main(line) == 0
    text = capsys.readouterr().out
    assert " s    an evaluation\n" in text
    assert "python -m nas.search --space" in text
    budget = [*line[:-4], "--time-budget", "30m", "--algorithm", "nsga2"]
    assert main(budget) == 0
    # The number of evaluations follows from a measured time, the setting hardly.
    again = capsys.readouterr().out.splitlines()[-1]
    assert again.split(" --evaluations ")[0] == text.splitlines()[-1].split(" --evaluations ")[0]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"seconds", "evaluations_an_hour", "eta", "memory", "options"} <= set(found)
    assert dataclasses.asdict(EVEN)["setup"] == found["timing"]["setup"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--genomes", "1"], "--genomes: must be in [4, 1000], got 1"),
        (["--hours", "-1"], "--hours: must be in [0, 10000], got -1"),
    ],
)
def test_mistakes_are_one_line(more, message, capsys):
    assert exit_code(main, ["--space", QUICK, *more]) == 2
    assert message in capsys.readouterr().err
