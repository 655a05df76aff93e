"""Is nas.plan right? Plan a search, run it, compare; one row more in the result file.

python benchmarks/plan.py --space search_spaces/fer.yaml --evaluations 30
python benchmarks/plan.py --space search_spaces/fer.yaml --data fer2013 --epochs 1 --fraction 0.1
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nas import planning
from nas.data import open_dataset, search_split
from nas.options import add_settings, read_settings
from nas.space import load


def main() -> None:
    parser = argparse.ArgumentParser(description="nas.plan against a real search.")
    parser.add_argument("--space", required=True)
    parser.add_argument("--genomes", type=int, default=10)
    parser.add_argument("--out", default="experiments/benchmarks/plan.json")
    add_settings(parser)
    args = parser.parse_args()
    settings = read_settings(args)
    space, dataset = load(args.space), open_dataset(settings.data)
    started = time.perf_counter()
    timing = planning.measure(space, settings, dataset, args.genomes, print)
    found = planning.plan(space, settings, len(search_split(dataset)[0]), timing)
    planned = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        real = search(sys.argv[1:], Path(folder) / "run")
    row = {
        "command": sys.argv[1:],
        "workers": settings.workers,
        "evaluations": found.evaluations,
        "planning_seconds": planned,
        "fit_error": timing.speed.error,
        "predicted_loop_seconds": found.eta - timing.setup,
        "real_loop_seconds": real["loop_seconds"],
        "loop_ratio": (found.eta - timing.setup) / real["loop_seconds"],
        "predicted_seconds_each": found.rungs[settings.fidelity.epochs],
        "real_seconds_each": real["training_seconds"] / real["evaluations"],
        "predicted_eta": found.eta,
        "real_wall": real["wall"],
        "eta_ratio": found.eta / real["wall"],
        "predicted_memory": found.memory,
        "timing": dataclasses.asdict(timing),
    }
    path = Path(args.out)
    rows = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([*rows, row], indent=1) + "\n")
    print(json.dumps({k: v for k, v in row.items() if k != "timing"}, indent=1))


def search(options: list[str], run: Path) -> dict[str, Any]:
    """The real thing, with the same options but ours."""
    ours = {"--genomes", "--out"}
    kept = [x for i, x in enumerate(options) if not ({x, options[i - 1] if i else ""} & ours)]
    command = [sys.executable, "-m", "nas.search", *kept, "--run-dir", str(run), "--json"]
    started = time.perf_counter()
    subprocess.run([*command, "--seed-genomes", "none"], check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    return {**json.loads((run / "summary.json").read_text()), "wall": wall}


if __name__ == "__main__":
    main()
