"""Why a network is good: each gene set back to another network's value, trained, compared.

All variants get the same training by the same seeds, on the workers of a search. The folder is a
run's; an interrupted ablation goes on where it was.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.data import Dataset, check_input, search_data
from nas.report.metrics import mean_interval
from nas.search.archive import Archive, Evaluation
from nas.search.machine import measure_machine
from nas.search.paths import findable
from nas.search.profile import HardwareProfile, static_metrics
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.search.workers import Workers, evaluations_of, start_workers
from nas.space.ablation import Variant, variants
from nas.space.projection import project
from nas.space.space import SearchSpace
from nas.training.evaluator import TrainingEvaluator
from nas.training.task import Task
from nas.training.teacher import stored_teacher

WINNER, OTHER = "the network itself", "the other network"
Row = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is trained: names and genomes in the order of the table, by each of the seeds."""

    names: tuple[str, ...]
    genomes: tuple[Genome, ...]
    changed: tuple[Variant, ...]
    seeds: tuple[int, ...]

    def tasks(self, settings: Settings) -> list[Task]:
        """Seed by seed, so that an interrupted ablation compares all variants by fewer seeds."""
        return [
            Task(s * len(self.genomes) + i, genome, settings.fidelity, seed)
            for s, seed in enumerate(self.seeds)
            for i, genome in enumerate(self.genomes)
        ]


def plan(network: Genome, other: Genome, space: SearchSpace, seeds: Sequence[int]) -> Plan:
    """UserError where the space does not hold the network, or the other has no relative in it."""
    ours, theirs = space.genotype(network), project(other, space)
    if theirs is None:
        raise UserError(f"space {space.name}: no relative of {other.id} satisfies its constraints")
    found = variants(ours, theirs, space)
    if not found:
        raise UserError(f"{network.id}: differs from {other.id} in no gene of space {space.name}")
    genomes = [network, theirs.genome, *(v.genotype.genome for v in found)]
    names = [WINNER, OTHER, *(v.gene for v in found)]
    return Plan(tuple(names), tuple(genomes), tuple(found), tuple(seeds))


def ablate(
    out: Path, chosen: Plan, space: SearchSpace, dataset: Dataset, settings: Settings,
    command: Sequence[str] = (),
) -> Row:  # fmt: skip
    """Train what is missing in the folder `out`; returns the result, which is ablation.json too."""
    check_input(dataset, f"space {space.name}", space.classes, *space.shape)
    stored_teacher(settings.recipe, dataset.fingerprint)
    with _folder(out, chosen, space, dataset, settings, command) as run:
        profile = measure_machine(run, settings, space)
        archive = run.archive()
        done = {e.index for e in archive if e.ok}
        missing = [task for task in chosen.tasks(settings) if task.index not in done]
        log.info("%d of %d trainings to make", len(missing), len(chosen.tasks(settings)))
        if missing:
            data = search_data(dataset)
            arguments = (data, settings.recipe, profile.precision, settings.device)
            workers = start_workers(settings, TrainingEvaluator, arguments)
            try:
                _train(missing, workers, archive, profile)
            finally:
                workers.close()
                archive.close()
        result = summarise(chosen, archive.evaluations)
        run.write("ablation.json", json.dumps(result, indent=1))
    return result


def summarise(chosen: Plan, evaluations: Sequence[Evaluation]) -> Row:
    """gain: the network's accuracy less the variant's with that gene set back, seed by seed.

    Above 0 the network's own value of the gene is the better one.
    """
    accuracy = {(e.id, e.seed): e.metrics["accuracy"] for e in evaluations if e.ok}
    by_gene = {v.gene: v for v in chosen.changed}
    base = chosen.genomes[0].id
    rows = []
    for name, genome in zip(chosen.names, chosen.genomes, strict=True):
        found = [accuracy[genome.id, s] for s in chosen.seeds if (genome.id, s) in accuracy]
        gains = [
            accuracy[base, s] - accuracy[genome.id, s]
            for s in chosen.seeds
            if {(base, s), (genome.id, s)} <= accuracy.keys()
        ]
        total, variant = cost(genome), by_gene.get(name)
        rows.append({
            "name": name, "id": genome.id, "params": total.params, "macs": total.macs,
            "ours": variant.ours if variant else None,
            "theirs": variant.theirs if variant else None,
            "accuracy": mean_interval(found) if found else None,
            "gain": mean_interval(gains) if gains and name != WINNER else None,
        })  # fmt: skip
    return {"seeds": list(chosen.seeds), "rows": rows}


def _folder(
    out: Path, chosen: Plan, space: SearchSpace, dataset: Dataset, settings: Settings,
    command: Sequence[str],
) -> RunDirectory:  # fmt: skip
    """The folder anew, or as it was left. UserError when it is of another ablation."""
    genomes = list(chosen.genomes[:2])
    if not (out / "config.yaml").exists():
        settings = findable(settings)
        return RunDirectory.create(out, settings, space, genomes, command, dataset.fingerprint)
    run = RunDirectory.open(out)
    before, now = findable(run.settings()), findable(settings)
    same = ("data", "fidelity", "recipe")
    unlike = [name for name in same if getattr(before, name) != getattr(now, name)]
    if unlike or run.initial() != genomes:
        what = ", ".join(unlike) or "genomes"
        raise UserError(f"{out}: holds an ablation of other {what}; expected a new --out")
    run.check_unchanged(dataset.fingerprint)
    return run


def _train(
    tasks: Sequence[Task], workers: Workers, archive: Archive, profile: HardwareProfile
) -> None:
    """Every task on the workers, each result on disk before the next."""
    for found in evaluations_of(workers, tasks):
        if found.ok:
            known = static_metrics(found.genome, profile.calibration.model)
            found = replace(found, metrics={**found.metrics, **known})
        archive.append(found)
        log.info("%s, seed %d: %s", found.id, found.seed,
                 f"{found.metrics['accuracy']:.2%}" if found.ok else found.error)  # fmt: skip
