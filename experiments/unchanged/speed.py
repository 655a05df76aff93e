"""Whether the driver of a search and the demo are as fast at one commit as at another, in turns.

    python -m experiments.unchanged.speed --clip clip.mp4 ebe6b8e main

`nas.bench scale` and `nas.bench realtime` of each commit, with files of version 0.1 and one core.
Prints and writes medians over the rounds, and their ratio to the first commit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from experiments.unchanged.run import FIRST, Tree, checked_out
from nas.common.environment import processor

TIMES = "experiments/fer2013/search/evaluations.jsonl"
NETWORK = "experiments/fer2013/retrain/short-60"


def driver(tree: Tree) -> dict[str, float]:
    """Milliseconds an evaluation with 64 workers; CPU seconds of a resume from 5,000."""
    found = json.loads(tree.python(
        "-m", "nas.bench", "scale", "--space", tree.first / "search_spaces/fer.yaml", "--sizes",
        "5000", "--workers", "64", "--times", tree.first / TIMES, "--json",
    ))  # fmt: skip
    return {
        "driver, ms": found["workers"][0]["driver_ms"],
        "resume, CPU s": found["driver"][0]["resume_cpu_s"],
    }


def demo(tree: Tree, clip: Path) -> dict[str, float]:
    """Milliseconds a frame of the demo, and of the plain loop beside it."""
    found = json.loads(tree.python(
        "-m", "nas.bench", "realtime", "--clip", clip, "--network", tree.first / NETWORK,
        "--repeats", "1", "--json",
    ))  # fmt: skip
    rows = {row["system"]: row for row in found["rows"] if row["cores"] == 1}
    return {f"{name}, ms": 1000 / rows[name]["mean_fps"] for name in ("ours", "plain")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commits", nargs=2)
    parser.add_argument("--clip", type=Path, required=True, help="a video with faces")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("speed.json"))
    args = parser.parse_args()
    rounds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        first = stack.enter_context(checked_out(FIRST, folder / "first"))
        paths = [stack.enter_context(checked_out(c, folder / f"tree{i}"))
                 for i, c in enumerate(args.commits)]  # fmt: skip
        for _ in range(args.rounds):
            for commit, path in zip(args.commits, paths, strict=True):
                tree = Tree(path, first, folder)
                for name, value in {**driver(tree), **demo(tree, args.clip.resolve())}.items():
                    rounds[name][commit].append(value)
                    print(f"{commit}  {name:14}  {value:.1f}", flush=True)
    before, after = args.commits
    medians = {name: {c: median(by[c]) for c in args.commits} for name, by in rounds.items()}
    for name, by in medians.items():
        print(f"{name:14}  {by[before]:8.1f}  {by[after]:8.1f}  {by[after] / by[before]:.2f}")
    found = {"processor": processor(), "rounds": rounds, "medians": medians}
    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
