"""Every command line: quick to answer, heavy imports only when needed."""

import subprocess
import sys

import pytest
from conftest import ROOT

COMMANDS = (
    "search",
    "inspect",
    "retrain",
    "realtime",
    "data",
    "tune",
    "evaluate",
    "explain",
    "export",
    "doctor",
    "bench",
    "fps",
)
# Modules that must work where torch is not installed or not wanted.
WITHOUT_TORCH = (
    "genome", "layers", "space", "variation", "archive", "evolution", "recipe", "data",
    "synthetic", "preprocess", "onnx_graph", "latency", "quantise", "run", "loop",
    "realtime.pipeline",
)  # fmt: skip


def python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command):
    found = python(
        "import runpy, sys\n"
        f"sys.argv = ['nas.{command}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('nas.{command}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'ray', 'deap', 'sklearn', 'onnxruntime', 'matplotlib', 'optuna'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    assert found.returncode == 0, found.stderr
    assert f"usage: python -m nas.{command}" in found.stdout
    assert "heavy: []" in found.stdout


def test_what_the_driver_needs_imports_no_torch():
    modules = ", ".join(f"nas.{name}" for name in WITHOUT_TORCH)
    found = python(f"import {modules}, sys; print('torch' in sys.modules, 'ray' in sys.modules)")
    assert found.stdout.split() == ["False", "False"], found.stderr
