import dataclasses

import pytest

from nas.arch.genome import Conv, Head, Stage
from nas.search.archive import Evaluation, Fidelity
from nas.search.lineage import WeightPool, kinship
from nas.training.evaluator import Task


def told(lineage, genome, index, accuracy, needed=()):
    metrics = {"accuracy": accuracy, "params": 1000, "fps": 500.0}
    evaluation = Evaluation(index, genome, Fidelity(3), 0, "ok", metrics, weights=b"w")
    kept = lineage.keep(evaluation)
    assert kept.weights == b""
    lineage.tell(kept, needed)
    return kept


def relative(genome, channels):
    """Another last stage; the rest is common."""
    return dataclasses.replace(genome, stages=(*genome.stages[:-1], Stage((Conv(channels),))))


@pytest.fixture
def lineage(tmp_path):
    return WeightPool(tmp_path / "weights", 2)


def files(lineage):
    return {path.stem for path in lineage.folder.iterdir()}


def test_kinship_is_the_share_of_common_layers(proposed):
    assert kinship(proposed, proposed) == 1
    assert 0.3 < kinship(relative(proposed, 8), proposed) < 1
    stranger = dataclasses.replace(proposed, stages=(Stage((Conv(5, 5),)),), head=Head("avg"))
    assert kinship(stranger, proposed) == 0


def test_the_nearest_is_the_parent_and_its_epochs_add_up(lineage, proposed):
    assert lineage.heritage(proposed) is None
    stranger = dataclasses.replace(proposed, stages=(Stage((Conv(5, 5),)),), head=Head("avg"))
    told(lineage, stranger, 0, 0.9)
    assert lineage.heritage(relative(proposed, 8)) is None  # no kin
    kept = told(lineage, proposed, 1, 0.4)
    lineage.tell(dataclasses.replace(kept, inherited_epochs=6), ())
    found = lineage.heritage(relative(proposed, 8))
    assert (found.genome, found.epochs, found.weights) == (proposed, 9, b"")


def test_of_equally_near_the_more_accurate(lineage, proposed):
    near = [relative(proposed, c) for c in (8, 9, 10)]
    told(lineage, near[0], 0, 0.4)
    told(lineage, near[1], 1, 0.5)
    assert lineage.heritage(near[2]).genome == near[1]


def test_only_the_front_and_the_latest_are_kept(lineage, proposed):
    genomes = [relative(proposed, c) for c in range(1, 7)]
    for index, (genome, accuracy) in enumerate(zip(genomes, (0.9, 0.2, 0.3, 0.4, 0.5, 0.6))):  # noqa: B905
        told(lineage, genome, index, accuracy)
    assert files(lineage) == {genomes[i].id for i in (0, 4, 5)}


def test_a_parent_stays_until_its_children_have_finished(lineage, proposed):
    genomes = [relative(proposed, c) for c in range(1, 7)]
    told(lineage, genomes[0], 0, 0.1)
    for index, genome in enumerate(genomes[1:5], 1):
        told(lineage, genome, index, 0.5, {genomes[0].id})
    assert genomes[0].id in files(lineage)
    told(lineage, genomes[5], 5, 0.5)
    assert genomes[0].id not in files(lineage)


def test_weights_that_are_gone_make_a_newborn(lineage, proposed):
    told(lineage, proposed, 0, 0.5)
    task = Task(1, relative(proposed, 8), Fidelity(3), 0, heritage=lineage.heritage(proposed))
    assert lineage.equip(task).heritage.weights == b"w"
    for path in lineage.folder.iterdir():
        path.unlink()
    assert lineage.equip(task).heritage is None
