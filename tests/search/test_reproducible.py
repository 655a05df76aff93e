"""Deterministic mode with real training: the same run twice, on Ray, and across a resume."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from fakes import lines_in, wait_for

from nas.data import save
from nas.data.synthetic import synthetic_faces
from nas.search.archive import Archive
from nas.search.settings import Settings

pytestmark = pytest.mark.slow

EVALUATIONS = 12
MACHINE = {
    "calibration": {
        "model": {"coefficients": [0.1] * 10}, "held_out_error": 0.05, "rank_correlation": 0.9,
        "genomes": 10, "seconds": 1.0,
    },
    "bf16": True, "channels_last": True, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    save(synthetic_faces(70, 14, 14), folder / "faces.npz")
    (folder / "machine.json").write_text(json.dumps(MACHINE))
    settings = dataclasses.asdict(Settings(deterministic=True, population=4, device="cpu"))
    settings["fidelity"] = {"epochs": 1, "fraction": 1.0}
    settings["data"] = str(folder / "faces.npz")
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return [
        sys.executable, "-m", "nas.search", "--space", "search_spaces/quick.yaml", "--json",
        "--evaluations", str(EVALUATIONS), "--seed-genomes", "none",
        "--config", str(folder / "config.yaml"), "--machine", str(folder / "machine.json"),
    ]  # fmt: skip


def results(path):
    """What must agree: everything but the time it took."""
    found = sorted(Archive(path / "evaluations.jsonl"), key=lambda e: e.index)
    assert len(found) == EVALUATIONS
    rows = [(e.index, e.id, e.status, e.metrics) for e in found]
    return rows, json.loads((path / "front.json").read_text())


def test_same_seed_same_everything(command, tmp_path):
    one, again, two = (tmp_path / name for name in ("one", "again", "two"))
    running = [
        subprocess.Popen(
            [*command, "--run-dir", str(path), "--workers", workers],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for path, workers in ((one, "1"), (two, "2"))
    ]  # fmt: skip
    for process in running:
        _, complaint = process.communicate()
        assert process.returncode == 0, complaint
    assert results(one) == results(two)  # in this process, and on two Ray workers
    interrupt_and_resume(command, again)
    assert results(again) == results(one)


def interrupt_and_resume(command, path):
    process = subprocess.Popen(
        [*command, "--run-dir", str(path), "--workers", "1"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    archive = path / "evaluations.jsonl"
    wait_for(lambda: lines_in(archive) >= 3, lambda: process.poll() is None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < lines_in(archive) < EVALUATIONS
    subprocess.run(
        [sys.executable, "-m", "nas.search", "--resume", str(path), "--json"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
