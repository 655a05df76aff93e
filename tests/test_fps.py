"""Frames per second of the machine that the user names, not of the one that searches."""

import json

import pytest
from conftest import ROOT

from nas.common.cli import exit_code
from nas.deploy.latency import read_calibration
from nas.fps import main
from nas.search.run import search

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


def test_a_search_predicts_the_fps_of_its_target(target, quick, tmp_path, monkeypatch, caplog):
    from nas.search import machine as module
    from nas.training.predict import Precision

    monkeypatch.setattr(module, "fastest_precision", lambda *arguments: Precision(False, False))
    caplog.set_level("INFO", "nas")
    here, slow = target

    def measure(genome):
        return {"accuracy": int(genome.id, 16) / 16**12}

    run = search(QUICK, evaluator=measure, evaluations=3, fps_model=str(slow), seed_genomes=[],
                 run_dir=tmp_path / "run")  # fmt: skip
    assert run.outcome.stopped == "finished"
    model = read_calibration(here).model
    for e in run.archive:
        assert e.metrics["fps"] == pytest.approx(model.predict(e.genome) / 100)
    assert f"python -m nas.fps --run {run.path}" in caplog.text
    assert not (run.path / "measured_fps.json").exists()
    assert main(["--run", str(run.path)]) == 0
    measured = json.loads((run.path / "measured_fps.json").read_text())
    assert measured.keys() == set(run.front.index)
    assert min(measured.values()) > 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected either --space NAME --out FILE, or --run RUN"),
        (["--space", str(QUICK)], "expected either"),
        (["--run", "x", "--space", str(QUICK), "--out", "y"], "expected either"),
        (["--run", "nowhere"], "nowhere: not a run directory"),
        (["--space", str(QUICK), "--out", "/nowhere/x", "--genomes", "1"], "--genomes: must be in"),
    ],
)
def test_mistakes(argv, message, capsys):
    assert exit_code(main, argv) == 2
    assert message in capsys.readouterr().err
