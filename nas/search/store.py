"""The run directory: settings, owner, files, and the tasks that are in flight. No torch here."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import logging
import os
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from nas.arch.genome import Genome
from nas.common.environment import environment
from nas.common.errors import UserError
from nas.common.files import (
    LineFile,
    lines_of,
    locked,
    open_regular,
    read_json,
    read_text,
    reason,
    replace_file,
)
from nas.common.schema import Int, read
from nas.evolution.denoise import Member
from nas.evolution.pareto import Front
from nas.search.archive import (
    MAX_INDEX,
    Archive,
    Evaluation,
    as_measured,
    check_metrics,
    read_changes,
    read_parents,
    read_predicted,
)
from nas.search.settings import Settings, fixed_changes, load_settings, read_settings
from nas.space.space import SearchSpace
from nas.training.task import Fidelity, Task

EXPERIMENTS = Path("experiments")
LINES_BEFORE_REWRITE = 10_000
MAX_ATTEMPTS = 1000  # in a file
MAX_FRONT = 64 << 20  # bytes of front.json
# What the numbers of a run follow from; checked when it goes on.
FINGERPRINTED = ("space.yaml", "initial.json")

log = logging.getLogger(__name__)


class RunDirectory:
    """One search's folder. Use as a context manager: it is locked while open for writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = ExitStack()

    @classmethod
    def create(
        cls, path: Path | None, settings: Settings, space: Path | SearchSpace,
        initial: Sequence[Genome] = (), command: Sequence[str] = (), data: str | None = None,
    ) -> RunDirectory:  # fmt: skip
        """A new folder; config.yaml, which makes it a run, comes last, and `latest` after it.

        data: the data set's fingerprint; None: an evaluator of the user's measures.
        """
        name, text = (space.stem, read_text(space)) if isinstance(space, Path) else (
            space.name, space.to_yaml())  # fmt: skip
        run = cls(_new_folder(path, f"{name}-s{settings.seed}"))
        with run:
            if run.file("config.yaml").exists():
                raise UserError(f"{run.path}: another search has just taken this folder")
            run.write("space.yaml", text)
            run.write("environment.json", json.dumps(environment([*command]), indent=1))
            run.write("initial.json", json.dumps([g.to_dict() for g in initial]))
            prints: dict[str, Any] = {n: run._digest(n) for n in FINGERPRINTED}
            prints |= {"settings": dataclasses.asdict(settings), "data": data}
            run.write("fingerprints.json", json.dumps(prints, indent=1))
            run.store(settings)
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

    def store(self, settings: Settings) -> None:
        """Write config.yaml."""
        self.write("config.yaml", yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False))

    def archive(self, belongs: Callable[[Genome], bool] | None = None) -> Archive:
        """belongs: whether a genome may be on the front; the space's `contains`."""
        settings = self.settings()
        front: Front[Evaluation] = Front(settings.objectives, settings.constraints)
        return Archive.load(self.file("evaluations.jsonl"), belongs, front)

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
                check_metrics(row["believed"])
                metrics = {**evaluation.metrics, **row["believed"]}
                members.append(Member(evaluation, metrics))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not a front of this run: {error}") from None
        return members or as_measured(archive.results())

    def pending(self, done: Container[int]) -> Pending:
        return Pending.load(self.file("pending.jsonl"), done)

    def initial(self) -> list[Genome]:
        path = self.file("initial.json")
        data = read_json(path, 64 << 20)
        if not isinstance(data, list):
            raise UserError(f"{path}: must be a list of genomes")
        return [Genome.from_dict(g, f"{path}[{i}]") for i, g in enumerate(data)]

    def check_unchanged(self, data: str | None) -> None:
        """UserError when settings, space, first genomes or data are not those that it began with.

        data: the data set's fingerprint now. Runs of version 0.1 have nothing to compare with.
        """
        path = self.file("fingerprints.json")
        if not path.exists():
            return
        prints = read_json(path)
        if not isinstance(prints, dict) or not prints.keys() >= {"settings", "data"}:
            raise UserError(f"{path}: not the fingerprints of a run")
        began = read_settings(prints["settings"], f"{path}: settings")
        for name, (before, now) in fixed_changes(began, self.settings()).items():
            raise UserError(f"{self.file('config.yaml')}: {name}: the run has {before}, not {now}")
        for name in FINGERPRINTED:
            if prints.get(name) != self._digest(name):
                raise UserError(f"{self.file(name)}: not the file that the run began with")
        if prints["data"] != data:
            raise UserError(
                f"data set {began.data}: not the one that the run began with (fingerprint "
                f"{data}, then {prints['data']}); its evaluations do not compare; start a new run"
            )

    def __enter__(self) -> RunDirectory:
        self._lock.enter_context(locked(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def write(self, name: str, text: str) -> None:
        replace_file(self.file(name), text)

    def _digest(self, name: str) -> str:
        return hashlib.sha256(read_text(self.file(name), 64 << 20).encode()).hexdigest()

    def _point_latest(self) -> None:
        """experiments/latest, where the run lies there and the file system has links."""
        if self.path.resolve().parent != EXPERIMENTS.resolve():
            return
        latest, fresh = EXPERIMENTS / "latest", EXPERIMENTS / f".latest.{os.getpid()}"
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self.path.name)
            os.replace(fresh, latest)
        except OSError as error:
            log.info("%s: no link to %s: %s", latest, self.path.name, reason(error))


def run_of(file: Path) -> RunDirectory | None:
    """The run that a file of it, such as best.json, lies in; None where it lies elsewhere.

    UserError where a link in it, such as `retrain`, leads out of it.
    """
    return RunDirectory.open(file.parent) if (file.parent / "config.yaml").is_file() else None


def _new_folder(path: Path | None, name: str) -> Path:
    """Make it; one that was given may be there already, if it is empty."""
    name = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{name}"
    names = [path] if path else (EXPERIMENTS / f"{name}{end}" for end in ("", *_numbers()))
    for folder in names:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(exist_ok=False)
        except FileExistsError:
            if path is None:  # another search of this very second
                continue
            if not path.is_dir() or any(path.iterdir()):
                raise UserError(
                    f"{path}: exists and is not empty; expected a new folder, or --resume {path}"
                ) from None
        except OSError as error:
            raise UserError(f"{folder}: cannot create: {reason(error)}") from None
        return folder
    raise AssertionError("unreachable: the numbers do not end")


def _numbers() -> Iterator[str]:
    return (f"-{number}" for number in range(2, 10**6))


class Pending:
    """What is in flight: a line of `pending.jsonl` for each start of a task; the last counts.

    Appending keeps the cost of a start the same for any number of workers. Nothing here is
    irreplaceable: a line that cannot be read is left out, and another genome is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tasks: dict[int, Task] = {}
        self.asked = 0  # one more than the highest index seen
        self.abandoned = False  # by a driver that died with these tasks running
        self._running: set[int] = set()  # started by this process
        self._lines = 0
        self._file: LineFile | None = None

    @classmethod
    def load(cls, path: Path, done: Container[int]) -> Pending:
        """What was started and is not `done` (indices of the archive)."""
        pending = cls(path)
        for task, running in _read(path):
            pending.asked = max(pending.asked, task.index + 1)
            if task.index not in done:
                pending.tasks[task.index] = task
                pending.abandoned |= running
        return pending

    def start(self, task: Task) -> None:
        """Take note, before the task runs. UserError when the disk does not take it."""
        self.tasks[task.index] = task
        self._running.add(task.index)
        if self._file is None or self._lines > LINES_BEFORE_REWRITE + 4 * len(self.tasks):
            self._rewrite()
            return
        self._file.append(_line(task, True))
        self._lines += 1

    def done(self, index: int) -> None:
        self.tasks.pop(index, None)
        self._running.discard(index)

    def close(self) -> None:
        """The search ends in good order: nothing is running any more."""
        self._running.clear()
        if self._file is None:
            return
        try:
            self._rewrite()
        finally:
            self._file.close()
            self._file = None

    def _rewrite(self) -> None:
        """Start the file anew with what is still pending."""
        if self._file is not None:
            self._file.close()
        lines = (_line(task, index in self._running) for index, task in self.tasks.items())
        replace_file(self.path, "".join(line + "\n" for line in lines))
        self._file = LineFile(self.path, sync=False)
        self._lines = len(self.tasks)


def _line(task: Task, running: bool) -> str:
    plain = {**vars(task), "running": running}
    del plain["seconds"]
    plain |= {"genome": task.genome.to_dict(), "fidelity": dataclasses.asdict(task.fidelity)}
    return json.dumps(plain, separators=(",", ":"))


def _read(path: Path) -> Iterator[tuple[Task, bool]]:
    """Tasks, and whether a worker had them when the line was written."""
    if not path.exists():
        return
    with open_regular(path) as file:
        for number, line in enumerate(lines_of(file, path), 1):
            where = f"{path}:{number}"
            try:
                data: dict[str, Any] = json.loads(line)
                index = Int(0, MAX_INDEX).read(data["index"], where)
                seed = Int(0, 2**31 - 1).read(data["seed"], where)
                # 0 in files of version 0.1, where the driver's own end counted.
                attempt = max(1, Int(0, MAX_ATTEMPTS).read(data["attempt"], where))
                task = Task(
                    index, Genome.from_dict(data["genome"], where),
                    read(Fidelity, data["fidelity"], where), seed, attempt,
                    parents=read_parents(data.get("parents", []), where),
                    changes=read_changes(data.get("changes", []), where),
                    predicted=read_predicted(data.get("predicted", {}), where),
                )  # fmt: skip
                yield task, bool(data.get("running", data["attempt"]))
            except (UserError, KeyError, TypeError, ValueError, RecursionError):
                continue
