"""Real processes that are killed, break down or find the disk full: nothing told is lost."""

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import time

import crash
import numpy as np
import pytest
from conftest import ROOT
from fakes import wait_for

from nas.common.errors import UserError
from nas.evolution.objectives import Objective
from nas.evolution.pareto import Front, pareto_front
from nas.search.archive import Archive
from nas.search.settings import Settings
from nas.search.store import RunDirectory

pytestmark = pytest.mark.slow

KILLS = 20


@pytest.fixture(scope="module")
def start():
    """Starts crash.search in a new process, forked from a server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crash"])
    # The server of Python 3.11 does not take over sys.path.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        multiprocessing.forkserver.ensure_running()

    def begin(*arguments, **options):
        process = context.Process(target=crash.search, args=arguments, kwargs=options)
        process.start()
        return process

    return begin


def settings(evaluations, deterministic):
    return Settings(evaluations=evaluations, population=8, algorithm="nsga2", workers=2,
                    deterministic=deterministic)  # fmt: skip


def lines(report, word):
    text = report.read_text() if report.exists() else ""
    return [line.split(" ", 1)[1] for line in text.splitlines() if line.startswith(word)]


def rows(path):
    archive = Archive(path / "evaluations.jsonl")
    return sorted((e.index, e.id, e.status, str(e.metrics)) for e in archive), archive


def front_ids(archive):
    return [e.id for e in pareto_front(archive)]


@pytest.mark.parametrize("deterministic", [True, False])
def test_killed_at_random_moments(start, tmp_path, deterministic):
    wanted = settings(100, deterministic)
    path, report = tmp_path / "run", tmp_path / "report"
    for moment in np.random.default_rng(0).uniform(0, 0.04, KILLS):
        told = len(lines(report, "told"))
        process = start(path, report, wanted, torn=True)
        wait_for(lambda told=told: len(lines(report, "told")) > told, process.is_alive)
        time.sleep(moment)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert len(lines(report, "told")) < 100
    process = start(path, report, wanted)
    process.join(60)
    assert process.exitcode == 0
    found, archive = rows(path)
    assert [index for index, *_ in found] == list(range(100))  # all, and none twice
    assert len({e.id for e in archive}) == 100
    assert {e.status for e in archive} == {"ok"}
    told = [int(i) for i in lines(report, "told")]
    assert len(set(told)) == len(told)  # what was told once is not evaluated again
    if deterministic:
        whole = tmp_path / "whole"
        start(whole, tmp_path / "other", wanted).join(60)
        expected, uninterrupted = rows(whole)
        assert found == expected
        assert front_ids(archive) == front_ids(uninterrupted)


def test_a_candidate_that_kills_the_search_is_given_up(tmp_path):
    """The driver's death is nobody's fault; but what may have killed it gets another process."""
    objectives = (
        "objectives=[{name: score, direction: maximize}, {name: params, direction: minimize}]"
    )
    options = ["--evaluator", "deadly:measure", "--seed-genomes", "none", "--evaluations", "10",
               "--set", objectives]  # fmt: skip
    whole = search(tmp_path / "whole", options)
    assert whole.returncode == 0, whole.stderr
    deadly = Archive(tmp_path / "whole/evaluations.jsonl", front=score_front()).evaluations[4].id
    path = tmp_path / "run"
    assert search(path, options, deadly).returncode == -signal.SIGKILL
    again = search(path, ["--evaluator", "deadly:measure"], deadly)
    assert again.returncode == 0, again.stderr
    assert "starting 1 Ray workers" in again.stderr
    archive = Archive(path / "evaluations.jsonl", front=score_front())
    assert sorted(archive.by_index) == list(range(10))
    (failed,) = (e for e in archive if not e.ok)
    assert failed.id == deadly
    assert "broken off 3 times" in failed.error


def score_front():
    return Front((Objective("score", "maximize"), Objective("params")))


def search(path, options, deadly=""):
    """The command, with an evaluator of tests/deadly.py; on a run that is there it goes on."""
    what = ["--resume", str(path)] if path.exists() else [
        "--space", "search_spaces/quick.yaml", "--run-dir", str(path)]  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "nas.search", *what, *options],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT}/tests", "DEADLY": deadly},
    )  # fmt: skip


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 KiB."""
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(path)]
    with contextlib.suppress(OSError):
        if subprocess.run(mount, capture_output=True).returncode == 0:
            yield path
            subprocess.run(["umount", "-l", str(path)], check=True)
            return
    pytest.skip("may not mount a tmpfs here")


def test_a_full_disk_is_waited_for(start, small_disk, tmp_path):
    wanted = settings(20, True)
    path, report, ballast = small_disk / "run", tmp_path / "report", small_disk / "ballast"
    ballast.write_bytes(b"x" * (80 << 10))
    process = start(path, report, wanted)
    wait_for(lambda: any("No space left" in n for n in lines(report, "note")), process.is_alive)
    time.sleep(0.2)
    stored = Archive(path / "evaluations.jsonl")
    assert 0 < len(stored) < 20
    ballast.unlink()
    process.join(60)
    assert process.exitcode == 0
    start(tmp_path / "whole", report, wanted).join(60)
    assert rows(path)[0] == rows(tmp_path / "whole")[0]


def test_a_second_process_is_refused_by_name(start, tmp_path):
    path, report = tmp_path / "run", tmp_path / "report"
    process = start(path, report, settings(10_000, False))
    wait_for(lambda: lines(report, "told"), process.is_alive)
    owner = f"in use by process {process.pid} on {os.uname().nodename}"
    with pytest.raises(UserError, match=owner):
        RunDirectory(path).__enter__()
    process.kill()
    process.join()
    with RunDirectory(path):  # a killed owner leaves no lock behind
        pass
