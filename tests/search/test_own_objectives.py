"""Searches for objectives of the user's own: every table, picture and page, without accuracy."""

import csv
import io
import json

import pytest

import nas
from nas.arch.lowering import cost
from nas.common.cli import exit_code
from nas.inspect import main
from nas.search.overview import overview
from nas.search.store import RunDirectory

pytestmark = pytest.mark.slow
TWO = [{"name": "joules"}, {"name": "score", "direction": "maximize"}]
FOUR = [*TWO, {"name": "params"}, {"name": "drift"}]


def measured(genome):
    """Energy grows with work, the score with parameters; the drift goes below 0."""
    found = cost(genome)
    if found.params % 11 == 0:
        raise RuntimeError("overheated")
    noise = int(genome.id, 16) / 16**12
    return {"joules": 2.0 + found.macs / 1e5, "score": found.params**0.5 + 20 * noise,
            "drift": noise - 0.5}  # fmt: skip


def made(path, objectives, seed=0, evaluations=24):
    return nas.search(
        "quick", evaluator=measured, objectives=objectives, evaluations=evaluations, seed=seed,
        seed_genomes=[], run_dir=path, algorithm="nsga2+gp",
    )  # fmt: skip


@pytest.fixture(scope="module", params=[TWO, FOUR], ids=["two", "four"])
def run(request, tmp_path_factory):
    return made(tmp_path_factory.mktemp("own") / "run_50%&_{x}", request.param)


def test_the_overview_knows_what_is_better(run):
    found = overview(run.directory)
    names = [axis["name"] for axis in found["axes"]]
    assert found["measure"]["name"] == "joules"
    assert not found["measure"]["maximize"]
    assert names == (["score", "params", "macs"] if len(run.settings.objectives) == 2
                     else ["score", "drift", "params"])  # fmt: skip
    sides = {side["name"]: side for side in found["box"]}
    ok = [e.metrics for e in run.archive if e.ok]
    assert sides["joules"]["worst"] == max(m["joules"] for m in ok)
    assert sides["joules"]["best"] == min(m["joules"] for m in ok)
    assert sides["score"]["best"] == max(m["score"] for m in ok)
    if "drift" in sides:
        assert not sides["drift"]["log"]  # it goes below 0
    shares = [share for _, _, share in found["hypervolume"]]
    assert 0 < shares[-1] <= 1
    assert shares == sorted(shares)
    assert not found["synthetic"]
    assert found["population"][-1]["quartiles"] == sorted(found["population"][-1]["quartiles"])
    bred = {e.id: e for e in run.archive if e.ok}
    gains = [bred[e.parents[0]].metrics["joules"] - e.metrics["joules"]
             for e in bred.values() if len(e.parents) == 2 and e.parents[0] in bred]  # fmt: skip
    for row in found["genealogy"]["paid"]:
        if row["change"] == "crossover":  # fewer joules are a gain
            assert row["mean"] == pytest.approx(sum(gains) / len(gains))


def test_tables_pictures_and_pages(run, capsys):
    assert main([str(run.path), "--paper"]) == 0
    printed = capsys.readouterr().out
    head = printed.splitlines()[0].split()
    assert head[:3] == ["id", "joules", "believed"]
    assert "score" in head
    assert "fps" not in printed.splitlines()[0]
    best = next(line for line in printed.splitlines() if line.startswith("*"))
    assert run.best.id in best
    assert (run.path / "pareto.png").stat().st_size > 10_000
    assert "joules" in (run.path / "paper/front.tex").read_text()
    assert main([str(run.path), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(r["joules"]) for r in rows if r["status"] == "ok"] == [
        e.metrics["joules"] for e in run.archive if e.ok]  # fmt: skip
    assert main([str(run.path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["front"]
    assert {row["id"] for row in rows} == set(run.front.index)
    assert all(row["low"] < row["believed"] < row["high"] for row in rows)


def test_runs_are_compared_by_what_they_share(run, tmp_path, capsys):
    other = made(tmp_path / "other", [dict(vars(o)) for o in run.settings.objectives], seed=1)
    page = str(tmp_path / "c.html")
    assert main([str(run.path), str(other.path), "--out", page, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measure"]["name"] == "joules"
    (rows,) = found["attainment"].values()
    reached = [row["median"] for row in rows]  # fewer joules where a lower score is enough
    assert reached == sorted(reached, reverse=reached[0] > reached[-1])
    assert all(row["high"] <= row["median"] <= row["low"] for row in rows)  # the best is the least
    assert all(0 < row["hypervolume"] <= 1 for row in found["runs"])


def test_runs_that_share_one_objective_are_not_compared(run, tmp_path, capsys):
    others = [{"name": "joules"}, {"name": "macs"}]
    other = made(tmp_path / "other", others, evaluations=3)
    paths = [str(run.path), str(other.path)]
    assert exit_code(main, [*paths, "--out", str(tmp_path / "c.html")]) == 2
    assert "share fewer than two objectives" in capsys.readouterr().err


def test_a_failed_search_has_a_page(tmp_path):
    def broken(genome):
        raise RuntimeError("never")

    run = nas.search("quick", evaluator=broken, objectives=TWO, evaluations=3, seed_genomes=[],
                     run_dir=tmp_path / "run", algorithm="random")  # fmt: skip
    found = overview(RunDirectory.open(run.path))
    assert found["best"] is None
    assert found["hypervolume"] == []
    assert [axis["name"] for axis in found["axes"]] == ["score"]
