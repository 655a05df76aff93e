"""Genomes as vectors: every gene counts, words are equally far, groups are those of a kernel."""

import numpy as np
import pytest
from conftest import ROOT

from nas.space import space
from nas.space.encoding import Column


@pytest.fixture(scope="module")
def fer():
    return space.SearchSpace.load(ROOT / "search_spaces/fer.yaml")


def test_one_vector_for_one_genome(fer, rng):
    genomes = [fer.sample(rng) for _ in range(150)]
    vectors = np.array([fer.encode(g) for g in genomes])
    assert vectors.shape == (150, len(fer.groups))
    different = {tuple(v) for v in vectors}
    assert len(different) == len({g.id for g in genomes})
    assert vectors.min() >= -0.5
    assert vectors.max() <= 1.0


@pytest.mark.slow
def test_a_mutant_is_nearer_than_a_stranger(fer, rng):
    near = far = 0.0
    for _ in range(60):
        parent = fer.sample(rng)
        vector = fer.encode(parent)
        near += np.abs(fer.encode(fer.mutate(parent, rng)) - vector).sum()
        far += np.abs(fer.encode(fer.sample(rng)) - vector).sum()
    assert near < far / 2


def test_words_are_equally_far_and_numbers_by_rank():
    words = Column(("a",), ("avg", "max", "stride"), ("a",))
    a, b, c = (np.array(words.encode(w)) for w in words.choices)
    assert np.abs(a - b).sum() == np.abs(a - c).sum() == 1.0
    numbers = Column(("b",), (8, 64, 512), ("b",))
    assert [numbers.encode(n) for n in (8, 64, 512)] == [[0.0], [0.5], [1.0]]
    assert numbers.encode(None) == [-0.5]
    lists = Column(("c",), ((), (128,), (512, 128)), ("c",))
    assert lists.encode((512, 128)) == [1.0]


def test_blocks_of_a_stage_share_their_groups(fer):
    count = len(set(fer.groups))
    assert sorted(set(fer.groups)) == list(range(count))
    assert count < len(fer.groups) / 2
