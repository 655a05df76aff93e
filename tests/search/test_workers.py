"""A real Ray: the same results as in-process, and a worker that dies costs only its own task."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from nas.arch.lowering import cost
from nas.search.evaluate import run_task
from nas.search.workers import Died, InProcess, Limits, RayWorkers
from nas.training.task import Fidelity, Task

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


def evaluate_class():
    """A class made here travels to Ray's processes by value; they cannot import this file."""

    class Evaluate:
        def __init__(self, ways):
            self.ways, self.kept = ways, []

        def __call__(self, task):
            genome = task.genome
            way = self.ways.get(genome.id)
            if way == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if way == "raises":
                raise RuntimeError("cannot train this one")
            if way == "hangs":
                time.sleep(600)
            if way == "hoards":
                np.ones((1 << 30,), np.uint8)
            if way == "leaks":
                self.kept.append(np.ones((150 << 20,), np.uint8))
            if way == "prints":
                for _ in range(2000):
                    os.write(1, b"x" * (1 << 20))
            if way == "nan":
                return {"accuracy": float("nan")}
            return {"accuracy": 1 / cost(genome).params, "seed": task.seed}

    return Evaluate


def drain(workers, tasks):
    """What came of every task, in the order of asking."""
    waiting, found = list(tasks), {}
    while len(found) < len(tasks):
        while waiting and len(tasks) - len(waiting) - len(found) < workers.capacity:
            workers.submit(waiting.pop(0))
        came = workers.next()
        if came is not None:
            found[came.task.index if isinstance(came, Died) else came.index] = came
    return [found[t.index] for t in tasks]


def test_one_bad_candidate_costs_only_itself(quick):
    rng = np.random.default_rng(0)
    genomes = [quick.sample(rng).genome for _ in range(14)]
    ways = dict(enumerate(
        ["ok", "dies", "hangs", "raises", "nan", "hoards", "prints", *["leaks"] * 3]
    ))  # fmt: skip
    tasks = [Task(i, g, Fidelity(), 3) for i, g in enumerate(genomes)]
    by_id = {genomes[i].id: way for i, way in ways.items()}
    limits = Limits(time=3, memory=0.25)
    workers = RayWorkers(evaluate_class(), by_id, gpus=[0, 0], limits=limits)
    logs = Path("/tmp/ray/session_latest/logs").resolve()
    try:
        found = drain(workers, tasks)
        printed = sum(p.stat().st_size for p in logs.rglob("*") if p.is_file())
    finally:
        workers.close()
    died = {i for i, e in enumerate(found) if isinstance(e, Died)}
    assert {1, 5} <= died <= {1, 5, 7, 8, 9}  # which of the leaking ones depends on the worker
    assert "its worker died" in found[1].why
    assert "MemoryError" in found[5].why
    assert "took longer than the 3 s" in found[2].error
    assert 3 <= found[2].seconds < 4
    assert found[3].error == "RuntimeError: cannot train this one"
    assert "accuracy is nan" in found[4].error
    assert printed < 50 << 20
    good = [i for i in range(14) if i not in {1, 2, 3, 4, 5} | died]
    assert [found[i].status for i in good] == ["ok"] * len(good)
    expected = drain(InProcess(evaluate_class(), {}), [tasks[i] for i in good])
    assert [(e.id, e.metrics) for e in expected] == [(found[i].id, found[i].metrics) for i in good]


def test_ctrl_c_is_not_a_failed_candidate(quick, rng):
    def interrupted(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_task(interrupted, Task(0, quick.sample(rng).genome, Fidelity(), 0))
