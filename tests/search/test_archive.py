import collections
import dataclasses
import json
import os

import numpy as np
import pytest
from conftest import ROOT
from fakes import evaluation

from nas.arch.lowering import cost
from nas.common.errors import UserError
from nas.evolution.denoise import denoised_front
from nas.evolution.objectives import OBJECTIVES, Constraint
from nas.evolution.pareto import Front, pareto_front
from nas.search.archive import Archive
from nas.search.comparison import comparison
from nas.search.final import front_genomes
from nas.search.overview import overview
from nas.search.settings import STATIC, Settings
from nas.search.store import RunDirectory


def test_archive_survives_a_cut_off_line(proposed, tmp_path):
    path = tmp_path / "evaluations.jsonl"
    archive = Archive(path)
    written = [evaluation(proposed, i, 0.1 * i) for i in range(3)]
    for e in written:
        archive.append(e)
    archive.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[0][:40])
    again = Archive(path)
    assert again.evaluations == written
    again.append(evaluation(proposed, 3))
    again.close()
    assert path.read_bytes().startswith(whole)
    assert [e.index for e in Archive(path)] == [0, 1, 2, 3]


def test_who_only_looks_writes_nothing(proposed, tmp_path):
    """A line half written by a running search must not be cut off under it."""
    path = tmp_path / "evaluations.jsonl"
    owner = Archive(path)
    owner.append(evaluation(proposed, 0))
    line = path.read_bytes()
    with open(path, "ab") as file:
        file.write(line[:40])
    assert len(Archive(path)) == 1
    assert path.read_bytes() == line + line[:40]
    owner.close()


@pytest.mark.parametrize("broken", [b"{}\n", b"not json\n", b'{"index": 0}\n', b"[1]\n"])
def test_a_damaged_line_is_named(proposed, tmp_path, broken):
    path = tmp_path / "evaluations.jsonl"
    archive = Archive(path)
    archive.append(evaluation(proposed))
    archive.close()
    path.write_bytes(path.read_bytes() + broken)
    with pytest.raises(UserError, match=r"evaluations.jsonl:2: (not valid JSON|evaluation: )"):
        Archive(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "a second evaluation of index 0; delete one of the two lines"),
        ({"index": 2**63 - 1}, r"index: must be in \[0, 1000000000\]"),
        ({"index": 1, "id": "0123456789ab"}, "id '0123456789ab' is not that of its genome"),
        ({"index": 1, "error": "", "status": "failed"}, "a failed evaluation says why"),
        ({"index": 1, "metrics": {"accuracy": 0.5}}, "metrics: no params, fps"),
        ({"index": 1, "metrics": {"accuracy": 0.5, "fps": 0}}, "params, fps must be above 0"),
        ({"index": 1, "parents": [1]}, r"parents\[0\]: must be text"),
        ({"index": 1, "changes": [1]}, r"changes\[0\]: must be a mapping"),
    ],
)
def test_a_line_that_contradicts_is_refused_by_its_number(proposed, tmp_path, change, message):
    path = tmp_path / "evaluations.jsonl"
    lines = [evaluation(proposed).to_dict(), {**evaluation(proposed).to_dict(), **change}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=f"evaluations.jsonl:2: .*{message}"):
        Archive(path)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "evaluations.jsonl")
    with pytest.raises(UserError, match="not a regular file"):
        Archive(tmp_path / "evaluations.jsonl")


def test_ancestry_comes_back(proposed, tmp_path):
    change = {"operator": "mutate", "gene": "stem.kernel", "old": 3, "new": 5}
    child = dataclasses.replace(
        evaluation(proposed), parents=("0123456789ab", "ba9876543210"), changes=(change,),
        predicted={"accuracy": (0.6, 0.55, 0.64)}, elapsed=12.5,
    )  # fmt: skip
    archive = Archive(tmp_path / "evaluations.jsonl")
    archive.append(child)
    archive.close()
    assert Archive(tmp_path / "evaluations.jsonl").evaluations == [child]


def test_the_archive_has_the_front(proposed, quick, rng, tmp_path):
    """Of the space's genomes alone; and where nothing was finished, of what was stopped."""
    archive = Archive(tmp_path / "evaluations.jsonl", quick.contains)
    inside = [quick.sample(rng).genome for _ in range(3)]
    stopped = dataclasses.replace(evaluation(inside[0], 0, 0.3), status="stopped")
    assert not archive.append(stopped)
    assert archive.results() == [stopped]
    assert not archive.append(evaluation(proposed, 1, 0.9))  # from outside
    assert archive.append(evaluation(inside[1], 2, 0.2))
    assert not archive.append(evaluation(inside[2], 3, 0.1))
    archive.close()
    again = Archive(tmp_path / "evaluations.jsonl", quick.contains)
    assert [e.index for e in again.results()] == [2] == [e.index for e in archive.front]


def test_what_was_stopped_outside_of_the_space_is_no_result(proposed, quick, rng, tmp_path):
    """Nor anywhere else that a run's front is read."""
    run = RunDirectory.create(tmp_path / "run", Settings(), quick)
    archive = run.archive(quick.contains)
    archive.append(evaluation(proposed, 0, 0.9, status="stopped"))
    assert archive.results() == front_genomes(run) == []
    why = "networks that were measured: 1, all from outside of the space"
    assert archive.why_no_front() == why
    inside = quick.sample(rng).genome
    archive.append(evaluation(inside, 1, 0.3, status="stopped"))
    archive.close()
    assert [e.index for e in archive.results()] == [1]
    assert front_genomes(run) == [inside]
    baseline = overview(run, run, deep=False)["baseline"]
    assert [row["id"] for row in baseline["front"]] == [inside.id]
    (row,) = comparison([run])["runs"]
    assert [network["id"] for network in row["front"]] == [inside.id]


def test_what_was_stopped_keeps_the_constraints_too(quick, rng, tmp_path):
    front = Front(OBJECTIVES, [Constraint("params", at_most=1000)])
    archive = Archive(tmp_path / "evaluations.jsonl", quick.contains, front)
    for index, params in enumerate((2000, 900)):
        genome, accuracy = quick.sample(rng).genome, 0.5 - 0.1 * index
        archive.append(evaluation(genome, index, accuracy, params, status="stopped"))
    archive.close()
    assert [e.index for e in archive.results()] == [1]


def test_a_metric_that_is_not_finite_is_never_stored(proposed, tmp_path):
    archive = Archive(tmp_path / "evaluations.jsonl")
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


def test_a_returned_front_says_what_is_believed(quick, tmp_path):
    """front.json has both figures of each member; a run of version 0.1 has the measured ones."""
    directory = RunDirectory.create(tmp_path / "run", Settings(), quick)
    archive, rng = directory.archive(quick.contains), np.random.default_rng(0)
    for i in range(40):
        genome = quick.sample(rng).genome
        params = float(cost(genome).params)
        metrics = {"accuracy": 0.1 * np.log10(params) + rng.normal(0, 0.05), "params": params,
                   "fps": 1e9 / cost(genome).macs}  # fmt: skip
        archive.append(evaluation(genome, i, metrics=metrics))
    archive.close()
    assert [m.measured for m in directory.front(archive)] == list(archive.front)
    found = denoised_front(quick, archive.evaluations, STATIC)
    believed = [
        {
            "id": m.measured.id,
            "believed": {"accuracy": m.metrics["accuracy"]},
            "interval": {"accuracy": list(m.interval["accuracy"])},
        }
        for m in found
    ]
    directory.write("front.json", json.dumps(believed))
    assert directory.front(archive) == found
    assert any(m.metrics["accuracy"] != m.measured.metrics["accuracy"] for m in found)
    wild = {**believed[0], "interval": {"accuracy": [0.1]}}
    for broken in ([{"id": "x", "believed": {}}], [{"believed": 3}], 5, [wild]):
        directory.write("front.json", json.dumps(broken))
        with pytest.raises(UserError, match="not a front of this run"):
            directory.front(archive)
