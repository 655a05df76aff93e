"""Kill, stop, starve and move searches, and look at what is left: `make torture`.

    python experiments/torture/run.py [--rounds 3] [--only NAME ...] [--out FILE]

Every trial is the real command in processes of its own, with an evaluator that takes a moment
(`slow` below), so that the kills and not the trainings take the time. A trial passes when the run
resumes to its end with every index once, no candidate is blamed for what was done to it, and, in
deterministic mode, the evaluations are those of a run that nobody touched.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nas.common.environment import environment
from nas.evolution.objectives import Objective
from nas.evolution.pareto import Front
from nas.search.archive import Archive, Evaluation

ROOT = Path(__file__).parents[2]
EVALUATIONS = 24
EVALUATED, TRIALS_TABLE = "evaluations.jsonl", "trials.csv"
OBJECTIVES = "objectives=[{name: score, direction: maximize}, {name: params}]"
EVALUATOR = ["--evaluator", "experiments.torture.run:slow"]  # no file has it imported
COMMON = ["--seed-genomes", "none",
          "--evaluations", str(EVALUATIONS), "--set", OBJECTIVES, "population=8"]  # fmt: skip
PATIENCE = 240.0  # s without a new evaluation, after which a command hangs


def slow(genome: Any) -> dict[str, float]:
    """The evaluator: a number that follows from the genome, after a moment."""
    time.sleep(0.1)
    if os.environ.get("TORTURE_HOG") and int(genome.id, 16) % 5 == 0:
        _ = bytearray(8 << 30)  # more than a candidate may take
    return {"score": int(genome.id, 16) / 16**12}


def command(path: Path, *options: str) -> list[str]:
    """The search, new or resumed."""
    what = ["--resume", str(path)] if (path / "config.yaml").exists() else [
        "--space", "quick", "--run-dir", str(path), *COMMON, *options]  # fmt: skip
    return [sys.executable, "-m", "nas.search", *what, *EVALUATOR]


def start(path: Path, *options: str, **more: str) -> subprocess.Popen[str]:
    return popen(command(path, *options), **more)


def popen(line: list[str], **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line, cwd=ROOT, text=True, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT), **more},
    )  # fmt: skip


def finish(path: Path, *options: str, **more: str) -> None:
    """To the end, whatever was there before."""
    process = start(path, *options, **more)
    said = ended(process, path)
    assert process.returncode == 0, f"exit code {process.returncode}: {said[-500:]}"


def ended(process: subprocess.Popen[str], path: Path, table: str = EVALUATED) -> str:
    """What it complained of until its end; however slow the machine is, it must get on."""
    found, until = lines(path, table), time.monotonic() + PATIENCE
    while True:
        try:
            _, said = process.communicate(timeout=1)
            return said
        except subprocess.TimeoutExpired:
            if lines(path, table) > found:
                found, until = lines(path, table), time.monotonic() + PATIENCE
        if time.monotonic() > until:
            end(process)
            raise AssertionError(f"no evaluation and no end in {PATIENCE:g} s")


def end(process: subprocess.Popen[str]) -> None:
    """It and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def lines(path: Path, table: str = EVALUATED) -> int:
    file = path / table
    return file.read_bytes().count(b"\n") if file.exists() else 0


def wait_for_lines(
    path: Path, count: int, process: subprocess.Popen[str], table: str = EVALUATED
) -> None:
    until = time.monotonic() + PATIENCE
    while lines(path, table) < count:
        assert process.poll() is None, f"ended early: {process.communicate()[1][-500:]}"
        assert time.monotonic() < until, "no evaluations came"
        time.sleep(0.01)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes of Ray's actors below it (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"ray::_Actor" in path.read_bytes():
                pid = int(path.parent.name)
                if os.getpgid(pid) == process.pid or _below(pid, process.pid):
                    found.append(pid)
    return found


def _below(pid: int, root: int) -> bool:
    while pid > 1:
        if pid == root:
            return True
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
    return False


def read(path: Path) -> list[Evaluation]:
    front: Front[Evaluation] = Front((Objective("score", "maximize"), Objective("params")))
    return Archive(path / "evaluations.jsonl", front=front).evaluations


def whole(path: Path, failures: int = 0) -> list[Evaluation]:
    """The evaluations of a finished run, checked."""
    found = sorted(read(path), key=lambda e: e.index)
    assert [e.index for e in found] == list(range(EVALUATIONS)), "an index is missing or twice"
    assert len({e.id for e in found}) == EVALUATIONS, "a genome was evaluated twice"
    failed = [e.error for e in found if not e.ok]
    assert len(failed) <= failures, f"blamed: {failed}"
    assert (path / "best.json").exists()
    assert (path / "front.json").exists()
    return found


def same(one: list[Evaluation], other: list[Evaluation]) -> None:
    rows = [[(e.index, e.id, e.metrics) for e in found] for found in (one, other)]
    assert rows[0] == rows[1], "deterministic mode, and the evaluations differ"


def killed(here: Path, workers: int, deterministic: bool, rounds: int) -> str:
    """SIGKILL of the whole search at random moments, then to the end."""
    options = ["--workers", str(workers), *(["--deterministic"] if deterministic else [])]
    path, rng = here / "run", random.Random(workers)
    for _ in range(rounds):
        before = lines(path)
        if before >= EVALUATIONS - 4:
            break
        process = start(path, *options)
        wait_for_lines(path, before + rng.randint(1, 4), process)
        time.sleep(rng.uniform(0, 0.2))
        end(process)
    finish(path, *options)
    found = whole(path)
    if deterministic:
        finish(here / "whole", *options)
        same(found, whole(here / "whole"))
    return f"{rounds} kills"


def interrupted(here: Path, number: int, workers: int) -> str:
    """A signal to the search alone: it ends by itself, with a front, and goes on."""
    path = here / "run"
    process = start(path, "--workers", str(workers))
    wait_for_lines(path, 4, process)
    process.send_signal(number)
    began = time.monotonic()
    said = ended(process, path)
    assert process.returncode == 130, f"exit code {process.returncode}: {said[-500:]}"
    assert (path / "best.json").exists()
    seconds = time.monotonic() - began
    finish(path)
    whole(path)
    return f"ended after {seconds:.1f} s"


def worker_killed(here: Path) -> str:
    """One of two Ray workers is killed: only its own task is tried again."""
    path = here / "run"
    process = start(path, "--workers", "2")
    wait_for_lines(path, 4, process)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    said = ended(process, path)
    assert process.returncode == 0, said[-500:]
    whole(path)
    return "replaced"


def worker_stopped(here: Path) -> str:
    """One of two Ray workers is stopped for ever: the candidate's limit ends the wait."""
    path = here / "run"
    process = start(path, "--workers", "2", "--set", "candidate_time=10")
    wait_for_lines(path, 4, process)
    os.kill(workers_of(process)[0], signal.SIGSTOP)
    said = ended(process, path)
    assert process.returncode == 0, said[-500:]
    whole(path, failures=1)
    return "given up after the 10 s that a candidate may"


def worker_out_of_memory(here: Path) -> str:
    """Candidates that take 8 GiB where 1 is allowed fail alone."""
    path = here / "run"
    finish(path, "--workers", "2", "--set", "candidate_memory=1", TORTURE_HOG="1")
    failed = [e for e in whole(path, failures=EVALUATIONS) if not e.ok]
    assert failed, "none of them took too much"
    assert len(failed) < EVALUATIONS, "every one failed"
    assert all(int(e.id, 16) % 5 == 0 for e in failed), "an innocent one failed"
    return f"{len(failed)} failed"


def moved(here: Path) -> str:
    """The folder is renamed while nothing runs, and goes on under its new name."""
    path = here / "run"
    process = start(path, "--workers", "1")
    wait_for_lines(path, 4, process)
    end(process)
    path.rename(here / "elsewhere")
    finish(here / "elsewhere")
    whole(here / "elsewhere")
    return "resumed"


def gone(here: Path) -> str:
    """The folder vanishes under a running search: one line and an end, no waiting for ever."""
    path = here / "run"
    process = start(path, "--workers", "1")
    wait_for_lines(path, 4, process)
    path.rename(here / "elsewhere")
    said = ended(process, path)
    assert process.returncode in (1, 2), f"exit code {process.returncode}: {said[-500:]}"
    assert "Traceback" not in said, said[-800:]
    finish(here / "elsewhere")
    whole(here / "elsewhere")
    return f"exit code {process.returncode}"


@contextlib.contextmanager
def mounted(path: Path, *options: str) -> Iterator[Path]:
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True).returncode:
        raise Skipped("may not mount here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def read_only(here: Path) -> str:
    """A killed run on a file system that is read-only now: one line; it goes on once it is not."""
    with mounted(here / "disk", "size=8m") as disk:
        path = disk / "run"
        process = start(path, "--workers", "1")
        wait_for_lines(path, 4, process)
        end(process)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        process = start(path)
        said = ended(process, path)
        assert process.returncode in (1, 2), f"exit code {process.returncode}: {said[-500:]}"
        assert "Traceback" not in said, said[-800:]
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        finish(path)
        whole(path)
    return f"exit code {process.returncode}, then resumed"


def full_disk(here: Path) -> str:
    """The disk fills up with the log on it: the search waits, and goes on when there is space."""
    with mounted(here / "disk", "size=192k") as disk:
        path, ballast = disk / "run", disk / "ballast"
        process = start(path, "--workers", "1")
        wait_for_lines(path, 3, process)
        with contextlib.suppress(OSError), open(ballast, "wb") as file:
            while True:
                file.write(b"x" * 1024)
                file.flush()
        before = lines(path)
        time.sleep(3)
        assert process.poll() is None, process.communicate()[1][-500:]
        assert lines(path) <= before + 2
        ballast.unlink()
        said = ended(process, path)
        assert process.returncode == 0, said[-500:]
        whole(path)
    return "waited"


def tune_killed(here: Path) -> str:
    """nas.tune is killed twice, in its second and third trial; those that were done stay done."""
    study = here / "study"
    line = [sys.executable, "-m", "nas.tune", "--genome", "mini_xception", "--data", "synthetic",
            "--trials", "3", "--epochs", "1", "--out", str(study)]  # fmt: skip
    for done in (1, 2):
        process = popen(line)
        wait_for_lines(study, 1 + done, process, TRIALS_TABLE)  # below its header
        end(process)
    process = popen(line)
    said = ended(process, study, TRIALS_TABLE)
    assert process.returncode == 0, said[-500:]
    table = (study / TRIALS_TABLE).read_text()
    assert table.count(",COMPLETE") + table.count(",PRUNED") == 3, table
    assert (study / "best_recipe.yaml").exists()
    return "finished"


class Skipped(Exception):  # noqa: N818 - not an error
    """This machine does not allow the trial."""


TRIALS: dict[str, Callable[[Path, int], str]] = {
    "killed": lambda here, rounds: killed(here, 1, False, rounds),
    "killed, deterministic": lambda here, rounds: killed(here, 1, True, rounds),
    "killed, two workers": lambda here, rounds: killed(here, 2, False, rounds),
    "killed, two workers, deterministic": lambda here, rounds: killed(here, 2, True, rounds),
    "SIGINT": lambda here, _: interrupted(here, signal.SIGINT, 1),
    "SIGTERM": lambda here, _: interrupted(here, signal.SIGTERM, 1),
    "SIGHUP": lambda here, _: interrupted(here, signal.SIGHUP, 1),
    "SIGTERM, two workers": lambda here, _: interrupted(here, signal.SIGTERM, 2),
    "worker killed": lambda here, _: worker_killed(here),
    "worker stopped": lambda here, _: worker_stopped(here),
    "worker out of memory": lambda here, _: worker_out_of_memory(here),
    "folder moved": lambda here, _: moved(here),
    "folder gone": lambda here, _: gone(here),
    "file system read-only": lambda here, _: read_only(here),
    "disk full": lambda here, _: full_disk(here),
    "tune killed": lambda here, _: tune_killed(here),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="kills of a search (default 3)")
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), help="these trials alone")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("result.json"))
    args = parser.parse_args()
    stored = json.loads(args.out.read_text())["trials"] if args.only and args.out.exists() else {}
    for name in args.only or TRIALS:
        here, started = Path(tempfile.mkdtemp(prefix="torture-")), time.monotonic()
        try:
            found, why = "passed", TRIALS[name](here, args.rounds)
        except Skipped as reason:
            found, why = "skipped", str(reason)
        except (AssertionError, subprocess.TimeoutExpired, IndexError) as error:
            found, why = "FAILED", str(error)[:800]
        finally:
            shutil.rmtree(here, ignore_errors=True)
        stored[name] = {"result": found, "detail": why, "seconds": time.monotonic() - started}
        print(f"{found:8} {name}: {why}", flush=True)
        made = {"system": platform.platform(), "environment": environment(sys.argv)}
        args.out.write_text(json.dumps({"trials": stored, **made}, indent=1) + "\n")
    sys.exit(any(trial["result"] == "FAILED" for trial in stored.values()))


if __name__ == "__main__":
    main()
