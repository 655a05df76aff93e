"""Three ways to search for the same wall time on one machine, and their fronts trained anew.

    python experiments/equal_time/run.py search --data fer2013 --epochs 2 \\
        --fraction 0.25 --minutes 10
    python experiments/equal_time/run.py again    # the fronts from scratch, by another seed
    python experiments/equal_time/run.py report

`default` is what nas.search does, `random` learns nothing, `nsga2` is plain generational NSGA-II:
binary tournaments on crowding, 20 parents, 20 children bred at once and all trained before the next
generation. Every candidate of every search gets the same training. A search that was finished, or a
network that was trained anew, is not done again. Results lie in experiments/equal_time.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from deap import base, tools
from matplotlib.figure import Figure

from nas.arch.genome import Genome
from nas.bench.table import front_rows
from nas.common.resources import PROPOSED, SEARCH_SPACES
from nas.data import open_dataset, search_data
from nas.evolution.objectives import OBJECTIVES
from nas.evolution.optimizer import Proposal
from nas.evolution.pareto import hypervolume
from nas.report.colours import BASELINE, BEST, FRONT
from nas.report.table import table
from nas.search.archive import Archive, Evaluation
from nas.search.driver import Search
from nas.search.elapsed import by_elapsed
from nas.search.machine import measure_front, measure_machine
from nas.search.profile import load_machine, static_metrics
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.search.workers import evaluations_of, start_workers
from nas.space.genotype import Genotype
from nas.space.space import SearchSpace
from nas.training.evaluator import TrainingEvaluator
from nas.training.predict import Precision
from nas.training.task import Fidelity, Task

OUT = Path("experiments/equal_time")
POPULATION = 20
CROSSOVER_RATE = 0.9
SEED_ANEW = 1000  # of the trainings that repeat the fronts
WAYS = ("default", "random", "nsga2")
STYLES = {"default": (FRONT, "-"), "nsga2": (BEST, "--"), "random": (BASELINE, ":")}
ENDS = ("o", "s", "^")  # of the seeds
Array = np.ndarray[Any, np.dtype[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["search", "again", "report"])
    parser.add_argument("--space", default="fer")
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--fraction", type=float, default=0.25)
    parser.add_argument("--minutes", type=float, default=10, help="of each search")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if args.what == "search":
        search_all(args)
    elif args.what == "again":
        train_fronts(args)
    report()


def search_all(args: argparse.Namespace) -> None:
    """Every way with every seed; the order rotates, since a shared machine drifts."""
    OUT.mkdir(parents=True, exist_ok=True)
    space = SearchSpace.load(SEARCH_SPACES.find(args.space, "--space"))
    data = search_data(open_dataset(args.data))
    for seed in range(args.seeds):
        for way in [*WAYS[seed % 3 :], *WAYS[: seed % 3]]:
            path = OUT / f"{way}-{seed}"
            if (path / "summary.json").exists():
                continue
            shutil.rmtree(path, ignore_errors=True)
            algorithm = {"random": "random", "default": "nsga2+gp"}.get(way, "nsga2")
            settings = Settings(
                data=args.data, algorithm=algorithm,
                time_budget=60 * args.minutes, workers=args.workers, seed=seed,
                population=POPULATION,
                fidelity=Fidelity(args.epochs, args.fraction),
            )  # fmt: skip
            print(f"{way}, seed {seed}", flush=True)
            search(way, path, settings, space, data)


def search(way: str, path: Path, settings: Settings, space: SearchSpace, data: Any) -> None:
    initial = [Genome.load(PROPOSED)]
    with RunDirectory.create(path, settings, space, initial, ["benchmarks", way]) as run:
        if (OUT / "machine.json").exists():  # one fps model for all
            shutil.copyfile(OUT / "machine.json", run.file("machine.json"))
        machine = measure_machine(run, settings, space)
        shutil.copyfile(run.file("machine.json"), OUT / "machine.json")
        known = partial(static_metrics, fps_model=machine.calibration.model)
        kind = Generational if way == "nsga2" else Search
        found = kind(run, settings, space, initial, (), known)
        precision = Precision(machine.bf16, machine.channels_last)
        arguments = (data, settings.recipe, precision, machine.device)
        workers = start_workers(settings, TrainingEvaluator, arguments)
        try:
            outcome = found.loop(workers, time.monotonic() + (settings.time_budget or 0.0))
        finally:
            workers.close()
        if outcome.stopped == "interrupted":
            raise KeyboardInterrupt  # not finished: it will be made again
        found.write_results()
        measure_front(run, found.archive.results())
        summary = {
            "evaluations": len(found.archive),
            "failed": sum(not e.ok for e in found.archive),
            "loop_seconds": outcome.loop_seconds,
            "driver_overhead": outcome.overhead,
        }
        run.write("summary.json", json.dumps(summary, indent=1))
        print(summary, flush=True)


class TextbookNSGA2:
    """DEAP's textbook NSGA-II over our space and operators; an Optimizer to a Search.

    Children are new genomes, so that no training is spent twice, which the textbook does not ask.
    """

    def __init__(self, space: SearchSpace, seed: int, initial: list[Genome]) -> None:
        self.space, self.rng = space, np.random.default_rng(seed)
        random.seed(seed)  # DEAP's tournament draws from the global generator
        weights = tuple(1.0 if o.maximize else -1.0 for o in OBJECTIVES)
        self._fitness = type("TextbookFitness", (base.Fitness,), {"weights": weights})
        self._parents: list[Any] = []
        self._told: list[Any] = []
        self._seen: set[str] = set()
        more = (space.sample(self.rng) for _ in range(POPULATION - len(initial)))
        self._children = [*map(space.genotype, initial), *more]
        self._asked: dict[str, Genotype] = {}
        self.asked = 0

    @property
    def waits(self) -> bool:
        """Whether the generation is handed out and not yet all trained."""
        return not self._children

    def propose(self) -> Proposal:
        child = self._children.pop(0)
        self._asked[child.id] = child
        self._seen.add(child.id)
        self.asked += 1
        return Proposal(child.genome, child)

    def tell(
        self, genome: Genome, metrics: Mapping[str, float] | None, *, foreign: bool = False
    ) -> None:
        individual = _Individual(genome, metrics, self._fitness)
        self._told.append(individual)
        if len(self._told) == POPULATION:
            ok = [i for i in [*self._parents, *self._told] if i.fitness.valid]
            self._parents, self._told = tools.selNSGA2(ok, POPULATION), []
            self._children = self._bred()

    def _bred(self) -> list[Genotype]:
        mothers = tools.selTournamentDCD(self._parents, len(self._parents) // 4 * 4)
        fathers = tools.selTournamentDCD(self._parents, len(self._parents) // 4 * 4)
        children: dict[str, Genotype] = {}
        while len(children) < POPULATION:
            at = int(self.rng.integers(len(mothers)))
            child = self._asked[mothers[at].genome.id]
            if self.rng.random() < CROSSOVER_RATE:
                child = self.space.crossover(child, self._asked[fathers[at].genome.id], self.rng)
            child = self.space.mutate(child, self.rng)
            if child.id not in self._seen:
                children[child.id] = child
        return list(children.values())


class _Individual:
    def __init__(self, genome: Genome, metrics: Mapping[str, float] | None, fitness: Any) -> None:
        self.genome, self.fitness = genome, fitness()
        if metrics is not None:
            self.fitness.values = tuple(metrics[o.name] for o in OBJECTIVES)


class Generational(Search):
    """A search whose next generation waits for the whole of the last one."""

    def __init__(self, run: RunDirectory, settings: Settings, space: SearchSpace,
                 initial: list[Genome], *rest: Any) -> None:  # fmt: skip
        super().__init__(run, settings, space, initial, *rest)
        self.optimizer: Any = TextbookNSGA2(space, settings.seed, initial)

    def _ask(self, deadline: float | None) -> bool:
        return not self.optimizer.waits and super()._ask(deadline)


def train_fronts(args: argparse.Namespace) -> None:
    """Every network of a final front (accuracy, params), once, from scratch."""
    runs = read_runs()
    wanted = {e.id: e.genome for rows in runs.values() for e in final_front(rows)}
    path = OUT / "anew.jsonl"
    done = {e.id for e in Archive(path) if e.ok}
    machine = load_machine(OUT / "machine.json")
    data = search_data(open_dataset(args.data))
    settings = Settings(workers=args.workers)
    precision = Precision(machine.bf16, machine.channels_last)
    arguments = (data, settings.recipe, precision, machine.device)
    workers = start_workers(settings, TrainingEvaluator, arguments)
    left = [genome for name, genome in wanted.items() if name not in done]
    print(f"{len(wanted)} networks on the fronts, {len(left)} to train", flush=True)
    fidelity = next(iter(runs.values()))[0].fidelity  # one for all
    tasks = [Task(i, g, fidelity, SEED_ANEW) for i, g in enumerate(left, len(done))]
    archive = Archive(path)
    try:
        for found in evaluations_of(workers, tasks):
            archive.append(found)
    finally:
        archive.close()
        workers.close()


def read_runs() -> dict[str, list[Evaluation]]:
    """Run name -> its ok evaluations, in the order in which they ended."""
    return {
        path.parent.name: sorted(
            (e for e in Archive(path.parent / "evaluations.jsonl") if e.ok),
            key=lambda e: e.started + e.seconds,
        )
        for path in sorted(OUT.glob("*-*/summary.json"))
    }


def points(rows: list[Evaluation]) -> Array:
    """(n, 2): accuracy, params."""
    return np.array([[e.metrics["accuracy"], e.metrics["params"]] for e in rows])


def final_front(rows: list[Evaluation]) -> list[Evaluation]:
    found = points(rows)
    return [rows[i] for i in front_rows(found[:, 0], found[:, 1])]


class Yardstick:
    """Hypervolume of accuracy against params, as a share of that of all that was ever found.

    From the median accuracy of random networks and the most parameters that the space allows.
    """

    def __init__(self, chance: Array, everything: Array, largest: float) -> None:
        self.lowest, self.largest = float(np.median(chance[:, 0])), largest
        self.full = 1.0
        self.full = self(everything)

    def __call__(self, found: Array) -> float:
        if not len(found):
            return 0.0
        reference = np.array([-self.lowest, self.largest])
        return hypervolume(found * [-1, 1], reference) / self.full


def report() -> None:
    runs = read_runs()
    seeds = {name.split("-")[1] for name in runs if name.startswith("random")}
    runs = {name: rows for name, rows in runs.items() if name.split("-")[1] in seeds}
    if not runs:
        print("nothing to report yet")
        return
    chance = np.concatenate([points(r) for name, r in runs.items() if name.startswith("random")])
    limits = SearchSpace.load(OUT / next(iter(runs)) / "space.yaml").constraints.params
    largest = float(limits[1]) if limits else max(float(points(r).max()) for r in runs.values())
    measure = Yardstick(chance, np.concatenate([points(r) for r in runs.values()]), largest)
    anew = {e.id: e for e in Archive(OUT / "anew.jsonl") if e.ok}
    curves = {name: curve(rows, measure) for name, rows in runs.items()}
    again = {
        name: points([anew[e.id] for e in final_front(rows)])
        for name, rows in runs.items()
        if all(e.id in anew for e in final_front(rows))
    }
    rows = [
        {"run": name, **score(name, evaluations, curves, measure)}
        for name, evaluations in runs.items()
    ]
    if again:
        fair = Yardstick(chance, points(list(anew.values())), largest)
        for row in rows:
            if row["run"] in again:
                front = final_front(runs[row["run"]])
                row["anew"] = fair(again[row["run"]])
                row["lost"] = 100 * float((points(front) - again[row["run"]])[:, 0].mean())
    result = {"reference": [measure.lowest, measure.largest], "runs": rows}
    (OUT / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    picture(OUT / "hypervolume.png", curves)
    print(table(rows, [
        ("run", "run", ""), ("evaluations", "networks", "d"), ("params", "mean params", ",.0f"),
        ("quarter", "at 1/4", ".3f"), ("half", "at 1/2", ".3f"),
        ("budget", "at budget", ".3f"), ("end", "end", ".3f"), ("end_minutes", "min", ".1f"),
        ("minutes_to_random", "min to random's end", ".1f"), ("front", "front", "d"),
        ("anew", "front anew", ".3f"), ("lost", "points lost", ".1f"),
    ]))  # fmt: skip


def curve(rows: list[Evaluation], measure: Yardstick) -> list[tuple[float, float]]:
    """(minutes of running, hypervolume) after each evaluation."""
    return [
        (seconds / 60, measure(points(rows[: i + 1])))
        for i, (seconds, _) in enumerate(by_elapsed(rows))
    ]


def score(
    name: str, rows: list[Evaluation], curves: dict[str, list[tuple[float, float]]],
    measure: Yardstick,
) -> dict[str, Any]:  # fmt: skip
    """Of one run. minutes_to_random: until it has what random search of its seed has at last.

    No training is begun after the budget, but those begun are finished: `end` is with them.
    """
    ours, random_end = curves[name], curves[f"random-{name.split('-')[1]}"][-1][1]
    budget = (RunDirectory(OUT / name).settings().time_budget or 0.0) / 60

    def at(share: float) -> float:
        return max([0.0, *(volume for minutes, volume in ours if minutes <= share * budget)])

    return {
        "evaluations": len(rows),
        "params": float(points(rows)[:, 1].mean()),
        "quarter": at(0.25),
        "half": at(0.5),
        "budget": at(1.0),
        "end_minutes": ours[-1][0],
        "end": measure(points(rows)),
        "minutes_to_random": next((m for m, volume in ours if volume >= random_end), None),
        "front": len(final_front(rows)),
    }


def picture(path: Path, curves: dict[str, list[tuple[float, float]]]) -> None:
    figure = Figure(figsize=(7.5, 4.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, rows in curves.items():
        way, seed = name.split("-")
        minutes, volumes = zip(*rows, strict=True)
        colour, line = STYLES[way]
        axes.step(minutes, volumes, where="post", color=colour, linestyle=line,
                  label=way if seed == "0" else None)  # fmt: skip
        axes.plot(minutes[-1], volumes[-1], ENDS[int(seed) % 3], color=colour)
    axes.set_xlabel("minutes of running (circle: seed 0, square: seed 1)")
    axes.set_ylabel("share of the hypervolume of all networks found")
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
