"""Blocks of the user's own reach Ray's processes."""

import numpy as np
import pytest

from nas.arch.block import kinds
from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.arch.plugins import load_plugins
from nas.search.workers import RayWorkers
from nas.space.space import SearchSpace
from nas.training.task import Fidelity, Task

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

BLOCK = """
from nas.arch import SearchableBlock, register

@register
class Plain(SearchableBlock):
    kind = "plain"

    def lower(self, main):
        main.conv("conv", self.channels, self.kernel, self.stride)
        return main.unit()
"""
SPACE = """
version: 1
name: plain
stem: {channels: 4}
stages: [{downsample: max, depth: 2, channels: [4, 6], blocks: plain}]
head: {pool: avg}
"""


def evaluate_class():
    """By value, as in test_workers.py."""

    class Evaluate:
        def __init__(self, text):  # before any task has brought the class along
            self.params = cost(Genome.from_json(text)).params

        def __call__(self, task):
            return {"accuracy": 0.5, "params": self.params}

    return Evaluate


def test_a_plugin_is_imported_in_the_workers(tmp_path, monkeypatch):
    monkeypatch.setattr("nas.arch.block._KINDS", dict(kinds()))
    monkeypatch.setattr("nas.arch.plugins._LOADED", {})
    (tmp_path / "plain_block.py").write_text(BLOCK)
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    load_plugins(["plain_block"])
    genome = SearchSpace.load("space.yaml").sample(np.random.default_rng(0)).genome
    workers = RayWorkers(evaluate_class(), genome.to_json(), gpus=[0])
    try:
        workers.submit(Task(0, genome, Fidelity(), 0))
        found = workers.next()
    finally:
        workers.close()
    assert found.error == ""
    assert found.metrics["params"] == cost(genome).params
