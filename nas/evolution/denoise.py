"""The front that a search returns: by what its measurements and their neighbours say together.

One short training is a noisy reading, and of many candidates the luckiest is on the front. So every
network's metric is drawn towards the posterior mean of the search's own Gaussian process, which has
seen its measurement and those of its neighbours, and the front is that of what is then believed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from nas.evolution.objectives import OBJECTIVES, Constraint, Objective, violation
from nas.evolution.pareto import Measured, Member, front_ranks, minimized, pareto_front
from nas.evolution.predictor import Predictor, Space, readings

# Share of a reading's distance from the posterior mean that is the network's own, which neighbours
# cannot tell: with 0 the returned fronts of one table in three were worse after 300 trainings.
OWN = 1 / 3
# Networks of a long archive: half of them front by front, those that keep the constraints first; of
# the rest evenly many.
CONSIDERED = 600


class Network(Measured, Protocol):
    """A network with what was measured of it."""

    @property
    def genome(self) -> Any: ...


T = TypeVar("T", bound=Network)


def denoised_front(
    space: Space, found: Sequence[T], static: Collection[str],
    objectives: Sequence[Objective] = OBJECTIVES, constraints: Sequence[Constraint] = (),
) -> list[Member[T]]:  # fmt: skip
    """The front of what is believed of the networks that were measured and that the space holds.

    static: names of the metrics that are exact and above 0; they stay. Of few networks what was
    measured is believed.
    """
    considered = sorted(_considered(found, objectives, constraints), key=lambda e: e.index)
    pairs = [(e, genotype) for e in considered if (genotype := space.find(e.genome)) is not None]
    if not pairs:
        return []
    inside, genotypes = zip(*pairs, strict=True)
    known = {e.genome.id: {k: e.metrics[k] for k in static if k in e.metrics} for e in inside}
    wanted = {o.name: o.maximize for o in objectives}
    wanted |= {c.name: c.at_least is not None for c in constraints if c.name not in wanted}
    names = {name: more for name, more in wanted.items() if name not in static}
    predictor = Predictor(space, lambda genome: known[genome.id], names, objectives)
    for e, genotype in pairs:
        predictor.tell(genotype, e.metrics)
    members = [Member(e, dict(e.metrics)) for e in inside]
    if predictor.ready:
        predictor.fit()
        forecasts = predictor.forecasts(genotypes, noise=OWN**2)
        read = {name: readings(name, [e.metrics for e in inside]) for name in names}
        for i, (member, forecast) in enumerate(zip(members, forecasts, strict=True)):
            for name, (mean, low, high) in forecast.items():
                moved = OWN * (float(read[name][i]) - mean)
                member.metrics[name] = mean + moved
                member.interval[name] = (low + moved, high + moved)
    return pareto_front(members, objectives, constraints)


def _considered(
    found: Sequence[T], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> list[T]:
    ok = [e for e in found if e.ok]
    if len(ok) <= CONSIDERED:
        return ok
    outside = np.array([violation(e.metrics, constraints) > 0 for e in ok])
    order = np.lexsort((front_ranks(minimized((e.metrics for e in ok), objectives)), outside))
    best, rest = np.split(order, [CONSIDERED // 2])
    even = np.linspace(0, len(rest) - 1, CONSIDERED - len(best)).round().astype(int)
    return [ok[i] for i in sorted({*best.tolist(), *rest[even].tolist()})]
