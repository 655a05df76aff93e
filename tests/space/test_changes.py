"""What a genealogy records of a child."""

import dataclasses

import pytest

from nas.arch.genome import Conv, Inverted
from nas.space.changes import Change, changes
from nas.space.genotype import Genotype, HeadGenes, StageGenes, StemGenes


@pytest.fixture
def parent(quick):
    blocks = (Conv(1, 3), Inverted(1, 3, expand=2))
    stages = (StageGenes("max", 16, blocks), StageGenes("stride", 24, (Conv(1, 1),)))
    return Genotype(quick, 0, False, StemGenes(8, 3, 2, "relu"), stages, HeadGenes("avg", (), 0.0))


def test_genes_by_path_with_old_and_new(parent):
    child = parent.with_gene(("stages", 0, "blocks", 1, "expand"), 4)
    child = child.with_gene(("head", "dropout"), 0.2)
    assert changes(parent, child) == (
        Change("stages.0.blocks.1.expand", 2, 4),
        Change("head.dropout", 0.0, 0.2),
    )
    assert changes(parent, parent) == ()


def test_a_block_before_others_moves_none_of_them(parent):
    new = Conv(1, 5)
    child = parent.with_blocks(0, (new, *parent.stages[0].blocks))
    (found,) = changes(parent, child)
    assert (found.gene, found.old) == ("stages.0.blocks.0", None)
    assert (found.new["kind"], found.new["kernel"]) == ("conv", 5)
    (back,) = changes(child, parent)
    assert back == Change("stages.0.blocks.0", found.new, None)


def test_another_kind_is_another_block(parent):
    child = parent.with_blocks(1, (Inverted(1),))
    (found,) = changes(parent, child)
    assert (found.gene, found.old["kind"], found.new["kind"]) == (
        "stages.1.blocks.0", "conv", "inverted",
    )  # fmt: skip


def test_a_width_that_is_not_expressed_is_no_change(parent):
    empty = parent.with_gene(("stages", 1, "downsample"), "max").with_blocks(1, ())
    names = [c.gene for c in changes(parent, empty)]
    assert names == ["stages.1.downsample", "stages.1.blocks.0"]


def test_every_mutant_differs_in_what_is_recorded(quick, rng):
    genotype = quick.sample(rng)
    for _ in range(50):
        child = quick.mutate(genotype, rng)
        assert changes(genotype, child)
        assert changes(child, dataclasses.replace(child)) == ()
        genotype = child
