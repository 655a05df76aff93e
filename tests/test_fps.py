"""Frames per second of the machine that the user names, not of the one that searches."""

import json

import numpy as np
import pytest
from conftest import ROOT
from fakes import FakeEvaluator, Silent

from nas.common.cli import exit_code
from nas.fps import main
from nas.search.driver import Search, finish
from nas.search.machine import measure_machine, read_calibration
from nas.search.store import RunDirectory, Settings
from nas.search.workers import InProcess

QUICK = ROOT / "search_spaces/quick.yaml"


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A model made here, and the same of a machine that is a hundred times slower."""
    path = tmp_path_factory.mktemp("target") / "here.json"
    assert main(["--space", str(QUICK), "--out", str(path), "--genomes", "10"]) == 0
    plain = json.loads(path.read_text())
    model = plain["calibration"]["model"]
    model["coefficients"] = [100 * c for c in model["coefficients"]]
    slow = path.with_name("slow.json")
    slow.write_text(json.dumps(plain))
    return path, slow


def test_a_search_predicts_the_fps_of_its_target(target, quick, tmp_path, monkeypatch):
    from nas.training import precision as mode
    from nas.training.predict import Precision

    monkeypatch.setattr(mode, "fastest_mode", lambda *arguments: Precision(False, False))
    here, slow = target
    settings = Settings(evaluations=3, workers=1, population=4, fps_model=str(slow))
    run = RunDirectory.create(tmp_path / "run", settings, QUICK, [], ["test"])
    machine = measure_machine(run, settings, quick, print)
    genome = quick.sample(np.random.default_rng(0)).genome
    expected = read_calibration(here).model.predict(genome) / 100
    assert machine.calibration.model.predict(genome) == pytest.approx(expected)
    assert measure_machine(run, settings, quick, print) == machine  # as a resume reads it

    search = Search(run, settings, quick, [], Silent())
    search.loop(InProcess(FakeEvaluator, threads=1))
    notes = []
    assert finish(search, notes.append) == {}
    assert f"python -m nas.fps --run {run.path}" in notes[0]
    assert not run.file("measured_fps.json").exists()
    assert main(["--run", str(run.path)]) == 0
    measured = json.loads(run.file("measured_fps.json").read_text())
    assert measured.keys() == {e.id for e in search.front}
    assert min(measured.values()) > 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected either --space YAML --out FILE, or --run RUN"),
        (["--space", str(QUICK)], "expected either"),
        (["--run", "x", "--space", str(QUICK), "--out", "y"], "expected either"),
        (["--run", "nowhere"], "nowhere: not a run directory"),
        (["--space", str(QUICK), "--out", "/nowhere/x", "--genomes", "1"], "--genomes: must be in"),
    ],
)
def test_mistakes(argv, message, capsys):
    assert exit_code(main, argv) == 2
    assert message in capsys.readouterr().err
