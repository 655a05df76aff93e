"""pymoo's NSGA-II with its own operators for integers; pymoo is an extra that few install."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from nas.bench.baselines import POPULATION, BudgetSpent, Counter
from nas.bench.table import Table
from nas.common.errors import UserError

try:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize
except ImportError:
    raise UserError("pymoo is not installed; pip install 'fer-nas[bench]'") from None


def pymoo_nsga2(table: Table, budget: int, seed: int) -> list[int]:
    """Rows in the order in which they were first evaluated, see baselines.Strategy."""
    look = Counter(table, budget)

    class Problem(ElementwiseProblem):  # type: ignore[misc]
        def __init__(self) -> None:
            tops = np.array([len(c) - 1 for c in table.choices])
            super().__init__(n_var=len(tops), n_obj=2, xl=0, xu=tops, vtype=int)

        def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
            accuracy, cost = look(x)
            out["F"] = [-accuracy, cost]

    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    with contextlib.suppress(BudgetSpent):
        minimize(Problem(), algorithm, ("n_gen", 10**6), seed=seed, verbose=False)
    return list(look.rows)
