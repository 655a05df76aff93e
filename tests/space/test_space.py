import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
from conftest import REFERENCES, SPACES
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.arch.genome import Genome, Input
from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.space.operators import change_blocks, draw, repair
from nas.space.projection import project
from nas.space.space import SearchSpace
from nas.space.spec import Constraints

LOADED = {path.stem: SearchSpace.load(path) for path in SPACES}
seeds = st.integers(0, 10**6)

TINY = """
version: 1
name: tiny
input: {height: 16, width: 16, resize: [16, 12]}
num_classes: 3
bias: [false, true]
stem: {channels: 2, kernel: 3, stride: 2}
stages:
  - {downsample: [max, stride], depth: [0, 1], channels: [2, 3], blocks: [conv, inverted]}
blocks: {conv: {kernel: [1, 3]}, inverted: {expand: [1, 2]}}
head: {pool: [avg, flatten], hidden: [0, [4, 3]], dropout: [0, 0.5]}
"""


def written(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("space", LOADED.values(), ids=LOADED)
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_variation_stays_inside(space, seed):
    rng = np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    child, mutant = space.crossover(a, b, rng), space.mutate(a, rng)
    for genotype in (a, b, child, mutant):
        assert space.contains(genotype.genome)
        assert space.genotype(genotype.genome) == genotype
    assert mutant != a


def test_the_same_generator_gives_the_same_genomes(quick):
    def ids():
        rng = np.random.default_rng(5)
        found = [quick.sample(rng) for _ in range(5)]
        found += [quick.mutate(found[0], rng), quick.crossover(found[1], found[2], rng)]
        return [g.id for g in found]

    assert ids() == ids()


def test_crossover_takes_from_both_parents(quick, rng):
    a, b = quick.sample(rng), quick.sample(rng)
    children = {quick.crossover(a, b, rng).id for _ in range(50)}
    assert len(children - {a.id, b.id}) >= 3
    for _ in range(20):
        child = quick.crossover(a, b, rng)
        assert child.stem in (a.stem, b.stem)
        assert child.head in (a.head, b.head)


def test_crossover_mixes_the_genes_of_a_stage(quick, rng):
    """Of stages of one depth a child may take the width of one and the downsampling of another."""
    sampled = (quick.sample(rng) for _ in range(100))
    a = next(g for g in sampled if g.stages[0].channels == 16 and g.stages[0].downsample == "max")
    b = a.with_gene(("stages", 0, "channels"), 24).with_gene(("stages", 0, "downsample"), "stride")
    found = {(c.stages[0].channels, c.stages[0].downsample)
             for c in (quick.crossover(a, b, rng) for _ in range(60))}  # fmt: skip
    assert found == {(16, "max"), (16, "stride"), (24, "max"), (24, "stride")}


def test_mutation_reaches_every_gene(tmp_path):
    space = SearchSpace.load(written(tmp_path, TINY))
    rng = np.random.default_rng(0)
    seen = {space.sample(rng).id}
    genome = space.sample(rng)
    for _ in range(30_000):
        genome = space.mutate(genome, rng)
        seen.add(genome.id)
        if len(seen) == space.size():
            break
    assert len(seen) == space.size()


def test_mutation_has_no_drift_in_depth(rng):
    """Without selection and constraints the depths stay as even as the space's own."""
    space = dataclasses.replace(LOADED["fer"], constraints=Constraints())
    depths = np.zeros((60, 3))
    for row in depths:
        genes = draw(space, rng)
        for _ in range(60):
            genes = change_blocks(genes, rng)
        row[:] = [len(stage.blocks) for stage in genes.stages]
    # Uniform: 2, 2.5 and 1.5, each with a standard error of about 0.13.
    np.testing.assert_allclose(depths.mean(0), [2.0, 2.5, 1.5], atol=0.5)


def test_depths_with_gaps_can_be_reached(rng):
    space = LOADED["quick"]
    gapped = dataclasses.replace(
        space, stages=tuple(dataclasses.replace(s, depth=(1, 4)) for s in space.stages)
    )
    genome, seen = gapped.sample(rng), set()
    for _ in range(60):
        genome = gapped.mutate(genome, rng)
        seen.add(tuple(len(s.blocks) for s in genome.stages))
    assert seen == {(1, 1), (1, 4), (4, 1), (4, 4)}
    limits = dataclasses.replace(gapped.constraints, params=(0, 12_000))
    tight = dataclasses.replace(gapped, constraints=limits)
    many = (gapped.sample(rng) for _ in range(1000))
    deep = next(g for g in many if min(len(s.blocks) for s in g.stages) == 4)
    assert repair(dataclasses.replace(deep, spec=tight)) is not None


@pytest.mark.slow
def test_size_is_the_number_of_different_genomes(tmp_path):
    space = SearchSpace.load(written(tmp_path, TINY))
    stage = 1 + 2 * 2 * 4  # pooled and empty, or downsample x width x block
    assert space.size() == 2 * 2 * stage * 8
    rng = np.random.default_rng(1)
    assert len({space.sample(rng).id for _ in range(10_000)}) == space.size()


def test_the_proposed_model_lies_in_fer(proposed):
    assert LOADED["fer"].contains(proposed)
    assert not LOADED["fer_tiny"].contains(proposed)


def test_tiny_networks_are_tiny(rng):
    space = LOADED["fer_tiny"]
    assert all(cost(space.sample(rng).genome).params <= 60_000 for _ in range(20))


def test_repair_shrinks_what_costs_most(rng):
    space = LOADED["fer"]
    broken = (draw(space, rng) for _ in itertools.count())
    large = next(g for g in broken if cost(g.genome).params > 2_000_000)
    repaired = repair(large)
    assert repaired is not None
    assert space.violation(large.genome) > 0 == space.violation(repaired.genome)
    # Greedy steps keep most of the genome: it stays near the limit.
    found = cost(repaired.genome)
    assert found.params > 100_000 or found.macs > 20_000_000


def test_an_impossible_constraint_says_so(tmp_path, rng):
    text = TINY + "constraints: {params: [0, 10]}\n"
    space = SearchSpace.load(written(tmp_path, text))
    with pytest.raises(
        UserError,
        match=r"0 of 1000 samples satisfy constraints.params \[0, 10\]; smallest seen \d+",
    ):
        space.sample(rng)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("blocks: [conv, inverted]", "blocks: [mbcnv]", r"stages\[0\].blocks\[0\]: unknown block"),
        ("blocks: [conv, inverted]", "blocks: []", "leaves no choice"),
        ("blocks: [conv, inverted]", "blocks: [conv, conv]", "stands twice"),
        ("kernel: 3,", "kernl: 3,", "did you mean 'kernel'"),
        ("kernel: 3,", "kernel: 4,", "must be odd"),
        ("pool: [avg, flatten]", "pool: off", "YAML reads unquoted"),
        ("dropout: [0, 0.5]", "dropout: 1e-1", "exponent without a dot"),
        ("downsample: [max, stride]", "downsample: [stride]", "depth 0 leaves an empty stage"),
        ("version: 1", "version: 2", "must be in"),
        ("num_classes: 3", "num_classes: 3\nnum_classes: 4", r":\d+: not valid YAML: key"),
        ("stem: {", "stem: &a {", None),
        ("name: tiny", "name: ../tiny", "letters, digits"),
        ("resize: [16, 12]", "resize: [0, 16]", "0 and 16 mean the same here"),
        (TINY[TINY.index("stages:") : TINY.index("blocks: {")], "stages: []\n", "one or more"),
    ],
)
def test_mistakes_in_the_yaml(tmp_path, old, new, message):
    path = written(tmp_path, TINY.replace(old, new))
    if message is None:
        assert SearchSpace.load(path).name == "tiny"
        return
    with pytest.raises(UserError, match=message):
        SearchSpace.load(path)


def test_yaml_that_could_blow_up_is_refused(tmp_path):
    bomb = "a: &a [1, 2]\nb: *a\n"
    with pytest.raises(UserError, match="aliases"):
        SearchSpace.load(written(tmp_path, bomb))
    with pytest.raises(UserError, match="larger than"):
        SearchSpace.load(written(tmp_path, "#" * (2 << 20)))
    with pytest.raises(UserError, match="not valid YAML"):
        SearchSpace.load(written(tmp_path, "!!python/object/apply:os.system [ls]"))


def test_what_a_space_does_not_state_comes_from_the_data(proposed):
    space = LOADED["fer"]
    assert (space.classes, space.shape) == (7, (1, 48, 48))
    faces = space.for_data(3, 3, 64, 64)
    genome = faces.sample(np.random.default_rng(0)).genome
    assert genome.input == Input(3, 64, 64)
    assert genome.num_classes == 3
    relative = project(proposed, faces).genome  # of larger images fewer MACs are left for it
    assert faces.contains(relative)
    assert relative.stages[0] == proposed.stages[0]
    same = project(proposed, space.for_data(3, 3, 48, 48)).genome
    assert same == dataclasses.replace(proposed, input=Input(3, 48, 48), num_classes=3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((4, 1, 16, 16), "space tiny: num_classes: 3 is stated, the data has 4"),
        ((3, 1, 12, 16), "input.height: 16 is stated, the data's images have 12"),
    ],
)
def test_what_a_space_states_must_fit_the_data(tmp_path, data, message):
    space = SearchSpace.load(written(tmp_path, TINY))
    assert space.for_data(3, 2, 20, 20).shape == (2, 16, 16)  # parts of larger images
    with pytest.raises(UserError, match=message):
        space.for_data(*data)


@pytest.mark.parametrize("name", LOADED)
def test_a_completed_space_is_written_whole(tmp_path, name):
    space = LOADED[name].for_data(3, 3, 64, 60)
    again = SearchSpace.load(written(tmp_path, space.to_yaml()))
    assert (again.shape, again.classes, again.size()) == ((3, 64, 60), 3, space.size())
    ours, theirs = (s.sample(np.random.default_rng(1)).genome for s in (space, again))
    assert ours == theirs
    with pytest.raises(UserError, match="num_classes: 3 is stated"):
        again.for_data(7, 3, 64, 60)


def test_spaces_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SearchSpace.load("fer_tiny").name == "fer_tiny"
    with pytest.raises(UserError, match=r"no search space 'fer_tinny'.*did you mean 'fer_tiny'"):
        SearchSpace.load("fer_tinny")


def test_contains_says_why_not(proposed):
    widened = dataclasses.replace(proposed, num_classes=8)
    with pytest.raises(UserError, match="space quick: expected a stem of one conv and 2 stages"):
        LOADED["quick"].genotype(proposed)
    with pytest.raises(UserError, match="genes this space fixes"):
        LOADED["fer"].genotype(widened)
    for path in REFERENCES:
        if path.stem != "proposed":
            assert not LOADED["fer"].contains(Genome.load(path))


def test_the_data_side_does_not_import_torch():
    modules = "nas.arch.genome, nas.space.space, nas.training.recipe, nas.search.__main__"
    code = f"import {modules}\nimport sys\nprint({{'torch', 'ray'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_space_of_a_single_genome(tmp_path, rng):
    one = "version: 1\nname: one\nstem: {channels: 4}\nhead: {pool: avg}\n"
    stages = "stages: [{downsample: max, depth: 1, channels: 4, blocks: conv}]\n"
    space = SearchSpace.load(written(tmp_path, one + stages))
    only = space.sample(rng)
    assert space.size() == 1
    assert space.mutate(only, rng) == space.crossover(only, only, rng) == only
    assert space.encode(only).shape == (0,)
    assert space.groups == ()
    assert space.contains(only.genome)
