"""The run directory: settings, owner and files. No torch here."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from nas.arch.genome import Genome
from nas.common.environment import environment
from nas.common.errors import UserError
from nas.common.files import EXPERIMENTS, locked, read_json, read_text, reason, replace_file
from nas.common.schema import Map, Numbers, read
from nas.evolution.pareto import Front, Member
from nas.search.archive import Archive, Evaluation, Metrics, as_measured
from nas.search.settings import STATIC, Settings, fixed_changes, load_settings
from nas.space.space import SearchSpace

LATEST = EXPERIMENTS / "latest"
EVALUATIONS = "evaluations.jsonl"
# All that a search has written before its first evaluation.
BEGUN = {
    "config.yaml", "space.yaml", "environment.json", "initial.json", "fingerprints.json",
    "machine.json", "pending.jsonl", "lock", "lock.owner", "optuna.log", "tensorboard",
}  # fmt: skip
MAX_FRONT = 64 << 20  # bytes of front.json
INTERVALS = Map(Numbers(2))
# What the numbers of a run follow from; checked when it goes on.
FINGERPRINTED = ("space.yaml", "initial.json")

log = logging.getLogger(__name__)


class RunDirectory:
    """One search's folder. Use as a context manager: it is locked while open for writing.

    A new one that a UserError ends before its first evaluation is removed: nothing is in it. One
    that was there, empty, is empty again; one with anything else in it stays whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = contextlib.ExitStack()
        self._new = self._given = False  # made by this process; in a folder that was there
        self._earlier: Path | None = None  # where experiments/latest led before it led here

    @classmethod
    def create(
        cls, path: Path | None, settings: Settings, space: SearchSpace,
        initial: Sequence[Genome] = (), command: Sequence[str] = (), data: str | None = None,
    ) -> RunDirectory:  # fmt: skip
        """A new folder; config.yaml, which makes it a run, comes last.

        data: the data set's fingerprint; None: an evaluator of the user's measures.
        """
        given = path is not None and path.exists()
        run = cls(_new_folder(path, f"{space.name}-s{settings.seed}"))
        with run:
            if run.file("config.yaml").exists():
                raise UserError(f"{run.path}: another search has just taken this folder")
            run.write("space.yaml", space.to_yaml())
            run.write("environment.json", json.dumps(environment([*command]), indent=1))
            run.write("initial.json", json.dumps([g.to_dict() for g in initial]))
            prints: dict[str, Any] = {n: run._digest(n) for n in FINGERPRINTED}
            prints |= {"settings": dataclasses.asdict(settings), "data": data}
            run.write("fingerprints.json", json.dumps(prints, indent=1))
            run.store(settings)
        run._new, run._given = True, given
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run, by its own name where `path` is a link. UserError when it is none."""
        if not (path / "config.yaml").is_file():
            raise UserError(f"{path}: not a run directory (no config.yaml)")
        root = path.resolve()
        for found in path.rglob("*"):  # a run from elsewhere must not have us write outside it
            if found.is_symlink() and not found.resolve().is_relative_to(root):
                raise UserError(f"{found}: a link that leaves the run directory; remove it")
        while path.is_symlink():  # `latest` is another run tomorrow
            path = path.parent / path.readlink()
        return cls(path)

    def file(self, name: str) -> Path:
        return self.path / name

    def settings(self) -> Settings:
        return load_settings(self.file("config.yaml"))

    def trained_on(self) -> str:
        """The data set of its networks. UserError where an evaluator of the user's needed none."""
        settings = self.settings()
        if settings.evaluator and settings.data == Settings().data:
            raise UserError(
                f"--data: missing; the run {self.path} has an evaluator of its own, and no data set"
            )
        return settings.data

    def space(self) -> SearchSpace:
        """As it was searched: with what the data gave it."""
        return SearchSpace.load(self.file("space.yaml"))

    def store(self, settings: Settings) -> None:
        """Write config.yaml."""
        self.write("config.yaml", yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False))

    def majority_baseline(self) -> float | None:
        """Share of the held-out images that are of the most frequent class, where that is known."""
        summary = self.file("summary.json")
        found = read_json(summary) if summary.exists() else None
        share = found.get("majority_baseline") if isinstance(found, dict) else None
        return share if isinstance(share, float) and 0 <= share <= 1 else None

    def archive(self, belongs: Callable[[Genome], bool] | None = None) -> Archive:
        """belongs: whether a genome may be on the front; the space's `contains`."""
        settings = self.settings()
        front: Front[Evaluation] = Front(settings.objectives, settings.constraints)
        return Archive(self.file(EVALUATIONS), belongs, front)

    def front(self, archive: Archive) -> list[Member[Evaluation]]:
        """The front as front.json has it: what a search returned, or what it measured so far.

        As measured where nothing is said of what is believed, as by version 0.1.
        """
        path = self.file("front.json")
        rows = read_json(path, MAX_FRONT) if path.exists() else []
        evaluations = {e.id: e for e in archive if e.status != "failed"}
        members = []
        try:
            for row in (row for row in rows if "believed" in row):
                evaluation = evaluations[row["id"]]
                metrics = evaluation.metrics | read(Metrics, row["believed"], "believed")
                interval = read(INTERVALS, row.get("interval", {}), "interval")
                members.append(Member(evaluation, metrics, interval))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not a front of this run: {error}") from None
        return members or as_measured(archive.results())

    def write_front(self, members: Sequence[Member[Evaluation]], settings: Settings) -> None:
        """front.json, and best.json with the network that the settings choose of them."""
        rows = [front_row(member, settings) for member in members]
        self.write("front.json", json.dumps(rows, indent=1))
        chosen = settings.choose(members)
        if chosen is not None:
            plain = front_row(chosen, settings)
            del plain["genome"]
            text = chosen.measured.genome.to_json(name=chosen.measured.id, evaluation=plain)
            self.write("best.json", text + "\n")

    def initial(self) -> list[Genome]:
        """The genomes that it began with. UserError where the file is missing."""
        path = self.file("initial.json")
        data = read_json(path, 64 << 20)
        if not isinstance(data, list):
            raise UserError(f"{path}: must be a list of genomes")
        return [Genome.from_dict(g, f"{path}[{i}]") for i, g in enumerate(data)]

    def check_unchanged(self, data: str | None) -> None:
        """UserError when settings, space, first genomes or data are not those that it began with.

        data: the data set's fingerprint now. Runs of version 0.1 have nothing to compare with.
        """
        prints = self.check_files()
        if prints and prints["data"] != data:
            raise UserError(
                f"data set {prints['settings'].get('data')}: not the one that the run began with "
                f"(fingerprint {data}, then {prints['data']}); its evaluations do not compare; "
                "start a new run"
            )

    def check_files(self) -> dict[str, Any]:
        """The fingerprints that it began with, if any. UserError unless files and settings fit."""
        path = self.file("fingerprints.json")
        if not path.exists():
            return {}
        prints = read_json(path)
        if not isinstance(prints, dict) or not prints.keys() >= {"settings", "data"}:
            raise UserError(f"{path}: not the fingerprints of a run")
        began = read(Settings, prints["settings"], f"{path}: settings")
        for name, (before, now) in fixed_changes(began, self.settings()).items():
            raise UserError(f"{self.file('config.yaml')}: {name}: the run has {before}, not {now}")
        for name in FINGERPRINTED:
            if prints.get(name) != self._digest(name):
                raise UserError(f"{self.file(name)}: not the file that the run began with")
        return prints

    def point_latest(self) -> None:
        """Link experiments/latest to it, where it lies there and the file system has links."""
        if self.path.resolve().parent != EXPERIMENTS.resolve():
            return
        try:
            self._earlier = LATEST.readlink() if LATEST.is_symlink() else None
            _link_latest(Path(self.path.name))
        except OSError as error:
            log.info("%s: no link to %s: %s", LATEST, self.path.name, reason(error))

    def __enter__(self) -> RunDirectory:
        self._lock.enter_context(locked(self.path))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._lock.close()
        wrong = kind is not None and issubclass(kind, UserError)
        if wrong and self._new:
            self._remove()

    def _remove(self) -> None:
        """Unless there is an evaluation in it, or anything that is not ours."""
        with contextlib.suppress(OSError):
            found = list(self.path.iterdir())
            if not {entry.name for entry in found} <= BEGUN:
                return
            for entry in found:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            if LATEST.is_symlink() and LATEST.resolve() == self.path.resolve():
                LATEST.unlink()
                if self._earlier is not None:
                    _link_latest(self._earlier)
            if not self._given:
                self.path.rmdir()

    def write(self, name: str, text: str) -> None:
        replace_file(self.file(name), text)

    def _digest(self, name: str) -> str:
        return hashlib.sha256(read_text(self.file(name), 64 << 20).encode()).hexdigest()


def front_row(member: Member[Evaluation], settings: Settings) -> dict[str, Any]:
    """As measured; believed: the metrics of which one measurement was taken with caution.

    interval: what is believed less and plus one deviation; empty while the search goes on.
    """
    evaluation = member.measured
    return {
        "id": evaluation.id,
        **evaluation.metrics,
        "believed": {k: v for k, v in member.metrics.items() if k not in STATIC},
        "interval": {k: list(ends) for k, ends in member.interval.items()},
        "fitness": settings.fitness.known(member.metrics),
        "status": evaluation.status,
        "fidelity": dataclasses.asdict(evaluation.fidelity),
        "parents": list(evaluation.parents),
        "genome": evaluation.genome.to_dict(),
    }


def _link_latest(target: Path) -> None:
    fresh = EXPERIMENTS / f".latest.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.replace(fresh, LATEST)


def run_of(file: Path) -> RunDirectory | None:
    """The run that a file of it lies in: RUN/best.json, or one of RUN/retrain/ID; None elsewhere.

    UserError where a link in it, such as `retrain`, leads out of it.
    """
    folders = [file.parent]
    if len(file.parents) < 3:  # `cd RUN/retrain` hides what tells it
        file = file.absolute()
    if file.parent.parent.name == "retrain":
        folders.append(file.parents[2])
    found = [folder for folder in folders if (folder / "config.yaml").is_file()]
    return RunDirectory.open(found[0]) if found else None


def data_of(genome: Path | None) -> str | None:
    """The data set of the run in which this genome file lies; None where it lies in none."""
    run = genome and run_of(genome)
    return run.trained_on() if run else None


def shared_data(genomes: Sequence[Path]) -> str | None:
    """The data set of the runs of all of them. UserError where these differ."""
    found = {path: data_of(path) for path in genomes}
    if len({*found.values()}) > 1:
        named = ", ".join(f"{path}: {data or 'none'}" for path, data in found.items())
        raise UserError(f"--data: missing; the genomes' runs have different data ({named})")
    return next(iter(found.values()))


def default_out(genome: Path | None, name: str) -> Path:
    """Where the network of that id goes: into the run in which its genome file lies."""
    run = genome and run_of(genome)
    return run.file(f"retrain/{name}") if run else EXPERIMENTS / f"retrain-{name}"


def _new_folder(path: Path | None, name: str) -> Path:
    """Make it; one that was given may be there already, if it is empty."""
    name = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{name}"
    folder, number = path or EXPERIMENTS / name, 1
    while True:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
        except FileExistsError:
            if path is None:  # another search of this very second
                number += 1
                folder = EXPERIMENTS / f"{name}-{number}"
            elif path.is_dir() and not any(path.iterdir()):
                return path
            else:
                raise UserError(
                    f"{path}: exists and is not empty; expected a new folder, or --resume {path}"
                ) from None
        except OSError as error:
            raise UserError(f"{folder}: cannot create: {reason(error)}") from None
