"""The run directory: its settings, its owner, its files. No torch here."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import shutil
from collections.abc import Container
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml

from nas.arch.genome import Genome
from nas.common.environment import environment
from nas.common.errors import UserError
from nas.common.files import locked, read_json, read_yaml, replace_file
from nas.common.schema import Choice, Flag, Float, Int, Text, read
from nas.evolution.objectives import Fitness
from nas.evolution.optimizer import ALGORITHMS
from nas.evolution.pareto import Front, best
from nas.search.archive import Archive, Evaluation, Fidelity
from nas.search.pending import Pending
from nas.training.recipe import Recipe

EXPERIMENTS = Path("experiments")


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a search does; `config.yaml` of a run, and `--config`."""

    data: Annotated[str, Text()] = "synthetic"
    algorithm: Annotated[str, Choice(ALGORITHMS, "algorithm")] = "nsga2"
    evaluations: Annotated[int, Int(0, 10_000_000)] = 40
    time_budget: Annotated[float, Float(0.0, 1e9)] = 0.0
    workers: Annotated[int, Int(0, 10_000)] = 0
    gpus_per_worker: Annotated[float, Float(0.0, 64.0)] = 0.0
    cpu_workers: Annotated[int, Int(0, 10_000)] = 0
    address: Annotated[str, Text(256)] | None = None
    fps_model: Annotated[str, Text()] | None = None
    candidate_time: Annotated[float, Float(0.0, 1e9)] = 0.0
    candidate_memory: Annotated[float, Float(0.0, 1e6)] = 0.0
    device: Annotated[str, Text(64)] = "auto"
    seed: Annotated[int, Int(0, 2**31 - 1)] = 0
    population: Annotated[int, Int(4, 100_000)] = 20
    surrogate: Annotated[bool, Flag()] = True
    deterministic: Annotated[bool, Flag()] = False
    calibration_genomes: Annotated[int, Int(10, 1000)] = 40
    fidelity: Fidelity = Fidelity()
    fitness: Fitness = Fitness()
    recipe: Recipe = Recipe()


def load_settings(path: Path) -> Settings:
    """Read a search configuration; a missing key keeps its default."""
    settings = read(Settings, read_yaml(path) or {}, str(path))
    assert isinstance(settings, Settings)
    return settings


class RunDirectory:
    """One search's folder. Use as a context manager: it is locked while open for writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: AbstractContextManager[None] | None = None

    @classmethod
    def create(
        cls, path: Path | None, settings: Settings, space_file: Path, initial: list[Genome],
        command: list[str],
    ) -> RunDirectory:  # fmt: skip
        """A new folder with config.yaml, space.yaml, environment.json, initial.json."""
        if path is None:
            path = _free_name(space_file.stem, settings.seed)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(
                f"{path}: exists and is not empty; expected a new folder, or --resume {path}"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot create: {error.strerror}") from None
        run = cls(path)
        shutil.copyfile(space_file, run.file("space.yaml"))
        plain = dataclasses.asdict(settings)
        run.write("config.yaml", yaml.safe_dump(plain, sort_keys=False))
        run.write("environment.json", json.dumps(environment(command), indent=1))
        run.write("initial.json", json.dumps([g.to_dict() for g in initial]))
        run._point_latest()
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run. UserError when it is none."""
        if not (path / "config.yaml").is_file():
            raise UserError(f"{path}: not a run directory (no config.yaml)")
        root = path.resolve()
        for found in path.rglob("*"):  # a run from elsewhere must not have us write outside it
            if found.is_symlink() and not found.resolve().is_relative_to(root):
                raise UserError(f"{found}: a link that leaves the run directory; remove it")
        return cls(path)

    def file(self, name: str) -> Path:
        return self.path / name

    def settings(self) -> Settings:
        return load_settings(self.file("config.yaml"))

    def archive(self) -> Archive:
        return Archive.load(self.file("evaluations.jsonl"))

    def initial(self) -> list[Genome]:
        path = self.file("initial.json")
        data = read_json(path, 64 << 20)
        if not isinstance(data, list):
            raise UserError(f"{path}: must be a list of genomes")
        return [Genome.from_dict(g, f"{path}[{i}]") for i, g in enumerate(data)]

    def __enter__(self) -> RunDirectory:
        self._lock = locked(self.path)
        self._lock.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._lock is not None:
            lock, self._lock = self._lock, None
            lock.__exit__(*error)

    def write(self, name: str, text: str) -> None:
        replace_file(self.file(name), text)

    def pending(self, done: Container[int]) -> Pending:
        return Pending.load(self.file("pending.jsonl"), done)

    def write_results(self, front: Front[Evaluation], fitness: Fitness) -> None:
        """front.json and best.json, derived from the evaluations."""
        self.write("front.json", json.dumps([result(e, fitness) for e in front], indent=1))
        chosen = best(front, fitness)
        if chosen is not None:
            plain = result(chosen, fitness)
            del plain["genome"]
            self.write("best.json", chosen.genome.to_json(name=chosen.id, evaluation=plain) + "\n")

    def _point_latest(self) -> None:
        if self.path.resolve().parent != EXPERIMENTS.resolve():
            return
        latest, fresh = EXPERIMENTS / "latest", EXPERIMENTS / ".latest.partial"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.path.name)
        os.replace(fresh, latest)


def run_of(file: Path) -> RunDirectory | None:
    """The run that a file of it, such as best.json, lies in; None where it lies elsewhere."""
    return RunDirectory(file.parent) if (file.parent / "config.yaml").is_file() else None


def result(evaluation: Evaluation, fitness: Fitness) -> dict[str, Any]:
    """An evaluation as a row of front.json."""
    return {
        "id": evaluation.id,
        **evaluation.metrics,
        "fitness": fitness(evaluation.metrics),
        "fidelity": dataclasses.asdict(evaluation.fidelity),
        "genome": evaluation.genome.to_dict(),
    }


def _free_name(space: str, seed: int) -> Path:
    name = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{space}-s{seed}"
    return EXPERIMENTS / name
