"""A real Ray: the same results as in-process, and a worker that dies costs only its own task."""

import os

import numpy as np
import pytest

from nas.archive import Fidelity
from nas.evaluator import Task, run_task
from nas.layers import cost
from nas.workers import Died, InProcess, RayWorkers

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


def evaluate_class():
    """A class made here travels to Ray's processes by value; they cannot import this file."""

    class Evaluate:
        def __init__(self, deadly, broken):
            self.deadly, self.broken = deadly, broken

        def __call__(self, genome, fidelity, seed):
            if genome.id == self.deadly:
                os._exit(1)
            if genome.id == self.broken:
                raise RuntimeError("cannot train this one")
            return {"accuracy": 1 / cost(genome).params, "seed": seed}

    return Evaluate


def drain(workers, tasks):
    waiting, found = list(tasks), []
    for _ in range(min(workers.capacity, len(waiting))):
        workers.submit(waiting.pop(0))
    while len(found) < len(tasks):
        found.append(workers.next())
        if waiting:
            workers.submit(waiting.pop(0))
    return sorted(found, key=lambda e: e.task.index if isinstance(e, Died) else e.index)


def test_ray_workers(quick):
    rng = np.random.default_rng(0)
    genomes = [quick.sample(rng) for _ in range(8)]
    tasks = [Task(i, g, Fidelity(), 3) for i, g in enumerate(genomes)]
    deadly, broken = genomes[2].id, genomes[5].id
    workers = RayWorkers(evaluate_class(), deadly, broken, count=2)
    try:
        found = drain(workers, tasks)
    finally:
        workers.close()
    died = found.pop(2)
    assert isinstance(died, Died)
    assert died.task.genome.id == deadly
    assert "its worker died" in died.why
    assert [e.status for e in found] == ["ok"] * 4 + ["failed"] + ["ok"] * 2
    assert found[4].error == "RuntimeError: cannot train this one"
    alone = InProcess(evaluate_class(), "nobody", broken)
    expected = drain(alone, [t for t in tasks if t.index != 2])
    assert [(e.id, e.metrics) for e in expected] == [(e.id, e.metrics) for e in found]


def test_ctrl_c_is_not_a_failed_candidate(quick, rng):
    def interrupted(genome, fidelity, seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_task(interrupted, Task(0, quick.sample(rng), Fidelity(), 0))
