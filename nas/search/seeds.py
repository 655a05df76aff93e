"""The genomes that a search begins with: of the space, or brought into it."""

from __future__ import annotations

import logging
import types
from collections.abc import Sequence
from pathlib import Path

from nas.arch.footprint import static_metric
from nas.arch.genome import Genome, Input, read_genome
from nas.common.errors import UserError, expect
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
        REFERENCES.find(g, "--seed-genomes") for g in given]  # fmt: skip
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
            "network %s lies outside of space %s: %s; %s; %s", beside["name"], space.name,
            _why(genome, space),
            f"the search begins with what the space has nearest to it, {relative.id}" if relative
            else "the space has nothing near it that keeps its limits",
            f"{beside['name']} is trained itself too, for comparison" if trained
            else f"{beside['name']} itself is not trained",
        )  # fmt: skip
    return genomes


def _why(genome: Genome, space: SearchSpace) -> str:
    """What keeps the genome out: the images, a limit, or else a gene."""
    if not _same_task(genome, space):
        return f"it is for {_task(genome.input, genome.num_classes)}; the space for " + _task(
            Input(*space.shape), space.classes
        )
    for name, (low, high) in space.constraints.bounds().items():
        found = static_metric(genome, name)
        if not low <= found <= high:
            return f"{name.replace('_', ' ')} {found:,}, allowed {low:,} to {high:,}"
    try:
        space.genotype(genome)
    except UserError as error:
        return str(error).removeprefix(f"space {space.name}: ")
    return "it has genes of another space"


def _task(size: Input, classes: int) -> str:
    tone = "grey" if size.channels == 1 else "colour"
    return f"{classes} classes of {tone} {size.height}x{size.width} pixels"


def _same_task(genome: Genome, space: SearchSpace) -> bool:
    """Whether the genome takes the space's images and knows its classes."""
    return (genome.input.shape, genome.num_classes) == (space.shape, space.classes)
