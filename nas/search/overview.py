"""A run as plain data: what the page, the tables and the pictures of nas.report are drawn from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.arch.genome import Genome, read_genome
from nas.arch.lowering import cost, lower, summary
from nas.common.errors import UserError
from nas.common.files import read_json, read_text
from nas.common.resources import REFERENCES
from nas.evolution.denoise import Member
from nas.evolution.objectives import Fitness
from nas.evolution.pareto import pareto_front
from nas.search import analysis, genealogy
from nas.search.archive import Evaluation
from nas.search.elapsed import by_elapsed, running_seconds
from nas.search.profile import load_machine, static_metrics
from nas.search.store import RunDirectory
from nas.search.volume import Box
from nas.space.space import SearchSpace

MAX_REPORT = 16 << 20  # bytes of a retraining's report.json
Row = dict[str, Any]


def overview(run: RunDirectory, baseline: RunDirectory | None = None, deep: bool = True) -> Row:
    """Everything that report.explorer draws of a run.

    deep: also what takes seconds: the surrogate's check and the population.
    """
    settings, space = run.settings(), SearchSpace.load(run.file("space.yaml"))
    archive = run.archive(space.contains)
    evaluations = archive.evaluations
    measured = measured_fps(run.file("measured_fps.json"))
    inside = [e for e in evaluations if e.ok and space.contains(e.genome)]
    members = run.front(archive)
    front, winner = [m.measured for m in members], settings.choose(members)
    chosen = winner.measured if winner else None
    other = baseline.archive().evaluations if baseline else []
    box = Box.around([evaluations, other], space.classes)
    seen: dict[str, int] = {}  # blocks as JSON -> their place: networks share most of them
    networks = _networks(evaluations, members, settings.fitness, measured, seen, space)
    return {
        "run": str(run.path),
        "space": space.name,
        "data": Path(settings.data).name,
        "synthetic": Path(settings.data).name.startswith("synthetic"),
        "chance": 1 / space.classes,
        "algorithm": settings.algorithm,
        "seed": settings.seed,
        "best": chosen.id if chosen else None,
        "seconds": running_seconds(evaluations),
        "networks": networks,
        "blocks": [json.loads(block) for block in seen],
        "references": reference_rows(run, evaluations),
        "hypervolume": box.curve(evaluations) if box else [],
        "box": asdict(box) if box else None,
        "baseline": _baseline(baseline, evaluations, box) if baseline else None,
        "population": analysis.population(evaluations, space, settings) if deep else [],
        "genes": analysis.shared_genes(front, inside, space),
        "surrogate": analysis.surrogate_check(evaluations, space, "accuracy", deep),
        "fidelities": analysis.fidelity_ranks(evaluations),
        "retrained": _retrained(run, evaluations),
        "failures": analysis.failures(evaluations),
        "genealogy": genealogy.trace(evaluations, chosen, run.initial(), space),
        "commands": {
            "genome": shlex.join(["python", "-m", "nas.inspect", str(run.path), "--json"])
            + " --genome {id} > {id}.json",
            "retrain": "python -m nas.retrain --genome {id}.json --data "
            + shlex.quote(settings.data),
        },
    }


def front_rows(
    front: Sequence[Member[Evaluation]], fitness: Fitness, measured: Mapping[str, float]
) -> list[Row]:
    """The front as plain rows; `fps_measured` is None where it was not measured.

    believed: the accuracy by its measurement and its neighbours; the fitness is of that one.
    """
    return [
        {
            "id": m.measured.id,
            **m.measured.metrics,
            "believed": m.metrics.get("accuracy"),
            "fps_measured": measured.get(m.measured.id),
            "fitness": fitness.known(m.metrics),
            "epochs": m.measured.fidelity.epochs,
        }
        for m in front
    ]


def evaluation_rows(run: RunDirectory) -> list[Row]:
    """Every evaluation as a flat row, in the order of the archive."""
    settings, space = run.settings(), SearchSpace.load(run.file("space.yaml"))
    archive = run.archive(space.contains)
    evaluations = archive.evaluations
    ids = {member.measured.id for member in run.front(archive)}
    measured = measured_fps(run.file("measured_fps.json"))
    elapsed = {e.index: seconds for seconds, e in by_elapsed(evaluations)}
    return [
        {
            "index": e.index, "id": e.id, "status": e.status, "front": e.id in ids,
            "accuracy": e.metrics.get("accuracy"), "params": e.metrics.get("params"),
            "macs": e.metrics.get("macs"), "activations": e.metrics.get("activations"),
            "fps": e.metrics.get("fps"), "fps_measured": measured.get(e.id),
            "fitness": settings.fitness.known(e.metrics),
            **_prediction(e, "accuracy"),
            "epochs": e.fidelity.epochs, "fraction": e.fidelity.fraction, "seed": e.seed,
            "elapsed": elapsed[e.index], "seconds": e.seconds,
            "parents": " ".join(genealogy.parents_of(e)), "error": e.error,
            "genome": json.dumps(e.genome.to_dict(), separators=(",", ":")),
        }
        for e in evaluations
    ]  # fmt: skip


def _prediction(e: Evaluation, metric: str) -> Row:
    """What the surrogate expected of the metric before the measurement; None where it did not."""
    found = e.predicted.get(metric, (None, None, None))
    return dict(zip(("predicted", "predicted_low", "predicted_high"), found, strict=True))


def reference_genomes() -> dict[str, tuple[Genome, Row]]:
    """The reference genomes that come with us, by name."""
    return {name: read_genome(REFERENCES.path(name)) for name in REFERENCES.names()}


def reference_rows(run: RunDirectory, evaluations: Sequence[Evaluation]) -> list[Row]:
    """The references with their costs; accuracy where this search trained them, else None.

    published: share of FER2013's private test split, of its authors' own training.
    """
    trained = {e.id: e.metrics for e in evaluations if e.ok}
    machine = run.file("machine.json")
    model = load_machine(machine).calibration.model if machine.exists() else None
    rows = []
    for name, (genome, beside) in reference_genomes().items():
        found = cost(genome)
        metrics = static_metrics(genome, model) if model else {}
        published = beside.get("published", {}).get("fer2013_private")
        rows.append({
            "name": name, "id": genome.id, "params": found.params, "macs": found.macs,
            "fps": metrics.get("fps"),
            "published": published / 100 if published is not None else None,
            **trained.get(genome.id, {}),
        })  # fmt: skip
    return rows


def measured_fps(path: Path) -> dict[str, float]:
    """Genome id -> frames per second, of a run's measured_fps.json; {} before there is one."""
    data = read_json(path) if path.exists() else {}
    if not isinstance(data, dict) or not all(type(v) in (int, float) for v in data.values()):
        raise UserError(f"{path}: must map genome ids to frames per second")
    return data


def blocks(genome: Genome) -> list[list[Any]]:
    """A drawing's boxes: name, what it does, output shape, params, MACs, how it skips."""
    skips = {True: "project", False: "identity"}
    return [
        [
            unit.name, summary(unit), list(unit.out_shape), unit.cost.params, unit.cost.macs,
            None if unit.skip is None else skips[bool(unit.skip)],
        ]
        for unit in lower(genome)
    ]  # fmt: skip


def _networks(
    evaluations: Sequence[Evaluation], front: Sequence[Member[Evaluation]], fitness: Fitness,
    measured: Mapping[str, float], seen: dict[str, int], space: SearchSpace,
) -> list[Row]:  # fmt: skip
    """A row for each; its blocks are places in `seen`, which grows."""
    on_front = {m.index: m for m in front}
    by_id = genealogy.first_of_each(evaluations)
    rows = []
    for e in evaluations:
        row: Row = {
            "index": e.index, "id": e.id, "status": e.status, "front": e.index in on_front,
            **{k: e.metrics.get(k) for k in ("accuracy", "params", "macs", "fps")},
            "fps_measured": measured.get(e.id), "epochs": e.fidelity.epochs,
            "fraction": e.fidelity.fraction, "seconds": round(e.seconds, 2),
            "error": e.error, "predicted": e.predicted.get("accuracy"),
            "parents": genealogy.parents_of(e), "changes": genealogy.changes_of(e, by_id, space),
            "genome": e.genome.to_dict(),
            "blocks": [seen.setdefault(json.dumps(b), len(seen)) for b in blocks(e.genome)],
        }  # fmt: skip
        metrics = on_front[e.index].metrics if e.index in on_front else e.metrics
        row["believed"] = metrics.get("accuracy") if e.index in on_front else None
        row["fitness"] = fitness.known(metrics)
        rows.append(row)
    return rows


def _baseline(run: RunDirectory, ours: Sequence[Evaluation], box: Box | None) -> Row:
    """The random search that ours is measured against, and how its budget compares."""
    evaluations, settings = run.archive().evaluations, run.settings()
    front = pareto_front(evaluations, settings.objectives)
    return {
        "run": str(run.path),
        "algorithm": settings.algorithm,
        "seed": settings.seed,
        "evaluations": len(evaluations),
        "seconds": running_seconds(evaluations),
        "fidelity": asdict(settings.fidelity),
        "equal_fidelity": {e.fidelity for e in evaluations} == {e.fidelity for e in ours},
        "hypervolume": box.curve(evaluations) if box else [],
        "front": [{"id": e.id, **e.metrics} for e in front],
    }


def _retrained(run: RunDirectory, evaluations: Sequence[Evaluation]) -> Row:
    """Search and final accuracy of the networks retrained in RUN/retrain or RUN/../retrain."""
    searched = {e.id: e.metrics["accuracy"] for e in evaluations if "accuracy" in e.metrics}
    rows = []
    for folder in (run.file("retrain"), run.path.resolve().parent / "retrain"):
        for path in sorted(folder.glob("*/report.json")):
            report = read_json(path, MAX_REPORT)
            try:
                name, accuracy = str(report["genome"]), float(report["validation"]["accuracy"])
                epochs = int(report["epochs_trained"])
            except (KeyError, TypeError, ValueError):
                raise UserError(f"{path}: not a report of nas.retrain") from None
            if name in searched:
                rows.append({"id": name, "search": searched[name], "final": accuracy,
                             "epochs": epochs, "curve": _curve(path.parent)})  # fmt: skip
    one, other = [r["search"] for r in rows], [r["final"] for r in rows]
    return {"networks": rows, "rank_correlation": analysis.rank_correlation(one, other)}


def _curve(folder: Path) -> list[list[float]]:
    """[epoch, validation accuracy] of a retraining's first seed; [] where its folder has none."""
    paths = sorted(folder.glob("seed*/metrics.jsonl"))
    try:
        rows = [json.loads(line) for line in read_text(paths[0]).splitlines()] if paths else []
        return [[float(row["epoch"]), float(row["validation_accuracy"])] for row in rows
                if "validation_accuracy" in row]  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{paths[0]}: not the epochs of nas.retrain") from None
