"""A run as plain data: what the page, the tables and the pictures of nas.report are drawn from."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from nas.arch.block import Block
from nas.arch.genome import Genome, read_genome
from nas.arch.layers import Unit
from nas.arch.lowering import cost, lower, summary
from nas.common.errors import UserError
from nas.common.files import read_json
from nas.common.resources import REFERENCES
from nas.common.schema import Map, Number
from nas.deploy.reports import REPORT, accuracy_over_seeds, retrained
from nas.evolution.denoise import denoised_front
from nas.evolution.objectives import Constraint, Fitness
from nas.evolution.pareto import Member
from nas.report.axes import axes_of
from nas.search import analysis, genealogy
from nas.search.archive import Archive, Evaluation
from nas.search.elapsed import by_elapsed, running_seconds
from nas.search.profile import load_machine, static_metrics
from nas.search.settings import STATIC, Settings
from nas.search.store import RunDirectory
from nas.search.volume import Box
from nas.space.space import SearchSpace
from nas.training.history import FILE, read_history

Row = dict[str, Any]
log = logging.getLogger(__name__)


def overview(
    run: RunDirectory, baseline: RunDirectory | None = None, deep: bool = True,
    archive: Archive | None = None,
) -> Row:  # fmt: skip
    """Everything that report.explorer draws of a run.

    deep: also what takes seconds: the surrogate's check and the population. archive: of the run,
    where it has been read.
    """
    settings, space = run.settings(), run.space()
    archive = run.archive(space.contains) if archive is None else archive
    evaluations, inside = archive.evaluations, archive.inside
    measured = measured_fps(run)
    members = run.front(archive)
    front, winner = [m.measured for m in members], settings.choose(members)
    chosen = winner.measured if winner else None
    other = baseline.archive().evaluations if baseline else []
    box = Box.around([evaluations, other], space.classes, settings.objectives)
    measure, axes = run_axes(settings, evaluations)
    metric, maximize = measure["name"], measure["maximize"]
    # Of a run of which only the results were kept, the first genomes are not known.
    first = run.initial() if run.file("initial.json").exists() else []
    shared = Shared()
    networks = _networks(evaluations, members, settings.fitness, measured, shared, space, metric)
    return {
        "run": str(run.path),
        "space": space.name,
        "data": settings.evaluator or Path(settings.data).name,
        "synthetic": not settings.evaluator and Path(settings.data).name.startswith("synthetic"),
        "measure": measure,
        "axes": axes,
        "algorithm": settings.algorithm,
        "seed": settings.seed,
        "best": chosen.id if chosen else None,
        "seconds": running_seconds(evaluations),
        "majority_baseline": run.majority_baseline(),
        "networks": networks,
        "blocks": [block.to_dict() for block in shared.blocks],
        "boxes": [json.loads(box) for box in shared.boxes],
        "references": reference_rows(run, evaluations),
        "hypervolume": box.curve(evaluations) if box else [],
        "box": [asdict(side) for side in box.sides] if box else [],
        "baseline": _baseline(baseline, evaluations, box, metric) if baseline else None,
        "population": analysis.population(evaluations, inside, settings, metric) if deep else [],
        "genes": analysis.shared_genes(front, inside, space),
        "surrogate": analysis.surrogate_check(evaluations, space, metric, maximize, deep),
        "retrained": _retrained(run, evaluations),
        "failures": analysis.failures(evaluations),
        "genealogy": genealogy.trace(evaluations, chosen, first, space, metric, maximize),
        "commands": {
            "genome": shlex.join(["python", "-m", "nas.inspect", str(run.path), "--json"])
            + " --genome {id} > {id}.json",
            "retrain": "python -m nas.retrain --genome {id}.json --data "
            + ("DATA" if settings.evaluator else shlex.quote(settings.data)),
        },
    }


def run_axes(settings: Settings, evaluations: Sequence[Evaluation]) -> tuple[Row, list[Row]]:
    """What is drawn of a run, and against what: see report.axes."""
    objectives = [(o.name, o.maximize) for o in settings.objectives]
    return axes_of(objectives, [e.metrics for e in evaluations if e.ok], STATIC)


def front_rows(
    run: RunDirectory, archive: Archive, members: Sequence[Member[Evaluation]] | None = None
) -> tuple[list[Row], list[Row]]:
    """The front (or other members) as plain rows, and its axes, the measure first.

    believed: the measure by its measurement and its neighbours, with low and high, one deviation
    off it, once the search has ended; the fitness is of what is believed. fps_measured: None where
    it was not measured.
    """
    settings, measured = run.settings(), measured_fps(run)
    measure, axes = run_axes(settings, archive.evaluations)
    members = run.front(archive) if members is None else members
    name, fitness = measure["name"], settings.fitness
    rows = [_network(m.measured, m, fitness, measured, name) for m in members]
    return rows, [measure, *axes]


def front_within(
    run: RunDirectory, archive: Archive, limits: Sequence[Constraint]
) -> tuple[str, list[Row], list[Row]]:
    """The id of the best network that keeps further limits; the front of such, as in `front_rows`.

    Of networks that have these metrics: older versions measured fewer. UserError where none does.
    """
    settings, names = run.settings(), {limit.name for limit in limits}
    having = [e for e in archive if e.metrics.keys() >= names]
    members = denoised_front(
        run.space(), having, STATIC, settings.objectives, (*settings.constraints, *limits)
    )
    best = settings.choose(members)
    if best is None:
        raise UserError(f"{run.path}: no such network: {archive.why_no_front(limits)}")
    return best.measured.id, *front_rows(run, archive, members)


def _network(
    e: Evaluation, member: Member[Evaluation] | None, fitness: Fitness,
    measured: Mapping[str, float], metric: str,
) -> Row:  # fmt: skip
    """What tables show of a network; of a member of the front also what is believed of it."""
    return {
        "id": e.id, "metrics": e.metrics, "fps_measured": measured.get(e.id),
        "epochs": e.fidelity.epochs,
        "fitness": fitness.known(member.metrics if member else e.metrics),
        **(_believed(member, metric) if member else {}),
    }  # fmt: skip


def _believed(member: Member[Evaluation], metric: str) -> Row:
    low, high = member.interval.get(metric, (None, None))
    return {"believed": member.metrics.get(metric), "low": low, "high": high}


def evaluation_rows(run: RunDirectory, archive: Archive) -> list[Row]:
    """Every evaluation as a flat row, in the order of the archive."""
    settings, evaluations = run.settings(), archive.evaluations
    on_front = {member.index for member in run.front(archive)}
    measured = measured_fps(run)
    elapsed = {e.index: seconds for seconds, e in by_elapsed(evaluations)}
    names = list(dict.fromkeys(name for e in evaluations for name in e.metrics))
    metric = run_axes(settings, evaluations)[0]["name"]
    return [
        {
            **{name: e.metrics.get(name) for name in names},
            "index": e.index, "id": e.id, "status": e.status, "front": e.index in on_front,
            "fps_measured": measured.get(e.id), "fitness": settings.fitness.known(e.metrics),
            **_prediction(e, metric),
            "epochs": e.fidelity.epochs, "fraction": e.fidelity.fraction, "seed": e.seed,
            "elapsed": elapsed[e.index], "seconds": e.seconds,
            "parents": " ".join(e.parents), "error": e.error, "genome": e.genome,
        }
        for e in evaluations
    ]  # fmt: skip


def _prediction(e: Evaluation, metric: str) -> Row:
    """What the surrogate expected of the metric before the measurement; None where it did not."""
    found = e.predicted.get(metric, (None, None, None))
    return dict(zip(("predicted", "predicted_low", "predicted_high"), found, strict=True))


def reference_rows(run: RunDirectory, evaluations: Sequence[Evaluation]) -> list[Row]:
    """The references with their costs; accuracy where this search trained them, else None.

    published: share of FER2013's private test split, of its authors' own training.
    """
    trained = {e.id: e.metrics for e in evaluations if e.ok}
    machine = run.file("machine.json")
    model = load_machine(machine).calibration.model if machine.exists() else None
    rows = []
    for name in REFERENCES.names():
        genome, beside = read_genome(REFERENCES.path(name))
        metrics = static_metrics(genome, model) if model else {}
        published = beside.get("published", {}).get("fer2013_private")
        rows.append({
            "name": name, "id": genome.id,
            "metrics": {**asdict(cost(genome)), **metrics, **trained.get(genome.id, {})},
            "published": published / 100 if published is not None else None,
        })  # fmt: skip
    return rows


def measured_fps(run: RunDirectory) -> dict[str, float]:
    """Genome id -> frames per second, of the run's measured_fps.json; {} before there is one."""
    path = run.file("measured_fps.json")
    return Map(Number()).read(read_json(path) if path.exists() else {}, str(path))


def drawing_box(unit: Unit) -> list[Any]:
    """Of a drawing: name, what it does, output shape, params, MACs, how it skips."""
    skips = {True: "project", False: "identity"}
    return [
        unit.name, summary(unit), list(unit.out_shape), unit.cost.params, unit.cost.macs,
        None if unit.skip is None else skips[bool(unit.skip)],
    ]  # fmt: skip


@lru_cache(maxsize=4096)
def _box_json(unit: Unit) -> str:
    return json.dumps(drawing_box(unit))


class Shared:
    """Blocks, and boxes of drawings as JSON, each with its place: networks share most of them."""

    def __init__(self) -> None:
        self.blocks: dict[Block, int] = {}
        self.boxes: dict[str, int] = {}

    def genome(self, genome: Genome) -> Row:
        """As genome.to_dict(), but for its blocks, of which it has the places."""
        stages = [
            {"blocks": [self.blocks.setdefault(b, len(self.blocks)) for b in stage.blocks]}
            for stage in genome.stages
        ]
        return {**replace(genome, stages=()).to_dict(), "stages": stages}

    def drawing(self, genome: Genome) -> list[int]:
        """Places of its boxes."""
        return [self.boxes.setdefault(_box_json(u), len(self.boxes)) for u in lower(genome)]


def _networks(
    evaluations: Sequence[Evaluation], front: Sequence[Member[Evaluation]], fitness: Fitness,
    measured: Mapping[str, float], shared: Shared, space: SearchSpace, metric: str,
) -> list[Row]:  # fmt: skip
    """A row for each; its blocks and boxes are places in `shared`, which grows."""
    on_front = {m.index: m for m in front}
    by_id = genealogy.first_of_each(evaluations)
    return [
        {
            **_network(e, on_front.get(e.index), fitness, measured, metric),
            "index": e.index, "status": e.status, "front": e.index in on_front,
            "fraction": e.fidelity.fraction, "seconds": round(e.seconds, 2),
            "error": e.error, "predicted": e.predicted.get(metric),
            "parents": list(e.parents), "changes": genealogy.changes_of(e, by_id, space),
            "genome": shared.genome(e.genome), "boxes": shared.drawing(e.genome),
        }
        for e in evaluations
    ]  # fmt: skip


def _baseline(run: RunDirectory, ours: Sequence[Evaluation], box: Box | None, metric: str) -> Row:
    """The random search that ours is measured against, and how its budget compares."""
    archive, settings = run.archive(run.space().contains), run.settings()
    evaluations = archive.evaluations
    return {
        "run": str(run.path),
        "algorithm": settings.algorithm,
        "seed": settings.seed,
        "evaluations": len(evaluations),
        "seconds": running_seconds(evaluations),
        "equal_fidelity": {e.fidelity for e in evaluations} == {e.fidelity for e in ours},
        "hypervolume": box.curve(evaluations) if box else [],
        "front": [
            {"id": m.measured.id, "metrics": m.measured.metrics, **_believed(m, metric)}
            for m in run.front(archive)
        ],
    }


def _retrained(run: RunDirectory, evaluations: Sequence[Evaluation]) -> Row:
    """Search and final accuracy of the networks retrained in RUN/retrain or RUN/../retrain.

    The final one is the mean over seeds, low to high its 95 % interval; None for one seed.
    """
    searched = {e.id: e.metrics["accuracy"] for e in evaluations if "accuracy" in e.metrics}
    rows: list[Row] = []
    for folder in (run.file("retrain"), run.path.resolve().parent / "retrain"):
        for path in sorted(folder.glob(f"*/{REPORT}")):
            with retrained(path) as report:
                name, final = str(report["genome"]), accuracy_over_seeds(report, "validation")
                row = {
                    "id": name, "folder": path.parent.name, "search": searched.get(name),
                    "final": final["mean"], "low": final["low"], "high": final["high"],
                    "seeds": len(report["seeds"]["list"]), "epochs": int(report["epochs_trained"]),
                    "curve": _curve(path.parent / f"seed{int(report['seeds']['list'][0])}"),
                }  # fmt: skip
            if name in searched and row["final"] is None:
                log.info("%s: its validation images were trained on: no final accuracy", path)
            elif name in searched:
                rows.append(row)
    one, other = [r["search"] for r in rows], [r["final"] for r in rows]
    return {"networks": rows, "rank_correlation": analysis.rank_correlation(one, other)}


def _curve(folder: Path) -> list[list[float]]:
    """[epoch, validation accuracy] of a retraining's seed; [] where its folder has none."""
    rows = read_history(folder) if (folder / FILE).exists() else []
    return [[row["epoch"], row["validation_accuracy"]] for row in rows
            if "validation_accuracy" in row]  # fmt: skip
