"""What a run's evaluations say beyond their front: population, genes, surrogate, failures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, spearmanr

from nas.evolution.objectives import violation
from nas.evolution.pareto import front_ranks, minimized
from nas.evolution.predictor import readings
from nas.evolution.surrogate import GaussianProcess
from nas.search.archive import Evaluation
from nas.search.settings import Settings
from nas.space.space import SearchSpace

Array = npt.NDArray[np.float64]

POINTS = 200  # of a curve over evaluations: more than a picture shows
FITTED = 400  # networks for the surrogate's check, the last ones
FOLDS = 100  # at most; below so many networks each is left out alone
LEVELS = (0.5, 0.8, 0.95)  # of central intervals
FEWEST = 12  # networks for a surrogate's check
FEWEST_RANKED = 4  # pairs for a rank correlation
Row = dict[str, Any]


def population(
    evaluations: Sequence[Evaluation], inside: Sequence[Evaluation], settings: Settings, metric: str
) -> list[Row]:
    """Quartiles of a metric of the best networks after so many evaluations.

    The best are the first fronts that hold `settings.population` networks: what the search breeds
    from, but for the last front, of which it keeps the least crowded.
    """
    feasible = [e for e in inside if not violation(e.metrics, settings.constraints)]
    indices = {e.index for e in feasible}
    allowed = [e.index in indices for e in evaluations]
    metrics = [e.metrics for e in feasible]
    points = minimized(metrics, settings.objectives)
    if settings.single_objective:
        points = np.array([[-settings.fitness(m)] for m in metrics]).reshape(-1, 1)
    step = max(1, len(evaluations) // POINTS)
    rows: list[Row] = []
    for number in range(step, len(evaluations) + step, step):
        known = sum(allowed[:number])
        if not known:
            continue
        ranks = front_ranks(points[:known])
        last = np.sort(ranks)[min(settings.population, known) - 1]
        best = [metrics[i] for i in np.flatnonzero(ranks <= last)]
        quartiles = np.quantile([m[metric] for m in best], [0.25, 0.5, 0.75]).tolist()
        rows.append({"evaluations": min(number, len(evaluations)), "quartiles": quartiles})
    return rows


def shared_genes(
    front: Sequence[Evaluation], evaluations: Sequence[Evaluation], space: SearchSpace
) -> list[Row]:
    """Each gene's commonest value on the front, its share there and among all; clearest first."""
    ids = {e.id for e in front}
    here: dict[str, Counter[str]] = defaultdict(Counter)
    everywhere: dict[str, Counter[str]] = defaultdict(Counter)
    total = 0
    for evaluation in evaluations:
        genes = space.genes(evaluation.genome)
        total += bool(genes)
        for gene, value in genes.items():
            here[gene][value] += evaluation.id in ids
            everywhere[gene][value] += 1
    rows = []
    for gene, on_front in here.items():
        value, count = on_front.most_common(1)[0]
        among = sum(on_front.values())
        if not count or value == "absent":
            continue
        rows.append({
            "gene": gene, "value": value.strip("(,)") or "none",  # a tuple's, such as (64,)
            "front": count / among,
            "all": everywhere[gene][value] / total,
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["all"] - row["front"])


def surrogate_check(
    evaluations: Sequence[Evaluation], space: SearchSpace, metric: str, maximize: bool = True,
    deep: bool = True,
) -> Row | None:  # fmt: skip
    """Predicted against measured values of a metric, and how often its intervals held: of what the
    search reads of a measurement, see `readings`, which is what it predicts.

    before: the predictions are those that the search noted before it trained the networks. Of a
    search that noted none, each network is predicted anew from the others, where deep. None for too
    few networks.
    """
    known = [e for e in evaluations if e.ok and metric in e.metrics]
    noted = [e for e in known if metric in e.predicted]
    if len(noted) >= FEWEST:
        return {"before": True, "folds": None} | _checked(
            noted, metric, np.array([e.predicted[metric] for e in noted])
        )
    return _left_out(known, space, metric, maximize) if deep else None


def _left_out(
    evaluations: Sequence[Evaluation], space: SearchSpace, metric: str, maximize: bool
) -> Row | None:
    """Each network left out of what its prediction learnt; the kernel's weights are fitted once."""
    inside = [e for e in evaluations if space.contains(e.genome)][-FITTED:]
    read = _read(inside, metric)
    if len(inside) < FEWEST or np.ptp(read) == 0:
        return None
    x, groups = _vectors(inside, space)
    process = GaussianProcess(groups, maximize)
    process.fit(x, read)
    predicted = np.empty((len(inside), 3))  # the mean, and it less and plus one deviation
    folds = np.arange(len(inside)) % min(FOLDS, len(inside))
    for fold in range(folds.max() + 1):
        out = folds == fold
        process.fit(x[~out], read[~out], tune=False)
        mean, deviation = process.predict(x[out])
        columns = [mean, mean - deviation, mean + deviation]
        ends = np.column_stack([process.scale.inverse(c) for c in columns])
        predicted[out] = np.column_stack([ends[:, 0], ends.min(1), ends.max(1)])
    return {"before": False, "folds": int(folds.max() + 1)} | _checked(inside, metric, predicted)


def _read(evaluations: Sequence[Evaluation], metric: str) -> Array:
    return readings(metric, [e.metrics for e in evaluations])


def _checked(evaluations: Sequence[Evaluation], metric: str, predicted: Array) -> Row:
    """predicted (n, 3): the mean, and it less and plus one deviation.

    How many deviations a reading is away counts on its own side of the mean.
    """
    mean, low, high = predicted.T
    read = _read(evaluations, metric)
    arm = np.where(read < mean, mean - low, high - mean)
    away = np.abs(read - mean) / np.maximum(arm, 1e-12)
    return {
        "points": [
            {"id": e.id, "measured": e.metrics[metric], "predicted": m, "low": below, "high": above}
            for e, (m, below, above) in zip(evaluations, predicted.tolist(), strict=True)
        ],
        "rank_correlation": rank_correlation(mean, read),
        "mean_error": float(np.abs(mean - read).mean()),
        "calibration": [
            {"level": level, "covered": float((away <= norm.ppf((1 + level) / 2)).mean())}
            for level in LEVELS
        ],
    }


def rank_correlation(one: Sequence[float] | Array, other: Sequence[float] | Array) -> float | None:
    """Spearman's; None where it is not defined."""
    if len(one) < FEWEST_RANKED or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)


def failures(evaluations: Sequence[Evaluation]) -> list[Row]:
    """Each reason (the first line of the error), how often, and whose."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for e in evaluations:
        if e.status == "failed":
            reasons[(e.error.strip().splitlines() or ["no reason given"])[0]].append(e.id)
    rows = [{"reason": r, "count": len(ids), "ids": ids} for r, ids in reasons.items()]
    return sorted(rows, key=lambda row: -len(row["ids"]))


def _vectors(evaluations: Sequence[Evaluation], space: SearchSpace) -> tuple[Array, list[int]]:
    """Genes and the logarithms of the costs within 0..1, and the group of each column."""
    genes = np.stack([space.encode(space.genotype(e.genome)) for e in evaluations])
    names = [n for n in ("params", "macs", "activations", "fps") if n in evaluations[0].metrics]
    costs = np.log([[max(e.metrics.get(n, 1.0), 1.0) for n in names] for e in evaluations])
    spread = np.maximum(np.ptp(costs, axis=0), 1e-9)
    first = max(space.groups, default=-1) + 1
    groups = [*space.groups, *range(first, first + len(names))]
    return np.column_stack([genes, (costs - costs.min(0)) / spread]), groups
