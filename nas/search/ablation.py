"""Why a network is good: each gene set back to another network's value, trained, compared.

All variants get the same training by the same seeds, on the workers of a search. The folder is a
run's; an interrupted ablation goes on where it was.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.arch.genome import Genome, find_genome
from nas.arch.lowering import cost
from nas.common.cli import log_to_stderr, read_seeds
from nas.common.errors import UserError, as_path
from nas.common.files import EXPERIMENTS
from nas.common.resources import REFERENCES, SEARCH_SPACES
from nas.evolution.objectives import Fitness, Objective
from nas.evolution.predictor import StaticMetrics
from nas.report.metrics import mean_interval
from nas.report.plots import ablation_figure, write_figure
from nas.search.archive import Archive, Evaluation
from nas.search.evaluate import EvaluatorFunction, completed, evaluator_name
from nas.search.overview import run_axes
from nas.search.profile import given_profile
from nas.search.run import Parts, evaluating, findable, prepared, profile_of, static_of
from nas.search.settings import Settings, checked
from nas.search.store import RunDirectory, run_of
from nas.search.workers import Workers, evaluations_of
from nas.space.ablation import variants
from nas.space.projection import project
from nas.space.space import SearchSpace
from nas.training.task import Fidelity, Task

WINNER, OTHER = "the network itself", "the other network"
PICTURE = "ablation.png"
Row = dict[str, Any]
log = logging.getLogger(__name__)


def ablate(
    genome: Genome | str | Path,
    against: Genome | str | Path = "proposed",
    *,
    space: SearchSpace | str | Path | None = None,
    settings: Settings | None = None,
    data: str | Path | None = None,
    evaluator: EvaluatorFunction | str | None = None,
    epochs: int | None = None,
    fraction: float | None = None,
    seeds: int | Sequence[int] = 3,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    command: Sequence[str] = (),
) -> Row:
    """What each gene of a network gains: set back to the other's value, trained by equal seeds.

    genome, against: a Genome, or a name, file or run's folder (its best.json); the other is
    brought into the space first. space, settings: those of the run that the file lies in, where
    none are given. data: another data set. evaluator: a function genome -> metrics instead of a
    training, or its name "package.module:function"; where the run has one, it is given again.
    epochs, fraction: of each training, as in the run where None. seeds: how many, from 0, or which.
    out: the folder (None: ablation-<id> beside the genome's file); a repeated call goes on there.

    Returns ablation.json: `measure` says which metric (the run's accuracy, or what else it
    measured); `rows` have for each network its value and for each gene what the network's own one
    gains, both with 95 % intervals over the seeds (`low`, `high`). Beside it `against`, the other's
    name or id, and `picture`, ablation.png.
    """
    network, path = find_genome(genome, "ablate: genome")
    other, _ = find_genome(against, "ablate: against")
    name = str(against) if against in REFERENCES.names() else other.id
    with log_to_stderr(progress and not log.hasHandlers()):
        run = run_of(path) if path else None
        found = _settings(settings or (run.settings() if run else Settings()), data, evaluator)
        fidelity = Fidelity(epochs or found.fidelity.epochs, fraction or found.fidelity.fraction)
        found = findable(checked(replace(found, fidelity=fidelity, workers=workers)))
        parts = prepared(found, _space(space, run, path), evaluator, time.monotonic())
        compared, numbers = plan(network, other, parts.space), read_seeds(seeds)
        beside = path.parent if path else EXPERIMENTS
        folder = beside / f"ablation-{network.id}" if out is None else as_path(out, "ablate: out")
        log.info(
            "%d networks, %d seeds, %d epochs of %.0f%% of the images each, into %s",
            len(compared), len(numbers), fidelity.epochs, 100 * fidelity.fraction, folder,
        )  # fmt: skip
        result = measure(folder, compared, numbers, parts, command)
        picture = folder / PICTURE
        title = f"{network.id}, each gene set back to that of {name}"
        write_figure(picture, ablation_figure(result, title))
    return {**result, "against": name, "picture": str(picture)}


@dataclass(frozen=True)
class Compared:
    """A row of the table: a network, or the winner with one gene of `ours` set back to `theirs`."""

    name: str
    genome: Genome
    ours: str | None = None
    theirs: str | None = None


def plan(network: Genome, other: Genome, space: SearchSpace) -> list[Compared]:
    """The network itself, the other, and a variant for each gene that can be set back.

    UserError where the space does not hold the network, or the other has no relative in it.
    """
    ours, theirs = space.genotype(network), project(other, space)
    if theirs is None:
        raise UserError(f"space {space.name}: no relative of {other.id} satisfies its constraints")
    if theirs.genome == network != other:
        raise UserError(
            f"{network.id}: is itself the relative of {other.id} in space {space.name}; give "
            "another network by --against"
        )
    found = variants(ours, theirs, space)
    if not found:
        raise UserError(f"{network.id}: differs from {other.id} in no gene of space {space.name}")
    changed = [Compared(v.gene, v.genotype.genome, v.ours, v.theirs) for v in found]
    return [Compared(WINNER, network), Compared(OTHER, theirs.genome), *changed]


def measure(
    out: Path, compared: Sequence[Compared], seeds: Sequence[int], parts: Parts,
    command: Sequence[str],
) -> Row:  # fmt: skip
    """Measure what is missing in the folder `out`; returns the result, ablation.json.

    It goes seed by seed, so that an interrupted ablation compares all variants by fewer seeds.
    """
    settings = parts.settings
    tasks = [
        Task(s * len(compared) + i, row.genome, settings.fidelity, seed)
        for s, seed in enumerate(seeds)
        for i, row in enumerate(compared)
    ]
    with _folder(out, compared, parts, command) as run:
        archive = run.archive()
        missing = [task for task in tasks if task.index not in archive.by_index]
        log.info("%d of %d to be measured", len(missing), len(tasks))
        if missing:
            profile = profile_of(run, parts)
            with closing(archive), closing(evaluating(parts, profile)) as workers:
                _measure(missing, workers, archive, settings, static_of(profile, settings))
        result = summarise(compared, seeds, archive.evaluations, run_axes(settings, [])[0])
        run.write("ablation.json", json.dumps(result, indent=1))
    return result


def summarise(
    compared: Sequence[Compared], seeds: Sequence[int], evaluations: Sequence[Evaluation],
    measure: Row,
) -> Row:  # fmt: skip
    """measure: what is compared, of report.axes. gain: the network's value less that of the
    variant with the gene set back (the other way round where less is better), seed by seed.

    Above 0 the network's own value of the gene is the better one.
    """
    values = {(e.id, e.seed): e.metrics[measure["name"]] for e in evaluations if e.ok}
    sign = 1 if measure["maximize"] else -1
    base = compared[0].genome.id
    rows = []
    for row in compared:
        name, total = row.genome.id, cost(row.genome)
        found = [values[name, s] for s in seeds if (name, s) in values]
        gains = [
            sign * (values[base, s] - values[name, s])
            for s in seeds
            if {(base, s), (name, s)} <= values.keys()
        ]
        rows.append({
            "name": row.name, "id": name, "params": total.params, "macs": total.macs,
            "ours": row.ours, "theirs": row.theirs,
            "value": mean_interval(found, measure["share"]) if found else None,
            "gain": mean_interval(gains) if gains and row.name != WINNER else None,
        })  # fmt: skip
    asked = {(row.genome.id, seed) for row in compared for seed in seeds}
    failures = [{"id": e.id, "seed": e.seed, "error": e.error} for e in evaluations
                if not e.ok and (e.id, e.seed) in asked]  # fmt: skip
    return {"measure": measure, "seeds": list(seeds), "rows": rows, "failures": failures}


def _space(given: SearchSpace | str | Path | None, run: RunDirectory | None, path: Path | None
           ) -> SearchSpace:  # fmt: skip
    if isinstance(given, SearchSpace):
        return given
    if given is not None:
        return SearchSpace.load(SEARCH_SPACES.find(given, "--space"))
    if run is None:
        raise UserError(f"--space: missing, since {path or 'the genome'} lies in no run")
    return run.space()


def _settings(
    settings: Settings, data: str | Path | None, evaluator: EvaluatorFunction | str | None
) -> Settings:
    """Those of a run without its budget; its measure is the only objective that is kept."""
    if data is not None and evaluator is not None:
        raise UserError("--data, --evaluator: both say what measures the networks; give one")
    if data is not None:
        settings = replace(settings, data=str(data), evaluator=None)
    if evaluator is not None:
        settings = replace(settings, evaluator=evaluator_name(evaluator, "ablate"))
    kept = run_axes(settings, [])[0]["name"]
    first = next(o for o in settings.objectives if o.name == kept)
    second = Objective("macs" if kept == "params" else "params")
    return replace(
        settings, objectives=(first, second), constraints=(), fitness=Fitness(), evaluations=1,
        algorithm=Settings().algorithm, time_budget=None, address=None,
    )  # fmt: skip


def _folder(
    out: Path, compared: Sequence[Compared], parts: Parts, command: Sequence[str]
) -> RunDirectory:
    """The folder anew, or as it was left. UserError when it is of another ablation."""
    settings, genomes = parts.settings, [row.genome for row in compared[:2]]
    if not (out / "config.yaml").exists():
        given_profile(settings)
        return RunDirectory.create(out, settings, parts.space, genomes, command, parts.fingerprint)
    run = RunDirectory.open(out)
    before = findable(run.settings())
    same = ("evaluator", *(() if settings.evaluator else ("data", "recipe")), "fidelity")
    unlike = [name for name in same if getattr(before, name) != getattr(settings, name)]
    if unlike or run.initial() != genomes:
        what = ", ".join(unlike) or "genomes"
        raise UserError(f"{out}: holds an ablation of other {what}; expected a new --out")
    run.check_unchanged(parts.fingerprint)
    return run


def _measure(
    tasks: Sequence[Task], workers: Workers, archive: Archive, settings: Settings,
    static_metrics: StaticMetrics,
) -> None:  # fmt: skip
    """Every task on the workers, each result on disk before the next."""
    total, wanted = len(archive) + len(tasks), settings.wanted
    for ended in evaluations_of(workers, tasks):
        found = completed(ended, static_metrics(ended.genome), wanted, archive)
        archive.append(found)
        value = f"{wanted[0]} {found.metrics[wanted[0]]:.4g}" if found.ok else found.error
        log.info("%d of %d: %s, seed %d: %s", len(archive), total, found.id, found.seed, value)
