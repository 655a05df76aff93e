import collections

import pytest
from conftest import ROOT

from nas.common.errors import UserError
from nas.evolution.pareto import pareto_front
from nas.search.archive import Archive, Evaluation, Fidelity
from nas.search.store import RunDirectory


def evaluation(genome, index=0, accuracy=0.5, params=100.0, fps=10.0, status="ok"):
    metrics = {"accuracy": accuracy, "params": params, "fps": fps} if status == "ok" else {}
    return Evaluation(index, genome, Fidelity(), 0, status, metrics)


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
