"""Any network seeds any space: by the member that is most like it."""

import dataclasses

import numpy as np
import pytest
from conftest import REFERENCES

from nas.arch.genome import Conv, Genome, Head, Input, Pool, Stage
from nas.arch.lowering import cost
from nas.common.resources import SEARCH_SPACES
from nas.space.projection import project
from nas.space.space import SearchSpace

NAMES = SEARCH_SPACES.names()


def shape(genome):
    """(downsampling, channels, kinds) of each stage after the stem."""
    found = []
    for stage in genome.stages[1:]:
        wide = [b for b in stage.blocks if b.kind != "pool"]
        found.append((stage.blocks[0].kind, wide[0].channels if wide else 0, len(wide)))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_member_is_its_own_relative(name):
    space, rng = SearchSpace.load(name), np.random.default_rng(0)
    for _ in range(20):
        genotype = space.sample(rng)
        assert project(genotype.genome, space) == genotype


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", REFERENCES, ids=lambda p: p.stem)
def test_every_reference_has_a_relative_in_every_space(name, path):
    space = SearchSpace.load(name)
    found = project(Genome.load(path), space)
    assert space.contains(found.genome)


def test_numbers_take_the_nearest_by_ratio():
    """20 channels are nearer to 24 than to 16, and 27 to 24."""
    stages = [Stage((Pool("max"), Conv(width, 3))) for width in (20, 27)]
    genome = Genome(Input(), 7, (Stage((Conv(8, 3, 2),)), *stages), Head())
    found = project(genome, SearchSpace.load("quick"))
    assert [stage.channels for stage in found.stages] == [24, 24]


@pytest.mark.parametrize("name", NAMES)
def test_members_are_found_again_from_outside(name):
    """What the space does not know (a norm, a dropout between blocks) changes nothing else."""
    space, rng = SearchSpace.load(name), np.random.default_rng(1)
    found = 0
    for _ in range(30):
        member = space.sample(rng).genome
        if any(not stage.blocks or all(b.kind == "pool" for b in stage.blocks)
               for stage in member.stages[1:]):  # fmt: skip
            continue  # two poolings in a row are one downsampling to it
        classes = dataclasses.replace(member, num_classes=3)
        assert project(classes, space).genome == member
        found += 1
    assert found > 5


@pytest.mark.slow
def test_resnet_in_fer():
    """Residual blocks stay, widths and depths are the nearest that the space has."""
    found = project(Genome.load("resnet"), SearchSpace.load("fer")).genome
    assert {b.kind for stage in found.stages[1:] for b in stage.blocks if b.kind != "pool"} == {
        "residual"
    }
    assert found.head.pool == "avg"
    assert found.head.hidden == ()
    assert found.stages[0].blocks[0].channels == 32


def test_fernet_in_fer():
    found = project(Genome.load("fernet"), SearchSpace.load("fer")).genome
    assert [stage.blocks[0].type for stage in found.stages[1:]] == ["max"] * 3
    assert shape(found) == [("pool", 64, 1), ("pool", 128, 1), ("pool", 256, 1)]
    assert (found.head.pool, found.head.hidden[0].units) == ("flatten", 256)


def test_a_depthwise_block_stays_depthwise():
    """mini-Xception's separable blocks are not in fer.yaml."""
    found = project(Genome.load("mini_xception"), SearchSpace.load("fer")).genome
    kinds = [b.kind for stage in found.stages[1:] for b in stage.blocks if b.kind != "pool"]
    assert kinds == ["conv", "inverted", "inverted", "inverted", "inverted"]
    assert cost(found).params < 400_000


def test_no_relative_within_impossible_constraints():
    space = SearchSpace.load("quick")
    tight = dataclasses.replace(space.constraints, params=(0, 10))
    genome = Genome.load("fernet")
    assert project(genome, dataclasses.replace(space, constraints=tight)) is None
