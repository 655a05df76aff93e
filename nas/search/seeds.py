"""The genomes that a search begins with: of the space, or brought into it."""

from __future__ import annotations

import logging
import types
from collections.abc import Sequence
from pathlib import Path

from nas.arch.genome import Genome, read_genome
from nas.common.errors import expect
from nas.common.resources import PROPOSED, REFERENCES
from nas.space.projection import project
from nas.space.space import SearchSpace

log = logging.getLogger(__name__)


def first_genomes(given: Sequence[str | Path] | None, space: SearchSpace) -> list[Genome]:
    """What lies outside the space seeds it by its nearest relative.

    It is trained itself, for comparison, only where it was asked for by name or fits the space's
    limits: the report's network takes as long as a whole search of a small space.
    """
    expect(given, (list, tuple, types.NoneType), "seed_genomes", "a list of names or files")
    asked = given is not None
    paths = [PROPOSED] if given is None else [
        REFERENCES.find(str(g), "--seed-genomes") for g in given]  # fmt: skip
    genomes: list[Genome] = []
    for path in paths:
        genome, beside = read_genome(path)
        nearest = project(genome, space)
        relative = nearest.genome if nearest else None
        if relative == genome:
            genomes.append(genome)
            continue
        trained = _same_task(genome, space) and (asked or space.violation(genome) == 0)
        genomes += [genome] if trained else []
        genomes += [relative] if relative else []
        log.info(
            "%s: outside space %s; %s%s", beside["name"], space.name,
            f"its nearest relative {relative.id} is bred from" if relative else
            "no relative of it satisfies the constraints",
            "; itself trained for comparison" if trained else "",
        )  # fmt: skip
    return genomes


def _same_task(genome: Genome, space: SearchSpace) -> bool:
    """Whether the genome takes the space's images and knows its classes."""
    size = genome.input
    shape = (size.channels, size.height, size.width)
    return (shape, genome.num_classes) == (space.shape, space.classes)
