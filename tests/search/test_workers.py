"""A real Ray: the same results as in-process, and a worker that dies costs only its own task."""

import os
import platform
import signal
import stat
import tempfile
import threading
import time

import numpy as np
import pytest
import ray

from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.search.cluster import RaySession, private_folder
from nas.search.evaluate import run_task
from nas.search.workers import ATTEMPTS, InProcess, RayWorkers
from nas.training.task import Fidelity, Task

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]  # Ray's own


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
            keeps = "trim_threshold" in os.environ.get("GLIBC_TUNABLES", "")
            found = {"accuracy": 1 / cost(genome).params, "seed": task.seed}
            return found if way is None else {**found, "keeps_memory": float(keeps)}

    return Evaluate


def drain(workers, tasks):
    """What came of every task, in the order of asking."""
    waiting, found = list(tasks), {}
    while len(found) < len(tasks):
        while waiting and len(tasks) - len(waiting) - len(found) < workers.capacity:
            workers.submit(waiting.pop(0))
        came = workers.next()
        if came is not None:
            found[came.index] = came
    return [found[t.index] for t in tasks]


def test_one_bad_candidate_costs_only_itself(quick, short, monkeypatch):
    """And Ray keeps to a folder that nobody else may enter, which is gone at the end."""
    monkeypatch.setenv("RAY_TMPDIR", str(short / "ray"))  # what it would take by default
    rng = np.random.default_rng(0)
    genomes = [quick.sample(rng).genome for _ in range(14)]
    ways = dict(enumerate(
        ["ok", "dies", "hangs", "raises", "nan", "hoards", "prints", *["leaks"] * 3]
    ))  # fmt: skip
    tasks = [Task(i, g, Fidelity(), 3, attempt=ATTEMPTS) for i, g in enumerate(genomes)]
    by_id = {genomes[i].id: way for i, way in ways.items()}
    workers = RayWorkers(
        evaluate_class(), by_id, gpus=[0, 0], candidate_memory=0.25,
        candidate_time=15,  # s that only the hanging one needs, on any machine
    )  # fmt: skip
    try:
        found = drain(workers, tasks)
        (private,) = short.iterdir()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        (logs,) = private.glob("r/session_latest/logs")
        printed = sum(p.stat().st_size for p in logs.rglob("*") if p.is_file())
    finally:
        workers.close()
    died = {i for i, e in enumerate(found) if "broken off" in e.error}
    assert {1, 5} <= died <= {1, 5, 7, 8, 9}  # which of the leaking ones depends on the worker
    assert "its worker died" in found[1].error
    assert "MemoryError" in found[5].error
    assert "took longer than the 15 s" in found[2].error
    assert 15 <= found[2].seconds < 16
    assert found[3].error == "RuntimeError: cannot train this one"
    assert "accuracy is nan" in found[4].error
    assert printed < 50 << 20
    assert not any(short.iterdir())
    assert "GLIBC_TUNABLES" not in os.environ
    if platform.libc_ver()[0] == "glibc":
        assert found[0].metrics["keeps_memory"] == 1
    good = [i for i in range(14) if i not in {1, 2, 3, 4, 5} | died]
    assert {i: found[i].error for i in good if not found[i].ok} == {}
    expected = drain(InProcess(evaluate_class(), {}), [tasks[i] for i in good])
    for e, i in zip(expected, good, strict=True):
        metrics = {k: v for k, v in found[i].metrics.items() if k != "keeps_memory"}
        assert (found[i].id, metrics) == (e.id, e.metrics)


def test_who_is_still_at_it_when_the_time_is_up_is_stopped(quick, short):
    """In any process; what is not finished is nobody's failure."""
    genome = quick.sample(np.random.default_rng(0)).genome
    workers = InProcess(evaluate_class(), {genome.id: "hangs"})
    workers.submit(Task(0, genome, Fidelity(), 0, seconds=0.5))
    started = time.monotonic()
    found = workers.next()
    assert isinstance(found, Task)  # to be given again
    assert found.index == 0
    assert 0.5 <= time.monotonic() - started < 2


def test_a_name_too_long_for_sockets_is_avoided(tmp_path, monkeypatch, caplog):
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    caplog.set_level("INFO", "nas")
    with private_folder() as folder:
        assert len(str(folder)) <= 38
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert f"{long} is too long a name" in caplog.text
        assert not any(long.iterdir())
    assert not folder.exists()


def test_ctrl_c_is_not_a_failed_candidate(quick, rng):
    def interrupted(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_task(interrupted, Task(0, quick.sample(rng).genome, Fidelity(), 0))


def test_a_ray_that_does_not_start_is_one_line(short, monkeypatch):
    """Its own words on a machine too busy for it; the folder is gone, and so are its handlers."""
    import ray

    def too_slow(**options):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", too_slow)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(UserError, match="Ray does not start here: The current node timed out"):
        RaySession(None, 1)
    assert not any(short.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_cannot_be_sent_is_told_and_leaves_nothing_running():
    lock = threading.Lock()
    with pytest.raises(UserError) as error:
        RayWorkers(evaluate_class(), lambda genome: lock.locked(), gpus=[0])
    assert str(error.value) == (
        "evaluator: cannot be sent to worker processes: cannot pickle '_thread.lock' object; "
        "expected a function at the head of a module, or one worker"
    )
    assert not ray.is_initialized()
