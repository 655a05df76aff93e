"""examples/ask_and_tell.py: the public optimizer, without a run folder."""

import runpy

import pytest
from conftest import ROOT


@pytest.mark.slow
def test_the_example_prints_a_front(capsys):
    runpy.run_path(str(ROOT / "examples/ask_and_tell.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    params = [int(line.split()[1].replace(",", "")) for line in lines]
    accuracies = [float(line.split()[-1]) for line in lines]
    assert len(lines) > 2
    assert params == sorted(params)
    assert accuracies == sorted(accuracies)
