import numpy as np
import pytest

from nas.arch.genome import Genome
from nas.space.ablation import variants
from nas.space.changes import changes


@pytest.fixture
def pair(quick):
    rng = np.random.default_rng(3)
    return quick.sample(rng), quick.sample(rng)


def test_each_variant_is_one_gene_away(quick, pair):
    network, other = pair
    found = variants(network, other, quick)
    assert len({v.gene for v in found}) == len(found) > 3
    for variant in found:
        assert quick.contains(variant.genotype.genome)
        assert variant.genotype != network
        genes = {c.gene for c in changes(network, variant.genotype)}
        assert all(gene.startswith(variant.gene) for gene in genes)


def test_all_genes_back_at_once_would_be_the_other(quick, pair):
    network, other = pair
    named = [v.gene for v in variants(network, other, quick)]
    for change in changes(network, other):
        assert any(change.gene.startswith(name) for name in named) or "stages" in change.gene


def test_a_network_against_itself_has_none(quick, pair):
    assert variants(pair[0], pair[0], quick) == []


def test_the_found_network_against_the_proposed_one(proposed):
    from conftest import ROOT

    from nas.space.space import SearchSpace

    space = SearchSpace.load(ROOT / "experiments/fer2013/search/space.yaml")
    best = Genome.load(ROOT / "experiments/fer2013/search/best.json")
    found = variants(space.genotype(best), space.genotype(proposed), space)
    by_gene = {v.gene: (v.ours, v.theirs) for v in found}
    assert by_gene["bias"] == ("False", "True")
    assert by_gene["stem.kernel"] == ("5", "3")
    assert by_gene["head.hidden"] == ("none", "512, 128")
