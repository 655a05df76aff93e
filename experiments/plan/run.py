"""Is nas.plan right? Plan a search, run it, compare; one row more in the result file.

python experiments/plan/run.py --space fer --evaluations 30
python experiments/plan/run.py --space fer --data fer2013 --epochs 1 --fraction 0.1
python experiments/plan/run.py --space fer --run experiments/equal_time/default-0

With --run, a search that was made on this machine is planned as if it were still to come.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nas.common.resources import SEARCH_SPACES
from nas.data import open_dataset, search_split
from nas.search import planning
from nas.search.archive import Archive
from nas.search.settings import Settings, add_settings, settings_of
from nas.search.store import RunDirectory
from nas.space.space import SearchSpace


def main() -> None:
    parser = argparse.ArgumentParser(description="nas.plan against a real search.")
    parser.add_argument("--space", required=True)
    parser.add_argument("--genomes", type=int, default=10)
    parser.add_argument("--out", default="experiments/plan/result.json")
    parser.add_argument("--run", help="a finished search, instead of a new one")
    add_settings(parser)
    args = parser.parse_args()
    settings = settings_of(args) if args.run is None else settings_made(Path(args.run))
    space, dataset = SearchSpace.load(SEARCH_SPACES.find(args.space)), open_dataset(settings.data)
    started = time.perf_counter()
    timing = planning.measure(space, settings, dataset, args.genomes)
    found = planning.plan(space, settings, len(search_split(dataset)[0]), timing)
    planned = time.perf_counter() - started
    if args.run is None:
        with tempfile.TemporaryDirectory() as folder:
            real = search(sys.argv[1:], Path(folder) / "run")
    else:
        real = measured(Path(args.run))
    row = {
        "command": sys.argv[1:],
        "workers": settings.workers,
        "evaluations": found.evaluations,
        "planning_seconds": planned,
        "fit_error": timing.speed.error,
        "predicted_loop_seconds": found.eta - timing.setup,
        "real_loop_seconds": real["loop_seconds"],
        "loop_ratio": (found.eta - timing.setup) / real["loop_seconds"],
        "predicted_seconds_each": found.seconds,
        "real_seconds_each": real["training_seconds"] / real["evaluations"],
        "predicted_eta": found.eta,
        "real_wall": real["wall"],
        "eta_ratio": found.eta / real["wall"] if real["wall"] else None,
        "predicted_memory": found.memory,
        "real_memory": real["memory"],
        "timing": dataclasses.asdict(timing),
    }
    path = Path(args.out)
    rows = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([*rows, row], indent=1) + "\n")
    print(json.dumps({k: v for k, v in row.items() if k != "timing"}, indent=1))


def settings_made(path: Path) -> Settings:
    """Of a finished search, as if it had asked for the evaluations that it made."""
    run = RunDirectory.open(path)
    return dataclasses.replace(run.settings(), evaluations=len(run.archive()), time_budget=None)


def measured(run: Path) -> dict[str, Any]:
    """wall, set-up included, and memory are not known of a search made before."""
    evaluations = Archive(run / "evaluations.jsonl").evaluations
    return {
        "loop_seconds": json.loads((run / "summary.json").read_text())["loop_seconds"],
        "training_seconds": sum(e.seconds for e in evaluations),
        "evaluations": len(evaluations),
        "wall": None,
        "memory": None,
    }


def search(options: list[str], run: Path) -> dict[str, Any]:
    """The real thing, with the same options but ours. memory: bytes at the peak, Ray included."""
    ours = {"--genomes", "--out"}
    kept = [x for i, x in enumerate(options) if not ({x, options[i - 1] if i else ""} & ours)]
    command = [sys.executable, "-m", "nas.search", *kept, "--run-dir", str(run), "--json"]
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen([*command, "--seed-genomes", "none"], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(2)
    assert process.returncode == 0
    return {**measured(run), "wall": time.perf_counter() - started, "memory": peak}


def tree_memory(root: int) -> int:
    """Bytes of a process and all that it started; what they share counts once (Linux)."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, before = {root}, set[int]()
    while found != before:
        before, found = found, found | {pid for pid, parent in parents.items() if parent in found}
    total = 0
    for pid in found:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(1024 * int(x.split()[1]) for x in lines if x.startswith("Pss:"))
    return total


if __name__ == "__main__":
    main()
