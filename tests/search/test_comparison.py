"""Runs against each other, on three ways to search of equal wall time."""

import shutil

import pytest
from conftest import ROOT
from fakes import evaluation

from nas.report.explorer import comparison_page
from nas.search.comparison import comparison
from nas.search.settings import Settings
from nas.search.store import RunDirectory


def runs(*names):
    return [RunDirectory.open(ROOT / "experiments/equal_time" / name) for name in names]


@pytest.fixture(scope="module")
def found():
    ways = ("default", "nsga2", "random")
    return comparison(runs(*(f"{way}-{seed}" for way in ways for seed in (0, 1))))


def test_seeds_are_repetitions_and_ways_are_not(found):
    assert found["groups"] == ["nsga2+gp", "nsga2", "random"]  # as today's names have it
    assert [row["seed"] for row in found["runs"]] == [0, 1, 0, 1, 0, 1]
    assert {row["setting"] for row in found["settings"]} == {
        "config.yaml: algorithm", "config.yaml: seed"}  # fmt: skip


def test_equal_budgets_are_the_least_of_all_runs(found):
    assert found["budget"]["evaluations"] == 48
    smallest = found["runs"][5]
    assert smallest["evaluations"] == 48
    assert smallest["at_evaluations"] == smallest["hypervolume"]
    assert all(r["at_evaluations"] <= r["hypervolume"] for r in found["runs"])


def test_the_last_evaluation_of_a_budget_counts(tmp_path, quick, rng):
    run = RunDirectory.create(tmp_path / "run", Settings(), quick)
    archive = run.archive()
    for index, accuracy in enumerate((0.3, 0.6)):
        archive.append(evaluation(quick.sample(rng).genome, index, accuracy))
    archive.close()
    (row,) = comparison([run])["runs"]
    assert row["at_evaluations"] == row["hypervolume"] > row["curve"][0][2]


def test_one_reference_point_for_all(found):
    alone = comparison(runs("random-0"))["runs"][0]
    together = next(r for r in found["runs"] if r["run"].endswith("random-0"))
    assert alone["hypervolume"] > 2 * together["hypervolume"]  # a box of its own flatters it


def test_the_rank_test_says_how_little_two_seeds_tell(found):
    first = found["tests"][0]
    assert (first["better"], first["seeds"]) == (1.0, "2 and 2")
    assert first["p"] == pytest.approx(1 / 3)  # the least that four numbers can give


def test_attainment_never_falls_with_more_parameters(found):
    for rows in found["attainment"].values():
        medians = [row["median"] for row in rows]
        assert medians == sorted(medians)
        assert all(row["low"] <= row["median"] <= row["high"] for row in rows)


def test_a_run_that_is_named_twice_is_one_seed(tmp_path, caplog):
    """experiments/* names the newest run by `latest` too."""
    (one,) = runs("random-0")
    (tmp_path / "latest").symlink_to(one.path)
    caplog.set_level("INFO", "nas")
    twice = comparison([one, RunDirectory.open(tmp_path / "latest"), *runs("random-1")])
    assert [row["seed"] for row in twice["runs"]] == [0, 1]
    (told,) = [r.getMessage() for r in caplog.records]
    assert told == f"{one.path}: named more than once, taken once"


def test_the_page_holds_them_all(found):
    page = comparison_page(found)
    assert page.count("experiments/equal_time/random-1") >= 1
    assert "default-src 'none'" in page


def test_an_option_that_is_gone_and_was_off_makes_no_other_search(tmp_path):
    """A run of version 0.1 and one of today that differ in it alone are repetitions."""
    old = ROOT / "experiments/equal_time/random-0"
    new = shutil.copytree(old, tmp_path / "new")
    lines = (old / "config.yaml").read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.split(":")[0].strip() not in ("noise", "vertical_flip")]
    assert len(kept) == len(lines) - 2
    (new / "config.yaml").write_text("".join(kept))
    found = comparison([RunDirectory.open(old), RunDirectory.open(new)])
    assert (found["groups"], found["settings"]) == (["all runs"], [])
    (new / "config.yaml").write_text("".join(kept).replace("rungs: []", "rungs: [1, 2]"))
    assert len(comparison([RunDirectory.open(old), RunDirectory.open(new)])["groups"]) == 2
