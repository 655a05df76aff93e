"""The examples run, as a user types them."""

import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.slow
def test_own_data(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples/own_data.py"],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "data: 10 classes, grey, 8x8" in done.stderr
    assert "data: taken: 1797 pictures" in done.stderr
    header, _, *rows = done.stdout.splitlines()  # the second line names the index
    assert header.split() == ["accuracy", "params", "macs", "fps"]
    assert max(float(row.split()[1]) for row in rows) > 0.5  # chance is 0.1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("own_objective", ["accuracy", "energy_uj", "params"]),
        ("own_evaluator", ["accuracy", "params", "fps"]),
    ],
)
def test_a_search_by_your_own_measure(name, columns, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / f"examples/{name}.py"],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    header, _, *rows = done.stdout.splitlines()  # the second line names the index
    assert header.split() == columns
    assert rows
