"""An objective of your own, with a limit: energy. `python examples/own_objective.py`

Energy is a formula here: picojoules for each multiply-accumulate and for each byte of weights and
activations that moves (rough figures for 45 nm; Horowitz, ISSCC 2014). Any metric that the
evaluator returns can be an objective, a constraint or a term of the fitness.
"""

from __future__ import annotations

import math
import tempfile

import nas
from nas.arch.lowering import cost

MAC, BYTE = 4.6, 160.0  # picojoules: a float32 multiply-add; a byte from memory


def measure(genome: nas.Genome) -> dict[str, float]:
    """Accuracy is a formula too, so that the example takes a second: more work, more of it."""
    found = cost(genome)
    energy = MAC * found.macs + BYTE * 4 * (found.params + found.activations)
    return {"accuracy": 0.7 - 0.5 / math.log10(found.macs), "energy_uj": energy / 1e6}


def main() -> None:
    """Thirty networks, the front of accuracy against energy."""
    with tempfile.TemporaryDirectory() as folder:
        run = nas.search(
            "quick", evaluator=measure, evaluations=30, workers=1, seed_genomes=[],
            run_dir=f"{folder}/run",
            objectives=[{"name": "accuracy"}, {"name": "energy_uj"}],
            constraints=[{"name": "energy_uj", "at_most": 400.0}],
        )  # fmt: skip
        print(run.front[["accuracy", "energy_uj", "params"]])


if __name__ == "__main__":
    main()
