"""Long trainings of several networks, such as a run's front: a process each, a table, a picture.

Each network has a folder of its own. One that holds a report is kept as it is, and one that was
interrupted goes on, so that the same command can be given again at any time.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.arch.genome import Genome
from nas.common.errors import UserError
from nas.common.files import make_folder, replace_file
from nas.common.schema import flatten, read
from nas.data import Dataset, check_fit, open_dataset
from nas.deploy.latency import measure_fps
from nas.deploy.reports import REPORT, accuracy_over_seeds, retrained
from nas.report.final import final_figure
from nas.report.plots import write_figure
from nas.report.table import csv_text
from nas.search.analysis import rank_correlation
from nas.search.store import RunDirectory
from nas.training.recipe import Recipe

POLL = 0.2  # s
LAST_BYTES = 4096  # of a log, which hold what was said last
TOLD = 3  # differences between two trainings, in a message
LOG, TABLE, PICTURE = "retrain.log", "front.csv", "front.png"
FIGURES = ("validation", "validation_flip", "test", "test_flip")  # of accuracy, over seeds
FIELDS = [
    "id", "params", "macs", "fps", "seeds", "search_accuracy",
    *(f"{figure}_{part}" for figure in FIGURES for part in ("mean", "std", "low", "high")),
]  # fmt: skip
Row = dict[str, Any]  # FIELDS; None where nothing is known

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """What each network is given. seeds: a training each. teachers: as reports name them."""

    recipe: Recipe
    seeds: Sequence[int] = (0,)
    teachers: Sequence[Path] = ()


@dataclass(frozen=True)
class Final:
    """rows: by ascending params. failed: ids without a report. ranks: Spearman's, of search
    accuracy with the mean validation and test accuracy; None for fewer than four networks."""

    rows: list[Row]
    failed: list[str]
    ranks: dict[str, float | None]


def search_accuracies(run: RunDirectory) -> dict[str, float]:
    """Genome id -> accuracy on the images that the search held out."""
    return {e.id: e.metrics["accuracy"] for e in run.archive() if "accuracy" in e.metrics}


def front_genomes(run: RunDirectory, top: int | None = None) -> list[Genome]:
    """The networks on a run's front, best believed accuracy first; the first `top` of them."""
    members = run.front(run.archive(run.space().contains))
    members.sort(key=lambda member: -member.metrics.get("accuracy", 0.0))
    return [member.measured.genome for member in members][:top]


def retrain_all(
    genomes: Sequence[Genome], data: str | None, folder: Path, training: Training,
    options: Sequence[str], *, workers: int = 1, searched: Mapping[str, float] | None = None,
) -> Final:  # fmt: skip
    """Train each into `folder`/<id>, `workers` at once; write front.csv and front.png there.

    options: of nas.retrain, for each; they say what `training` says. searched: accuracy of the
    search, by id. A training that fails keeps no other from going on. UserError where the folder
    holds a report of another training: one table would compare what does not compare.
    """
    dataset = open_dataset(data)
    for genome in genomes:
        check_fit(genome, dataset)
    todo = [g for g in genomes if not (folder / g.id / REPORT).exists()]
    for genome in genomes:
        if genome not in todo:
            _check_same(folder / genome.id / REPORT, training, dataset)
    if len(todo) < len(genomes):
        log.info("%d of %d are done already", len(genomes) - len(todo), len(genomes))
    commands = {}
    for genome in todo:
        own = make_folder(folder / genome.id)
        replace_file(own / "genome.json", genome.to_json() + "\n")
        commands[own] = [
            sys.executable, "-m", "nas.retrain", "--genome", str(own / "genome.json"),
            "--out", str(own), *(("--data", data) if data else ()), *options,
        ]  # fmt: skip
    _run(commands, workers)
    done = [g for g in genomes if (folder / g.id / REPORT).exists()]
    return _written(folder, done, [g.id for g in genomes if g not in done], searched or {})


def _check_same(path: Path, training: Training, dataset: Dataset) -> None:
    """UserError unless the report is of this training on these data; it names the differences."""
    asked = {
        "seeds": _listed(training.seeds),
        "data": f"{dataset.name} ({dataset.fingerprint})",
        "initial": "none",
        "teachers": _listed(training.teachers),
        **flatten(asdict(training.recipe)),
    }
    with retrained(path) as report:
        data = report["data"]
        found = {
            "seeds": _listed(report["seeds"]["list"]),
            "data": f"{data['name']} ({data['fingerprint']})",
            "initial": report.get("initial") or "none",
            "teachers": _listed(report.get("teachers", ())),
            **flatten(asdict(read(Recipe, report["recipe"], f"{path}: recipe"))),
        }
        if data["fingerprint"] == dataset.fingerprint:  # the same images, under any name
            found["data"] = asked["data"]
    unlike = [
        f"{name} {found[name]} (asked: {value})"
        for name, value in asked.items() if found[name] != value
    ]  # fmt: skip
    if unlike:
        more = f" and {len(unlike) - TOLD} more" if len(unlike) > TOLD else ""
        raise UserError(
            f"{path.parent}: network {path.parent.name} was trained with "
            f"{', '.join(unlike[:TOLD])}{more}; expected the same, or another folder by --out"
        )


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"


def _run(commands: Mapping[Path, Sequence[str]], workers: int) -> None:
    """Each in a process whose output goes to its folder's log. Whatever ends us ends them."""
    environment = dict(os.environ)
    if workers > 1:
        environment["OMP_NUM_THREADS"] = "1"
    waiting, running = list(commands), dict[Path, subprocess.Popen[bytes]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                folder = waiting.pop(0)
                with open(folder / LOG, "ab") as output:
                    running[folder] = subprocess.Popen(
                        commands[folder], env=environment, stdin=subprocess.DEVNULL,
                        stdout=output, stderr=subprocess.STDOUT,
                    )  # fmt: skip
                log.info("%s: training; its log is %s", folder.name, folder / LOG)
            time.sleep(POLL)
            for folder in [folder for folder, p in running.items() if p.poll() is not None]:
                code = running.pop(folder).returncode
                left = len(waiting) + len(running)
                log.info("%s: %s, %d left", folder.name, _said(folder, code), left)
    finally:
        for process in running.values():
            process.terminate()  # its checkpoint stays, for the same command
        for process in running.values():
            process.wait()


def _said(folder: Path, code: int) -> str:
    if code == 0:
        return "done"
    with open(folder / LOG, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_BYTES))
        lines = file.read(LAST_BYTES).decode(errors="replace").splitlines()
    return f"FAILED with exit code {code}: {lines[-1] if lines else ''}"


def _written(
    folder: Path, done: Sequence[Genome], failed: list[str], searched: Mapping[str, float]
) -> Final:
    # In one go and in turns: what was timed after a training had other load beside it.
    fps = measure_fps(done) if done else []
    rows = sorted(
        (
            {**_row(folder / g.id / REPORT), "fps": speed, "search_accuracy": searched.get(g.id)}
            for g, speed in zip(done, fps, strict=True)
        ),
        key=lambda row: row["params"],
    )
    ranks = {split: _ranks(rows, f"{split}_mean") for split in ("validation", "test")}
    replace_file(folder / TABLE, csv_text(FIELDS, rows))
    if rows:
        write_figure(folder / PICTURE, final_figure(rows, ranks["test"]))
    return Final(rows, failed, ranks)


def _ranks(rows: Sequence[Row], figure: str) -> float | None:
    """Spearman's, of search accuracy with a figure, where both are known."""
    pairs = [(row["search_accuracy"], row[figure]) for row in rows]
    known = [pair for pair in pairs if None not in pair]
    return rank_correlation([one for one, _ in known], [other for _, other in known])


def _row(path: Path) -> Row:
    with retrained(path) as report:
        row = {key: report["cost"][key] for key in ("params", "macs")}
        row |= {"id": report["genome"], "seeds": len(report["seeds"]["list"])}
        for figure in FIGURES:
            parts = accuracy_over_seeds(report, figure)
            row |= {f"{figure}_{part}": value for part, value in parts.items()}
    return row
