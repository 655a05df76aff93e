import collections
import math

import numpy as np
import pytest
from conftest import ROOT

from nas.common.errors import UserError
from nas.search.archive import (
    OBJECTIVES,
    Archive,
    Evaluation,
    Fidelity,
    Fitness,
    Front,
    best,
    hypervolume,
    pareto_front,
)
from nas.search.store import RunDirectory


def evaluation(genome, index=0, accuracy=0.5, params=100.0, fps=10.0, status="ok"):
    metrics = {"accuracy": accuracy, "params": params, "fps": fps} if status == "ok" else {}
    return Evaluation(index, genome, Fidelity(), 0, status, metrics)


def test_front_keeps_what_nothing_dominates(proposed):
    points = [(0.5, 100, 10), (0.6, 100, 10), (0.4, 50, 10), (0.3, 60, 9), (0.3, 60, 20)]
    found = [evaluation(proposed, i, *p) for i, p in enumerate(points)]
    found.append(evaluation(proposed, 5, status="failed"))
    assert [e.index for e in pareto_front(found)] == [2, 4, 1]
    assert pareto_front([]) == []


def test_of_equal_points_one_stays(proposed):
    assert len(pareto_front([evaluation(proposed, i) for i in range(3)])) == 1


def test_a_front_that_grows_is_the_front_of_all(proposed):
    """Whatever the order of adding, and with many equal points."""
    rng = np.random.default_rng(0)
    found = [
        evaluation(proposed, i, *(float(v) for v in rng.integers(0, 12, 3)),
                   status="failed" if i % 17 == 0 else "ok")
        for i in range(200)
    ]  # fmt: skip
    fronts = []
    for order in range(3):
        front, told = Front(), []
        for i in np.random.default_rng(order).permutation(len(found)):
            told.append(found[i])
            before = list(front)
            assert front.add(found[i]) == (list(front) != before)
            assert list(front) == pareto_front(told)
        fronts.append([e.index for e in front])
    assert fronts[0] == fronts[1] == fronts[2]
    assert len(fronts[0]) > 3


def test_fitness_by_hand():
    fitness = Fitness(params_limit=100, fps_target=50, params_weight=0.2, fps_weight=0.4)
    within = {"accuracy": 0.7, "params": 80, "fps": 60}
    assert fitness(within) == 0.7
    beyond = {"accuracy": 0.7, "params": 150, "fps": 25}
    assert math.isclose(fitness(beyond), 0.7 - 0.2 * 0.5 - 0.4 * 0.5)


def test_best_follows_the_fitness(proposed):
    small = evaluation(proposed, 0, 0.60, 100)
    large = evaluation(proposed, 1, 0.65, 300)
    light, strict = Fitness(100, 1, 0.001, 0), Fitness(100, 1, 0.1, 0)
    assert best([small, large], light) is large
    assert best([small, large], strict) is small
    assert best([], strict) is None


def test_hypervolume_by_hand(proposed):
    found = [evaluation(proposed, 0, 0.5, 50), evaluation(proposed, 1, 0.75, 75)]
    volume = hypervolume(found, OBJECTIVES[:2], (0.0, 100.0))
    assert math.isclose(volume, 50 * 0.5 + 25 * 0.25)


def test_archive_survives_a_cut_off_line(proposed, tmp_path):
    path = tmp_path / "evaluations.jsonl"
    archive = Archive.load(path)
    written = [evaluation(proposed, i, 0.1 * i) for i in range(3)]
    for e in written:
        archive.append(e)
    archive.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[0][:40])
    again = Archive.load(path)
    assert again.evaluations == written
    again.append(evaluation(proposed, 3))
    again.close()
    assert path.read_bytes().startswith(whole)
    assert [e.index for e in Archive.load(path)] == [0, 1, 2, 3]


def test_who_only_looks_writes_nothing(proposed, tmp_path):
    """A line half written by a running search must not be cut off under it."""
    path = tmp_path / "evaluations.jsonl"
    owner = Archive.load(path)
    owner.append(evaluation(proposed, 0))
    line = path.read_bytes()
    with open(path, "ab") as file:
        file.write(line[:40])
    assert len(Archive.load(path)) == 1
    assert path.read_bytes() == line + line[:40]
    owner.close()


@pytest.mark.parametrize("broken", [b"{}\n", b"not json\n", b'{"index": 0}\n', b"[1]\n"])
def test_a_damaged_line_is_named(proposed, tmp_path, broken):
    path = tmp_path / "evaluations.jsonl"
    archive = Archive.load(path)
    archive.append(evaluation(proposed))
    archive.close()
    path.write_bytes(path.read_bytes() + broken)
    with pytest.raises(UserError, match=r"evaluations.jsonl:2: not"):
        Archive.load(path)


def test_a_rate_of_nothing_is_refused(proposed, tmp_path):
    path = tmp_path / "evaluations.jsonl"
    archive = Archive.load(path)
    archive.append(evaluation(proposed, fps=0.0))
    archive.close()
    with pytest.raises(UserError, match=r"evaluations.jsonl:1: .*fps must be above 0"):
        Archive.load(path)


def test_a_metric_that_is_not_finite_is_never_stored(proposed, tmp_path):
    archive = Archive.load(tmp_path / "evaluations.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        archive.append(evaluation(proposed, accuracy=float("nan")))
    assert len(archive) == 0


def test_a_run_of_version_0_1_with_a_ladder_is_read(caplog):
    """Its options are gone, with a word; what it stopped early is no result."""
    run = RunDirectory.open(ROOT / "experiments/ladder")
    assert run.settings().evaluations == 60
    assert [r.message for r in caplog.records] == [
        "rungs: an option of version 0.1 that is gone; ignored"
    ]
    counts = collections.Counter(e.status for e in run.archive())
    assert counts == {"ok": 31, "stopped": 29}
    assert len(pareto_front(run.archive())) > 3
    assert all(e.ok for e in pareto_front(run.archive()))
