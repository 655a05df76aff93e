"""Two Ray workers against one, on the same genomes, in one run.

    python experiments/workers/run.py [--genomes 8] [--rounds 3]

Reported: genomes a second of one worker with one thread, of one worker with all threads, and of
two workers with one thread each. They take turns; medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from nas.common.resources import SEARCH_SPACES
from nas.data import open_dataset, search_data
from nas.search.workers import RayWorkers, Workers, evaluations_of
from nas.space.space import SearchSpace
from nas.training.evaluator import TrainingEvaluator
from nas.training.predict import Precision
from nas.training.recipe import Recipe
from nas.training.task import Fidelity, Task


def throughput(workers: Workers, tasks: list[Task]) -> float:
    """Genomes a second, workers kept busy."""
    started = time.perf_counter()
    assert all(found.ok for found in evaluations_of(workers, tasks))
    return len(tasks) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--genomes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    space = SearchSpace.load(SEARCH_SPACES.path("fer"))
    data = search_data(open_dataset("synthetic"))
    rng = np.random.default_rng(0)
    genomes = [space.sample(rng).genome for _ in range(args.genomes)]
    tasks = [Task(i, g, Fidelity(1, 1.0), 0) for i, g in enumerate(genomes)]
    arguments = (data, Recipe(), Precision(True, True))
    settings = {
        "one worker, one thread": (1, 1),
        "one worker, two threads": (1, 2),
        "two workers, one thread each": (2, 1),
    }
    rates: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(args.rounds):
        for name, (count, threads) in settings.items():
            workers = RayWorkers(TrainingEvaluator, *arguments, gpus=[0] * count, threads=threads)
            while workers.capacity < count:
                workers.next()
            rates[name].append(throughput(workers, tasks))
            workers.close()
    medians = {name: statistics.median(found) for name, found in rates.items()}
    result = {
        "genomes_per_second": medians,
        "rounds": rates,
        "two_to_one": medians["two workers, one thread each"] / medians["one worker, one thread"],
        "two_to_one_with_all_threads": medians["two workers, one thread each"]
        / medians["one worker, two threads"],
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
