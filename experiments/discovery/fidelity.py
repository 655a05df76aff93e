"""Does a short training predict the long one? A table of networks, each trained both ways.

    python experiments/discovery/gpu.py pack PACKED --data fer2013
    python experiments/discovery/fidelity.py PACKED OUT --spaces fer_tiny --macs 4e6
    python experiments/discovery/fidelity.py PACKED OUT --device cuda --bf16 --together 12
    python experiments/discovery/fidelity_figure.py OUT

Networks: the report's, mini-Xception, found ones and the fronts of fer_tiny, then random members of
the spaces by turns; --macs leaves out those that cost more. Every arm trains on the search's fit
rows and is scored on the rows that a search holds out and on PublicTest; PrivateTest is not in
PACKED. OUT/results.jsonl gets a line for each training; what it holds is not trained again, so the
same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu import REPLAYED, Data, stream, wait

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.space.space import SearchSpace
from nas.training.predict import DivergedError, Precision, Subset, score
from nas.training.recipe import Augment, Recipe
from nas.training.state import Training
from nas.training.teacher import SoftLabels

HERE = Path(__file__).resolve().parent
SPACES = ("fer", "fer_tiny")
LONG = 30  # epochs
PLAIN = Recipe()  # of a search's short trainings
MUON = dataclasses.replace(PLAIN, optimizer="muon", lr=0.05, momentum=0.95, weight_decay=0.01)
TAUGHT = dataclasses.replace(
    MUON, label_smoothing=0.0, distill=0.8, temperature=1.5, augment=REPLAYED
)


@dataclass(frozen=True)
class Arm:
    """One way to train. fraction: of the fit rows; every: one network in so many."""

    recipe: Recipe
    fraction: float = 1.0
    seed: int = 0
    every: int = 1


def arm(recipe: Recipe, epochs: int, fraction: float = 1.0, **more: int) -> Arm:
    ema = 0.0 if epochs < 3 else 0.99 if epochs < LONG else 0.998
    return Arm(dataclasses.replace(recipe, epochs=epochs, ema_decay=ema), fraction, **more)


ARMS = {
    "plain 1": arm(PLAIN, 1), "plain 2": arm(PLAIN, 2),
    "plain 3": arm(PLAIN, 3), "plain 6": arm(PLAIN, 6),
    "mirror 3": arm(dataclasses.replace(PLAIN, augment=Augment(flip=0.5, probability=0.0)), 3),
    "muon 1": arm(MUON, 1), "muon 2": arm(MUON, 2), "muon 3": arm(MUON, 3), "muon 6": arm(MUON, 6),
    "taught 2": arm(TAUGHT, 2), "taught 3": arm(TAUGHT, 3), "taught 6": arm(TAUGHT, 6),
    "taught 4 half": arm(TAUGHT, 4, 0.5),
    "long": arm(TAUGHT, LONG), "long again": arm(TAUGHT, LONG, seed=1, every=4),
    "long untaught": arm(MUON, LONG, every=4), "long plain": arm(PLAIN, LONG, every=4),
}  # fmt: skip


def networks(count: int, spaces: Sequence[str], macs: float) -> list[tuple[str, Genome]]:
    """(where from, genome), always the same ones."""
    files = [
        Path(f"search_spaces/references/{name}.json") for name in ("proposed", "mini_xception")
    ]
    files += sorted((HERE / "h200").glob("????????????.json"))
    fronts = [
        Genome.from_dict(member["genome"])
        for run in ("search", "random")
        for member in json.loads((HERE / "fer_tiny" / run / "front.json").read_text())
    ]
    first = [("found", genome) for genome in [*map(Genome.load, files), *fronts]]
    found = {genome.id: (name, genome) for name, genome in first if cost(genome).macs <= macs}
    loaded = [SearchSpace.load(Path(f"search_spaces/{name}.yaml")) for name in spaces]
    for number in itertools.count():
        if len(found) >= count:
            return list(found.values())[:count]
        space, name = loaded[number % len(spaces)], spaces[number % len(spaces)]
        genome = space.sample(np.random.default_rng([0, number])).genome
        if cost(genome).macs <= macs:
            found.setdefault(genome.id, (name, genome))
    raise AssertionError("count() does not end")


def todo(
    listed: list[tuple[str, Genome]],
    numbers: range,
    arms: Sequence[str],
    together: int,
    done: set[tuple[str, str]],
) -> Iterator[tuple[str, int, str, Genome]]:
    """(arm, number, space, genome) of what is not done; all arms of the first group come first."""
    for start in range(0, len(numbers), together):
        for name in arms:
            for number in numbers[start : start + together]:
                space, genome = listed[number]
                if number % ARMS[name].every == 0 and (name, genome.id) not in done:
                    yield name, number, space, genome


def part(fit: Subset, fraction: float) -> Subset:
    """The same part for every network."""
    keep = np.random.default_rng(0).permutation(len(fit))[: round(fraction * len(fit))]
    rows = fit.rows[torch.tensor(np.sort(keep), device=fit.rows.device)]
    return fit if fraction == 1 else dataclasses.replace(fit, rows=rows)


def train_together(
    jobs: list[tuple[str, int, str, Genome]], data: Data, labels: SoftLabels, batch: int,
    precision: Precision,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of results.jsonl; all of one arm. Step by step in turns, each on its own stream."""
    # On a CPU, which others may share, the seconds of this process.
    clock = time.perf_counter if data.images.is_cuda else time.process_time
    one, started = ARMS[jobs[0][0]], clock()
    recipe = dataclasses.replace(one.recipe, batch_size=batch)
    fit, teacher = part(data.fit, one.fraction), labels if recipe.distill else None
    runs = [
        (Training(genome, fit, recipe, one.seed, precision, teacher=teacher), stream())
        for *_, genome in jobs
    ]
    curves: list[list[float]] = [[] for _ in runs]
    failed: dict[int, str] = {}
    wait()
    for _ in range(recipe.epochs):
        steps = [(r.epoch_steps(), own) for i, (r, own) in enumerate(runs) if i not in failed]
        for _ in range(runs[0][0].steps_per_epoch):
            for each, own in steps:
                with torch.cuda.stream(own):
                    next(each, None)
        wait()
        for i, (run, _) in enumerate(runs):
            if i not in failed:
                try:
                    run.end_epoch()
                    curves[i].append(
                        score(run.averaged, run.genome, data.held_out, precision)["accuracy"]
                    )
                except DivergedError as error:
                    failed[i] = str(error)
    seconds = (clock() - started) / len(runs)
    rows = []
    for i, ((name, number, space, genome), (run, _)) in enumerate(zip(jobs, runs, strict=True)):
        row: dict[str, Any] = {
            "arm": name, "number": number, "space": space, "id": genome.id,
            **dataclasses.asdict(cost(genome)), "epochs": recipe.epochs, "fraction": one.fraction,
            "seed": one.seed, "batch": batch, "bf16": precision.bf16, "seconds": seconds,
            "together": len(jobs), "curve": [round(a, 5) for a in curves[i]],
        }  # fmt: skip
        if i in failed:
            rows.append(row | {"failed": failed[i]})
            continue
        for split, subset in (("held_out", data.held_out), ("public", data.validation)):
            found = score(run.averaged, run.genome, subset, precision)
            row |= {f"{split}_{k}": found[k] for k in ("accuracy", "loss", "macro_f1")}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("packed", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--networks", type=int, default=64)
    parser.add_argument("--skip", type=int, default=0, help="networks, for another process")
    parser.add_argument("--spaces", nargs="+", default=SPACES)
    parser.add_argument("--macs", type=float, default=float("inf"), help="at most, a network")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="where the processor has it")
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    args = parser.parse_args()
    end = time.perf_counter() + args.seconds
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "results.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    done = {(row["arm"], row["id"]) for row in map(json.loads, lines)}
    torch.set_float32_matmul_precision("high")
    data = Data(args.packed, args.device)
    labels = SoftLabels.load(HERE / "h200/soft_labels.safetensors")
    precision = Precision(bf16=args.bf16, channels_last=True)
    numbers = range(args.skip, args.networks)
    listed = networks(args.networks, args.spaces, args.macs)
    group: list[tuple[str, int, str, Genome]] = []
    for job in [*todo(listed, numbers, args.arms, args.together, done), None]:
        if group and (job is None or job[0] != group[0][0] or len(group) == args.together):
            if time.perf_counter() > end:
                return
            for row in train_together(group, data, labels, args.batch, precision):
                with open(file, "a") as results:
                    results.write(json.dumps(row) + "\n")
                shown = {k: row.get(k) for k in ("arm", "id", "params", "public_accuracy")}
                print(json.dumps(shown), flush=True)
            group = []
        if job is not None:
            group.append(job)


if __name__ == "__main__":
    main()
