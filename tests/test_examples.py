"""The examples run, as a user types them."""

import base64
import subprocess
import sys

import cv2
import nbformat
import numpy as np
import pytest
from conftest import ROOT
from nbclient import NotebookClient


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Jupyter's own
def test_the_notebook(tmp_path):
    """From the first search to a labelled picture; every cell's last line shows something."""
    notebook = nbformat.read(ROOT / "examples/first_search.ipynb", 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)  # as committed
    NotebookClient(notebook, timeout=400, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [[o.data for o in cell.outputs if "data" in o] for cell in code]
    bar, run = (data["text/html"] for data in shown[1])
    assert '<progress max="1" value="1.0000"' in bar
    assert "8/8 networks" in bar
    assert run.startswith("<img")
    (front,) = shown[2]
    assert front["text/html"].startswith("<img")
    assert "<table" in front["text/html"]
    assert shown[3][0]["text/html"].startswith("<svg")
    assert shown[5][0]["text/plain"] == "['model.int8.onnx', 'model.onnx', 'model.safetensors']"
    assert shown[6][0]["text/plain"].count("Face(box=") == 2
    picture = np.frombuffer(base64.b64decode(shown[7][0]["image/png"]), np.uint8)
    assert cv2.imdecode(picture, cv2.IMREAD_COLOR).shape == (200, 420, 3)
