"""The same figures from several commits: a search, a surrogate, a training and the demo.

Each commit is checked out and runs each case in an empty folder, on one thread, by its own commands
and with files of version 0.1, which all of them read. result.json grows: for each case a digest of
each commit's figures, and the figures of each digest.

    python experiments/unchanged/run.py --table macro.csv.gz --clip clip.mp4 ebe6b8e main
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIRST = "ebe6b8e"  # its files are what every commit is given
EVALUATIONS, PROPOSALS, EPOCHS, FRAMES = 16, 40, 2, 200
METRICS = ("accuracy", "params", "macs", "activations", "fps")  # that version 0.1 has
# Names and one optimizer that every commit knows; the network is trained in float32.
RECIPE = (
    "epochs: 2\nbatch: 64\noptimiser: nesterov\nlr: 0.05\nschedule: one_cycle\nmixup: 0.2\n"
    "ema: 0.99\nlabel_smoothing: 0.1\nviews: flip\n"
    "augment: {flip: 0.5, probability: 0.8, shift: 0.1, scale: 0.15, rotate: 12, erase: 0.25}\n"
)
# Of our optimizer on a table: the rows in the order of asking.
ASK = """
import sys, json
from pathlib import Path
from nas.bench import baselines
from nas.bench.table import Table
table = Table.load(Path(sys.argv[1]))
ours = getattr(baselines, "surrogate", None) or (lambda *a: baselines.ours("nsga2+gp", *a))
print(json.dumps([int(row) for row in ours(table, int(sys.argv[2]), 1)]))
"""


@dataclass(frozen=True)
class Tree:
    """A commit, checked out at `path`. first: version 0.1, for its files. folder: to write into."""

    path: Path
    first: Path
    folder: Path

    def python(self, *arguments: str | Path) -> str:
        """What it prints; its package and one thread."""
        environment = os.environ | {"PYTHONPATH": str(self.path), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder, env=environment, text=True, capture_output=True,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{self.path}: {' '.join(map(str, arguments))}: {done.stderr[-2000:]}")
        return done.stdout


def plain(value: float | None) -> float | None:
    """Without the digits by which an accuracy in float32 differs from the same in float64."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def searched(tree: Tree) -> Any:
    """Ids and metrics of a deterministic search on the synthetic faces."""
    tree.python(
        "-m", "nas.search", "--space", tree.first / "search_spaces/quick.yaml", "--deterministic",
        "--workers", "1", "--evaluations", str(EVALUATIONS), "--epochs", "1", "--fraction", "0.25",
        "--seed", "1", "--seed-genomes", "none", "--run-dir", "run",
        "--machine", tree.first / "experiments/fer2013/search/machine.json",
    )  # fmt: skip
    lines = (tree.folder / "run/evaluations.jsonl").read_text().splitlines()
    rows = sorted(map(json.loads, lines), key=lambda row: row["index"])
    errors = sorted({row["error"].splitlines()[0] for row in rows if row["error"]})
    return {
        "ids": [row["id"] for row in rows],
        "metrics": [{k: plain(row["metrics"].get(k)) for k in METRICS} for row in rows],
        "errors": errors,
    }


def asked(tree: Tree, table: Path) -> Any:
    return {"rows": json.loads(tree.python("-c", ASK, table, str(PROPOSALS)))}


def trained(tree: Tree) -> Any:
    """The loss curve of a retraining, and its test accuracy."""
    genome = tree.first / "experiments/equal_time/default-0/best.json"
    (tree.folder / "recipe.yaml").write_text(RECIPE)
    out = tree.folder / "trained"
    out.mkdir()
    (out / "mode.json").write_text(json.dumps({"bf16": False, "channels_last": False}))
    tree.python(
        "-m", "nas.retrain", "--genome", genome, "--data", "synthetic", "--recipe", "recipe.yaml",
        "--seed", "1", "--device", "cpu", "--out", out,
    )  # fmt: skip
    lines = (out / "seed1/metrics.jsonl").read_text().splitlines()
    report = json.loads((out / "report.json").read_text())
    keys = ("train_loss", "lr", "validation_accuracy", "validation_loss")
    return {
        "curve": [{key: plain(row[key]) for key in keys} for row in map(json.loads, lines)],
        "test": plain(report["test"]["accuracy"]),
    }


def shown(tree: Tree, clip: Path) -> Any:
    """Every face of a clip: frame, time, track, box, label and probabilities."""
    tree.python(
        "-m", "nas.realtime", "--source", clip, "--headless", "--csv", "faces.csv", "--json",
        "--model", tree.first / "experiments/models/model.onnx", "--precision", "fp32",
        "--max-frames", str(FRAMES),
    )  # fmt: skip
    with (tree.folder / "faces.csv").open() as file:
        return list(csv.DictReader(file))


@contextmanager
def checked_out(commit: str, into: Path) -> Iterator[Path]:
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(into), commit], check=True)
    try:
        yield into
    finally:
        subprocess.run([*git, "remove", "--force", str(into)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("commits", nargs="+")
    parser.add_argument("--table", type=Path, help="a public table, see docs/tables.md")
    parser.add_argument("--clip", type=Path, help="a video with faces")
    parser.add_argument("--cases", nargs="+", default=["search", "table", "training", "demo"])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("result.json"))
    args = parser.parse_args()
    cases: dict[str, Callable[[Tree], Any]] = {"search": searched, "training": trained}
    if args.table:
        cases["table"] = lambda tree: asked(tree, args.table.resolve())
    if args.clip:
        cases["demo"] = lambda tree: shown(tree, args.clip.resolve())
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    with tempfile.TemporaryDirectory() as name, checked_out(FIRST, Path(name) / "first") as first:
        for commit in args.commits:
            with checked_out(commit, Path(name) / "tree") as path:
                for case in (case for case in args.cases if case in cases):
                    folder = Path(tempfile.mkdtemp(dir=name))
                    figures = cases[case](Tree(path, first, folder))
                    digest = hashlib.sha256(json.dumps(figures).encode()).hexdigest()[:12]
                    known = found.setdefault(case, {"commits": {}, "figures": {}})
                    known["commits"][commit] = digest
                    known["figures"][digest] = figures
                    print(f"{case:8}  {commit}  {digest}", flush=True)
                    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
