"""The doctor's findings, on a healthy machine and on sick ones; two runs compared."""

import dataclasses
import json
import subprocess
import sys
import threading
import time

import pytest

from nas import doctor
from nas.common.cli import exit_code
from nas.deploy.runtime import OnnxModel
from nas.search.archive import Archive, Evaluation
from nas.search.comparison import differences
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.space.space import SearchSpace
from nas.training.task import Fidelity

QUICK = SearchSpace.load("quick")


def levels(check):
    return [(f.level, f.advice != "") for f in check()]


@pytest.mark.slow
def test_every_finding_that_is_not_ok_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert doctor.main(["--json"]) == 0
    assert not list(tmp_path.iterdir())
    found = json.loads(capsys.readouterr().out)
    expected = {"packages", "torch", "ray", "onnx runtime", "model.int8.onnx", "face cascade",
                "camera", "data", "disk"}  # fmt: skip
    assert expected <= {f["check"] for f in found}
    assert all(f["advice"] for f in found if f["level"] != "ok")


def test_what_fails_makes_exit_code_1(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def broken():
        raise RuntimeError("no such thing")
        yield

    checks = {"broken": broken, "experiments": doctor.can_write}
    monkeypatch.setattr(doctor, "CHECKS", checks)
    assert doctor.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fail  broken: RuntimeError: no such thing"
    assert lines[1].startswith("ok    experiments")


def test_an_int8_model_that_this_cpu_computes_wrongly_is_named(monkeypatch):
    """As on a CPU whose 16-bit sums saturate."""
    names = ["best.onnx", "best.int8.onnx", "model.onnx", "model.int8.onnx", "onnx runtime"]
    found = {f.check: f.level for f in doctor.onnx_runs()}
    assert found == dict.fromkeys(names, "ok")
    run = OnnxModel.run

    def saturated(model, x):
        logits = run(model, x)
        return logits.clip(-1, 1) if "int8" in model.path.name else logits

    monkeypatch.setattr(OnnxModel, "run", saturated)
    for finding in doctor.onnx_runs():
        int8 = "int8" in finding.check
        assert finding.level == ("warn" if int8 else "ok")
        if int8:
            assert "wrong on this CPU: logits of its probes off by" in finding.found
            assert "takes float32 here" in finding.advice


def test_ray_is_started_where_that_is_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", {"ray": doctor.ray_imports})
    monkeypatch.setattr(
        doctor, "ray_starts", lambda: iter([doctor.Finding("ray", "ok", "started")])
    )
    assert doctor.main([]) == 0
    assert "imported; nas.doctor --ray starts it too" in capsys.readouterr().out
    assert doctor.main(["--ray"]) == 0
    assert "ok    ray: started" in capsys.readouterr().out


def test_broken_data_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert levels(doctor.data_sets) == [("warn", True)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/bad.npz").write_bytes(b"PK nothing")
    assert levels(doctor.data_sets) == [("fail", True)]


def test_experiments_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").write_text("a file")
    assert levels(doctor.can_write) == [("fail", True)]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import time; time.sleep(60)", "no answer within 0.5 s"),
        ("raise RuntimeError('gone')", "RuntimeError: gone"),
        ("import os; os._exit(3)", "exit code 3"),
    ],
)
def test_a_child_that_hangs_or_dies(code, why):
    assert doctor.answer_of(code, 0.5 if "sleep" in code else 20) == (None, why)


def test_a_hanging_child_takes_its_children_along():
    """They hold the pipe that is read."""
    started = time.monotonic()
    code = (
        "import subprocess, sys; "
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    )
    assert doctor.answer_of(code, 1.0) == (None, "no answer within 1 s")
    assert time.monotonic() - started < 20


def test_checks_that_ask_a_process_run_side_by_side(monkeypatch):
    """Three that wait for each other."""
    meet = threading.Barrier(3, timeout=20)

    def check():
        meet.wait()
        yield doctor.Finding("met", "ok", "")

    monkeypatch.setattr(doctor, "ASK_A_PROCESS", {check})
    found = list(doctor.findings(dict.fromkeys("abc", check)))
    assert [f.check for f in found] == ["met"] * 3


def test_one_thread_imports():
    """Several at once saw half of NumPy, and a healthy machine failed."""
    code = """
import sys, threading

imports = []

def note(event, found):
    if event == "import":
        imports.append((threading.current_thread() is threading.main_thread(), found[0]))

from nas import doctor

ask = doctor.answer_of
doctor.answer_of = lambda code, seconds: ask("print('2.13 1 9 -')", seconds)
sys.addaudithook(note)
list(doctor.findings(doctor.CHECKS))
assert (True, "numpy") in imports, "the main thread imports it"
print([name for main, name in imports if not main])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert (run.stdout, run.returncode) == ("[]\n", 0), run.stderr


@pytest.fixture
def make(tmp_path, proposed):
    """A run of one evaluation."""

    def make(name, accuracy=0.5, **changes):
        settings = dataclasses.replace(Settings(), **changes)
        run = RunDirectory.create(tmp_path / name, settings, QUICK, [], ["command", name])
        archive = Archive(run.file("evaluations.jsonl"))
        metrics = {"accuracy": accuracy, "params": 10.0, "fps": 10.0}
        archive.append(Evaluation(0, proposed, Fidelity(), 0, "ok", metrics, "", 1.0, 2.0))
        archive.close()
        return run.path

    return make


def test_equal_runs_have_no_difference(make, capsys):
    assert doctor.main(["--compare", str(make("a")), str(make("b"))]) == 0
    assert capsys.readouterr().out == "no difference but the time they took\n"


def test_a_line_for_each_difference(make, proposed, capsys):
    a, b = make("a"), make("b", accuracy=0.25, seed=3)
    environment = json.loads((b / "environment.json").read_text())
    environment["packages"]["torch"] = "2.11.0"
    (b / "environment.json").write_text(json.dumps(environment))
    lines = differences(a, b)
    assert lines[0] == "config.yaml: seed: 0 | 3"
    assert lines[1].startswith("environment.json: packages.torch: '2.")
    assert lines[2:] == [f"evaluation 0, genome {proposed.id}: accuracy: 0.5 | 0.25"]
    assert doctor.main(["--compare", str(a), str(b)]) == 1
    assert capsys.readouterr().out.splitlines() == lines


def test_compare_what_is_no_run(make, tmp_path, capsys):
    assert exit_code(doctor.main, ["--compare", str(make("a")), str(tmp_path)]) == 2
    assert "not a run directory" in capsys.readouterr().err
