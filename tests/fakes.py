"""Stand-ins that tests of the search share: an evaluator, workers; and how they wait."""

import time

import numpy as np

from nas.arch.lowering import cost
from nas.search.archive import Evaluation
from nas.search.evaluate import run_task
from nas.training.task import Fidelity


def wait_for(true, alive, seconds=120):
    """Until `true()`; AssertionError where the process is no more `alive()`, or takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert alive(), "the process has ended"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def lines_in(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def evaluation(genome, index=0, accuracy=0.5, params=1000, fps=100.0, **more):
    """One that ended well, unless `more` says otherwise."""
    metrics = {"accuracy": accuracy, "params": params, "fps": fps}
    plain = {"fidelity": Fidelity(1, 1.0), "seed": 0, "status": "ok", "metrics": metrics,
             "seconds": 1.0, "started": float(index)} | more  # fmt: skip
    return Evaluation(index=index, genome=genome, **plain)


class FakeEvaluator:
    """Accuracy is a function of the genome; stops after some calls as Ctrl-C would."""

    def __init__(self, calls=10**9, fail=()):
        self.calls, self.fail, self.seen = calls, fail, []

    def __call__(self, task):
        genome = task.genome
        if len(self.seen) >= self.calls:
            raise KeyboardInterrupt
        self.seen.append(genome.id)
        number = len(self.seen)
        if number in self.fail:
            raise MemoryError("no room for this one")
        found = cost(genome)
        accuracy = np.random.default_rng(int(genome.id, 16)).random()
        if number == 5 and self.fail:
            accuracy = float("nan")
        return {"accuracy": accuracy, "params": found.params, "fps": 1e9 / found.macs}


class OutOfOrder:
    """Two workers whose answers come in an order of their own."""

    capacity = 2

    def __init__(self, evaluator, seed):
        self.evaluator, self.tasks = evaluator, []
        self.rng = np.random.default_rng(seed)

    def submit(self, task):
        self.tasks.append(task)
        assert len(self.tasks) <= self.capacity

    def next(self):
        task = self.tasks.pop(int(self.rng.integers(len(self.tasks))))
        return run_task(self.evaluator, task)

    def close(self):
        pass
