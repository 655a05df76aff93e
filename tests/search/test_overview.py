"""A run as plain data, and what its evaluations say."""

import json
import shutil

import numpy as np
import pytest
from conftest import ROOT
from fakes import evaluation

from nas.arch.lowering import lower
from nas.common.errors import UserError
from nas.evolution.pareto import minimized
from nas.search import analysis
from nas.search.overview import drawing_box, overview
from nas.search.store import RunDirectory
from nas.search.volume import Box
from nas.space.space import SearchSpace


@pytest.fixture(scope="module")
def fer2013():
    return RunDirectory.open(ROOT / "experiments/fer2013/search")


@pytest.fixture(scope="module")
def found(fer2013):
    return overview(fer2013, RunDirectory.open(ROOT / "experiments/equal_time/random-0"))


def test_an_old_run_is_told_whole(found):
    assert len(found["networks"]) == 168
    assert found["best"] == "35719afdc1fb"
    assert sum(n["front"] for n in found["networks"]) == 15
    assert found["hypervolume"][-1][0] == 168
    assert found["baseline"]["algorithm"] == "random"
    assert not found["baseline"]["equal_fidelity"]  # a quarter of the images there, half here
    proposed = next(r for r in found["references"] if r["name"] == "proposed")
    assert proposed["metrics"]["accuracy"] == pytest.approx(0.4572, abs=1e-4)
    assert proposed["published"] == pytest.approx(0.6852)
    # Trained for 60 epochs beside the run, from experiments/fer2013/retrain.
    retrained = found["retrained"]["networks"]
    assert {r["id"] for r in retrained} == {"35719afdc1fb", "3fccb0f2dfab"}
    assert all(len(r["curve"]) == r["epochs"] == 60 for r in retrained)
    assert {r["folder"] for r in retrained} == {"found", "proposed", "short-60"}
    assert {g["gene"]: g["value"] for g in found["genes"]}["head.hidden"] == "none"


def test_a_network_that_knows_the_validation_images_has_no_final_accuracy(
    fer2013, tmp_path, caplog
):
    caplog.set_level("INFO")
    run = RunDirectory(shutil.copytree(fer2013.path, tmp_path / "run"))
    (run.path / "retrain").mkdir(exist_ok=True)
    shutil.copytree(fer2013.path.parent / "retrain/found", run.path / "retrain/known")
    path = run.path / "retrain/known/report.json"
    report = json.loads(path.read_text())
    assert [r["folder"] for r in overview(run, deep=False)["retrained"]["networks"]] == ["known"]
    report["recipe"] |= {"fit_on": "train+validation"}  # as version 0.1 wrote it
    path.write_text(json.dumps(report))
    assert overview(run, deep=False)["retrained"]["networks"] == []
    assert f"{path}: its validation images were trained on" in caplog.text


def test_the_curve_is_of_the_first_seed(fer2013, tmp_path):
    """Which is not that of the folder whose name comes first."""
    run = RunDirectory(shutil.copytree(fer2013.path, tmp_path / "run"))
    folder = run.path / "retrain/known"
    shutil.copytree(fer2013.path.parent / "retrain/found", folder)
    (folder / "seed0").rename(folder / "seed9")
    (folder / "seed10").mkdir()
    (folder / "seed10/metrics.jsonl").write_text('{"epoch": 1, "validation_accuracy": 0.5}\n')
    report = json.loads((folder / "report.json").read_text())
    for seeds, epochs in (([9, 10], 60), ([10, 9], 1), ([8], 0)):
        report["seeds"]["list"] = seeds
        (folder / "report.json").write_text(json.dumps(report))
        (row,) = overview(run, deep=False)["retrained"]["networks"]
        assert len(row["curve"]) == epochs


@pytest.mark.parametrize(
    "seeds", [{}, {"list": [0, 1], "validation": {"accuracy": {"std": 0.1}}}, {"list": [0, 1]}]
)
def test_a_damaged_report_is_named(fer2013, tmp_path, seeds):
    run = RunDirectory(shutil.copytree(fer2013.path, tmp_path / "run"))
    report = {"genome": "35719afdc1fb", "epochs_trained": 1, "seeds": seeds}
    (run.path / "retrain/found").mkdir(parents=True)
    (run.path / "retrain/found/report.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"found/report\.json: not a report of nas\.retrain"):
        overview(run, deep=False)


def test_a_network_is_told_by_the_blocks_and_boxes_that_all_share(fer2013, found):
    told, archived = found["networks"][100], fer2013.archive().evaluations[100]
    stages = [{"blocks": [found["blocks"][at] for at in stage["blocks"]]}
              for stage in told["genome"]["stages"]]  # fmt: skip
    assert {**told["genome"], "stages": stages} == archived.genome.to_dict()
    drawn = [found["boxes"][at] for at in told["boxes"]]
    assert drawn == [drawing_box(unit) for unit in lower(archived.genome)]


def test_the_front_of_the_baseline_has_what_is_believed_of_it(tmp_path):
    kept = ROOT / "experiments/discovery/fer_tiny"
    folder = shutil.copytree(kept / "random", tmp_path / "random")
    stored = json.loads((folder / "front.json").read_text())
    for member in stored:  # those of this run were written before there were intervals
        believed = member["believed"]["accuracy"]
        member["interval"] = {"accuracy": [believed - 0.02, believed + 0.01]}
    (folder / "front.json").write_text(json.dumps(stored))
    found = overview(RunDirectory.open(kept / "search"), RunDirectory.open(folder), deep=False)
    told = found["baseline"]["front"]
    assert [row["id"] for row in told] == [row["id"] for row in stored]
    for row, member in zip(told, stored, strict=True):
        assert row["believed"] == member["believed"]["accuracy"] != row["metrics"]["accuracy"]
        assert [row["low"], row["high"]] == member["interval"]["accuracy"]


def test_a_run_of_which_only_the_results_were_kept(tmp_path):
    """Without its first genomes the line begins at the oldest ancestor that is known."""
    kept = ROOT / "experiments/discovery/fer_tiny/search"
    for name in ("config.yaml", "space.yaml", "evaluations.jsonl", "front.json"):
        shutil.copy(kept / name, tmp_path)
    line = ["aa621f86994a", "a9035033df54", "1f8ca14e9b93"]
    for run in (RunDirectory.open(tmp_path), RunDirectory.open(kept)):
        assert overview(run, deep=False)["genealogy"]["line"] == line


def test_an_archive_that_was_read_is_not_read_again(fer2013, found):
    archive = fer2013.archive(SearchSpace.load(fer2013.file("space.yaml")).contains)
    again = overview(RunDirectory.open(fer2013.path), deep=False, archive=archive)
    assert again["networks"] == found["networks"]
    assert again["genes"] == found["genes"]
    assert again["hypervolume"][-1][0] == 168


def test_the_surrogate_is_checked_on_networks_it_did_not_see(found):
    checked = found["surrogate"]
    assert not checked["before"]  # it noted none
    assert len(checked["points"]) == 168
    assert checked["rank_correlation"] > 0.8
    covered = {row["level"]: row["covered"] for row in checked["calibration"]}
    assert 0.4 < covered[0.5] < 0.7
    assert covered[0.95] > 0.85


def test_calibration_is_of_what_was_predicted_before(proposed, quick):
    """Measured: at the mean, then one deviation below, then 1.5 and 3 deviations above it."""
    at = [0.5, 0.4, 0.53, 0.56] * 3
    before = {"accuracy": (0.5, 0.4, 0.52)}
    run = [evaluation(proposed, i, a, predicted=before) for i, a in enumerate(at)]
    found = analysis.surrogate_check(run, quick, "accuracy")
    assert found["before"]
    assert [p["predicted"] for p in found["points"]] == [0.5] * 12
    assert {row["level"]: row["covered"] for row in found["calibration"]} == {
        0.5: 0.25, 0.8: 0.5, 0.95: 0.75}  # fmt: skip
    assert found["mean_error"] == pytest.approx((0 + 0.1 + 0.03 + 0.06) / 4)
    without = [evaluation(proposed, i, a) for i, a in enumerate(at)]
    assert analysis.surrogate_check(without, quick, "accuracy", deep=False) is None


def test_calibration_is_of_what_the_search_reads(proposed, quick):
    """Exact predictions of the truth, which the cross entropy tells and an accuracy blurs."""
    rng = np.random.default_rng(0)
    run = [
        evaluation(proposed, i, predicted={"accuracy": (truth, truth - 0.006, truth + 0.006)},
                   metrics={"accuracy": truth + rng.normal(0, 0.02), "loss": 2.5 - 2 * truth})
        for i, truth in enumerate(rng.uniform(0.4, 0.6, 60))
    ]  # fmt: skip
    found = analysis.surrogate_check(run, quick, "accuracy")
    covered = {row["level"]: row["covered"] for row in found["calibration"]}
    assert covered[0.95] > 0.9
    assert [p["measured"] for p in found["points"]] == [e.metrics["accuracy"] for e in run]


def test_genes_of_the_front(found):
    first = found["genes"][0]
    assert first["front"] - first["all"] > 0.3
    assert found["genes"] == sorted(found["genes"], key=lambda g: g["all"] - g["front"])


def test_the_population_gets_better(found):
    assert found["population"][-1]["quartiles"][1] > found["population"][20]["quartiles"][1]


def test_the_population_is_of_the_first_fronts_that_hold_it(fer2013, found):
    settings, space = fer2013.settings(), SearchSpace.load(fer2013.file("space.yaml"))
    inside = [e.metrics for e in fer2013.archive() if e.ok and space.contains(e.genome)]
    left, best = minimized(inside, settings.objectives), []
    while len(best) < settings.population:
        no_worse = (left[:, None] <= left).all(2)
        better = (left[:, None] < left).any(2)
        front = ~(no_worse & better).any(0)
        best += [-accuracy for accuracy in left[front, 0]]
        left = left[~front]
    last = found["population"][-1]
    assert last["evaluations"] == 168
    assert last["quartiles"] == pytest.approx(np.quantile(best, [0.25, 0.5, 0.75]))


def test_blocks_sum_to_the_network(proposed):
    rows = [drawing_box(unit) for unit in lower(proposed)]
    assert sum(row[3] for row in rows) == 784_263
    assert rows[0][2] == [32, 24, 24]


def test_hypervolume_is_a_share_of_a_common_box(proposed):
    good = evaluation(proposed, 0, 0.75, 1000, 400.0)
    bad = evaluation(proposed, 1, 0.5, 100_000, 100.0)
    box = Box.around([[good], [bad]], 2)  # chance is 0.5
    assert box.curve([good])[-1][2] == pytest.approx(0.5)  # half the accuracy, the best costs
    assert box.curve([bad])[-1][2] == 0
    curve = box.curve([good, bad])
    assert [point[0] for point in curve] == [1, 2]
    assert curve[-1] == pytest.approx((2, 2.0, 0.5))


def test_reasons_of_failures_are_counted(proposed):
    lost = [evaluation(proposed, i, status="failed", metrics={}, error=e)
            for i, e in enumerate(["no memory\nat x", "no memory\nat y", ""])]  # fmt: skip
    rows = analysis.failures(lost)
    assert [(r["reason"], r["count"]) for r in rows] == [("no memory", 2), ("no reason given", 1)]
