"""The bare optimizer: ask for a genome, measure it in any way, tell what was found. No run folder.

python examples/ask_and_tell.py
"""

import dataclasses
import math

import nas
from nas.arch.lowering import cost

TRIES = 30


def costs(genome):
    """Metrics that need no measurement: the optimizer screens its children by them."""
    return {name: float(value) for name, value in dataclasses.asdict(cost(genome)).items()}


def measure(genome):
    """A closed formula in place of a training; None would say that it failed."""
    blocks = [block for stage in genome.stages for block in stage.blocks]
    return {"accuracy": 1 - math.exp(-0.1 * len(blocks) - cost(genome).params / 1e5)}


def main():
    optimizer = nas.Optimizer(
        nas.SearchSpace.load("quick"),
        [nas.Objective("accuracy"), nas.Objective("params")],
        constraints=[nas.Constraint("macs", at_most=5e6)],
        static_metrics=costs,
    )
    for _ in range(TRIES):
        genome = optimizer.ask()
        optimizer.tell(genome, measure(genome))
    for told in optimizer.screen.front:
        print(f"{told.genotype.id}  {told.metrics['params']:8,.0f} parameters  "
              f"accuracy {told.metrics['accuracy']:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
