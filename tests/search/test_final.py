"""A run's front fully trained: a process each, kept when done, a table with a picture."""

import csv
import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from fakes import wait_for

import nas
from nas.arch.genome import Genome
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.files import locked, read_json
from nas.data import load
from nas.retrain import main
from nas.search.final import FIELDS, Training, front_genomes, retrain_all
from nas.search.overview import overview
from nas.space.space import SearchSpace
from nas.training.recipe import Recipe

SHORT = Training(Recipe.load("short"), seeds=range(3))


def measure(genome):
    return {"accuracy": 0.2 + int(genome.id[:2], 16) / 1000}


@pytest.fixture
def run(tmp_path, faces_file):
    """A real run folder whose networks were never trained."""
    return nas.search(
        "quick", evaluator=measure, evaluations=12, seed_genomes=[], data=str(faces_file),
        objectives=[{"name": "accuracy"}, {"name": "params"}],
        run_dir=tmp_path / "run", algorithm="random", seed=1,
    )  # fmt: skip


def drawn(path):
    picture = cv2.imread(str(path))
    return min(picture.shape[:2]) > 300 and picture.std() > 5


def table(run):
    with open(run.path / "retrain/front.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_best_of_a_front_are_those_believed_in(run):
    """Here the other way round than what was measured."""
    front = read_json(run.path / "front.json")
    for row in front:
        row["believed"] = {"accuracy": 1 - row["accuracy"]}
    (run.path / "front.json").write_text(json.dumps(front))
    names = [row["id"] for row in sorted(front, key=lambda row: row["accuracy"])]
    assert len(names) > 2
    assert [g.id for g in front_genomes(run.directory)] == names
    assert [g.id for g in front_genomes(run.directory, top=2)] == names[:2]


@pytest.mark.slow
def test_a_front_is_trained_and_goes_on(run, faces_file, capsys):
    genomes = front_genomes(run.directory)
    assert len(genomes) >= 3
    assert [g.id for g in genomes] == list(run.front.sort_values("believed").index[::-1])
    begin = ["--front", str(run.path), "--recipe", "short", "--epochs", "1", "--seeds", "2"]
    assert exit_code(main, [*begin, "--top", "1"]) == 0
    first = run.path / "retrain" / genomes[0].id / "report.json"
    before = first.read_bytes()
    assert read_json(first)["seeds"]["list"] == [0, 1]

    broken = run.path / "retrain" / genomes[2].id
    broken.mkdir()
    (broken / "precision.json").write_text("[]")  # its training cannot begin
    assert exit_code(main, [*begin, "--top", "3", "--workers", "2"]) == 1
    assert first.read_bytes() == before  # the test split is read once
    said = capsys.readouterr()
    assert "1 of 3 are done already" in said.err
    assert (
        f"{broken.name}: FAILED with exit code 2: error: {broken}/precision.json: must be a mapping"
        in said.err
    )
    assert "rank correlation of search with final accuracy: for four networks or more" in said.out

    rows = table(run)
    assert {row["id"] for row in rows} == {g.id for g in genomes[:2]}
    assert int(rows[0]["params"]) <= int(rows[1]["params"])
    for row in rows:
        report = read_json(run.path / "retrain" / row["id"] / "report.json")
        found = report["seeds"]["test"]["accuracy"]
        assert float(row["test_mean"]) == found["mean"]
        assert float(row["test_std"]) == found["std"]
        assert float(row["search_accuracy"]) == measure(Genome.load(
            run.path / "retrain" / row["id"] / "genome.json"))["accuracy"]  # fmt: skip
        assert float(row["fps"]) > 0
    assert drawn(run.path / "retrain/front.png")
    retrained = overview(run.directory, deep=False)["retrained"]["networks"]
    assert {row["id"] for row in retrained} == {row["id"] for row in rows}  # inspect finds them


@pytest.mark.slow
def test_what_ends_the_command_ends_its_trainings(run, tmp_path):
    argv = ["--front", str(run.path), "--top", "1", "--epochs", "9999"]
    command = subprocess.Popen(
        [sys.executable, "-m", "nas.retrain", *argv], cwd=ROOT, stderr=subprocess.PIPE
    )
    folder = run.path / "retrain" / front_genomes(run.directory)[0].id
    trains = "epoch 1/"
    wait_for(lambda: trains in _text(folder / "retrain.log"), lambda: command.poll() is None)
    with pytest.raises(UserError, match="in use by process"), locked(folder):
        pass
    command.terminate()
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130
    assert b"interrupted; the same command goes on" in said
    with locked(folder):  # nobody trains in it any longer
        assert not (folder / "report.json").exists()
    assert "interrupted; the same command goes on" in _text(folder / "retrain.log")


def _text(path):
    return path.read_text() if path.exists() else ""


def _four():
    space, rng = SearchSpace.load("quick"), np.random.default_rng(0)
    genomes = {g.id: g for g in (space.sample(rng).genome for _ in range(8))}
    return list(genomes.values())[:4]


def old_names(recipe):
    """The same recipe as version 0.1 wrote it."""
    names = {"batch_size": "batch", "optimizer": "optimiser", "ema_decay": "ema"}
    found = {names.get(key, key): value for key, value in recipe.to_dict().items()}
    return {**found, "augment": {**found["augment"], "noise": 0.0}}


@pytest.fixture
def reports(tmp_path, faces_file):
    """Four networks that were trained before, with three seeds; the last one's is an old report."""
    genomes, data = _four(), load(faces_file)
    for i, genome in enumerate(genomes):
        mean, std = 0.5 + 0.01 * i, 0.003
        splits = {
            split: {"accuracy": {"mean": mean, "std": std}} | ({} if i == 3 else
                    {"accuracy_flip": {"mean": mean + 0.01, "std": std}})
            for split in ("validation", "test")
        }  # fmt: skip
        folder = tmp_path / genome.id
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps({
            "genome": genome.id, "cost": {"params": 1000 * (4 - i), "macs": 10},
            "seeds": {"list": [0, 1, 2], **splits},
            "recipe": old_names(SHORT.recipe) if i == 3 else SHORT.recipe.to_dict(),
            "data": {"name": data.name, "fingerprint": data.fingerprint},
            "initial": None, "teachers": [],
        }))  # fmt: skip
    return genomes


@pytest.fixture
def argv(reports, tmp_path, faces_file):
    """A command line that asks for these networks, in this folder."""
    found = ["--data", str(faces_file), "--out", str(tmp_path)]
    for genome in reports:
        path = tmp_path / f"{genome.id}.json"
        path.write_text(genome.to_json())
        found += ["--genome", str(path)]
    return found


def trained_otherwise(path, **changes):
    path.write_text(json.dumps(read_json(path) | changes))


def test_the_table_has_intervals_and_ranks(reports, tmp_path, faces_file):
    searched = {g.id: a for g, a in zip(reports, (0.3, 0.31, 0.35, 0.33), strict=True)}
    found = retrain_all(reports, str(faces_file), tmp_path, SHORT, [], searched=searched)
    assert found.failed == []
    assert [row["id"] for row in found.rows] == [g.id for g in reports[::-1]]
    assert found.ranks == {split: pytest.approx(0.8) for split in ("validation", "test")}
    last = found.rows[-1]
    assert set(last) == set(FIELDS)
    # Student's t of two degrees of freedom, 4.302653.
    assert last["test_high"] - last["test_mean"] == pytest.approx(4.302653 * 0.003 / 3**0.5)
    assert last["test_flip_mean"] == pytest.approx(0.51)
    assert found.rows[0]["test_flip_mean"] is None
    assert drawn(tmp_path / "front.png")


def test_accuracy_on_images_that_were_trained_on_is_no_figure(reports, tmp_path, faces_file):
    """It would be the best of all, and rank the networks by what they know by heart."""
    recipe = dataclasses.replace(SHORT.recipe, train_on="train+validation")
    for genome in reports:
        trained_otherwise(tmp_path / genome.id / "report.json", recipe=recipe.to_dict())
    searched = {g.id: a for g, a in zip(reports, (0.3, 0.31, 0.35, 0.33), strict=True)}
    training = dataclasses.replace(SHORT, recipe=recipe)
    found = retrain_all(reports, str(faces_file), tmp_path, training, [], searched=searched)
    assert found.ranks == {"validation": None, "test": pytest.approx(0.8)}
    for row in found.rows:
        assert {row[f] for f in FIELDS if f.startswith("validation")} == {None}
        assert row["test_mean"] > 0


def test_an_interval_of_two_seeds_stays_within_what_can_be(reports, tmp_path, argv, capsys):
    """Student's t of one degree of freedom, 12.7: of 0.53 and a deviation of 0.1, 0.9 each way."""
    for genome in reports:
        seeds = {"list": [0, 1]} | {split: {"accuracy": {"mean": 0.53, "std": 0.1}}
                                    for split in ("validation", "test")}  # fmt: skip
        trained_otherwise(tmp_path / genome.id / "report.json", seeds=seeds)
    assert main([*argv, "--recipe", "short", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("53.00 (0.0..100.0)") == 8
    assert "+-" not in printed
    with open(tmp_path / "front.csv", newline="") as file:
        assert {(row["test_low"], row["test_high"]) for row in csv.DictReader(file)} == {
            ("0.0", "1.0")
        }


def test_another_file_is_no_report(reports, tmp_path, faces_file):
    (tmp_path / reports[0].id / "report.json").write_text('{"seed_genomes": []}')
    with pytest.raises(UserError, match=r"report\.json: not a report of nas\.retrain"):
        retrain_all(reports, str(faces_file), tmp_path, SHORT, [])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"recipe": {**SHORT.recipe.to_dict(), "epochs": 20}}, "epochs 20 (asked: 14)"),
        ({"recipe": {"epochs": 14}}, "batch_size 32 (asked: 64), optimizer adamw (asked: "
         "nesterov), lr 0.003 (asked: 0.05) and 2 more"),
        ({"recipe": {**SHORT.recipe.to_dict(), "augment": {"flip": 0.0}}},
         "augment.flip 0.0 (asked: 0.5)"),
        ({"data": {"name": "fer2013", "fingerprint": "baa27c10cf5c6274"}},
         "data fer2013 (baa27c10cf5c6274) (asked: synthetic ("),
        ({"initial": "w.safetensors"}, "initial w.safetensors (asked: none)"),
        ({"teachers": ["w.safetensors"]}, "teachers w.safetensors (asked: none)"),
    ],
)  # fmt: skip
def test_networks_of_another_training_do_not_come_into_the_table(
    reports, tmp_path, argv, capsys, changes, told
):
    name = reports[2].id
    trained_otherwise(tmp_path / name / "report.json", **changes)
    (tmp_path / reports[0].id / "report.json").unlink()  # it would be trained
    assert exit_code(main, [*argv, "--recipe", "short", "--seeds", "3"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{tmp_path / name}: network {name} was trained with {told}" in error
    assert "another folder by --out" in error
    assert not (tmp_path / "front.csv").exists()
    assert not (tmp_path / reports[0].id / "retrain.log").exists()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--recipe", "short", "--seeds", "2"], "seeds 0, 1, 2 (asked: 0, 1)"),
        (["--recipe", "short", "--seeds", "3", "--epochs", "9"], "epochs 14 (asked: 9)"),
        (["--recipe", "short", "--seeds", "3", "--set", "lr=0.1"], "lr 0.05 (asked: 0.1)"),
        (["--recipe", "modern", "--seeds", "3"], "epochs 14 (asked: 60)"),
    ],
)
def test_what_the_options_ask_for_is_compared(argv, capsys, option, told):
    assert exit_code(main, [*argv, *option]) == 2
    assert told in capsys.readouterr().err.strip().splitlines()[-1]


def test_the_same_images_under_another_name_are_the_same_data(reports, tmp_path, faces_file):
    data = read_json(tmp_path / reports[0].id / "report.json")["data"]
    trained_otherwise(tmp_path / reports[0].id / "report.json", data={**data, "name": "before"})
    found = retrain_all(reports, str(faces_file), tmp_path, SHORT, [])
    assert len(found.rows) == 4


def test_a_committed_report_of_version_0_1_has_todays_recipe(reports, tmp_path, faces_file):
    old = read_json(ROOT / "experiments/fer2013/retrain/short/found/report.json")
    trained_otherwise(
        tmp_path / reports[0].id / "report.json", recipe=old["recipe"], teachers=old["teachers"]
    )
    assert len(retrain_all(reports, str(faces_file), tmp_path, SHORT, []).rows) == 4


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "one of the arguments --genome --front is required"),
        (["--front", "nowhere"], "nowhere: not a run directory"),
        (["--front", "nowhere", "--genome", "proposed"], "not allowed with argument"),
        (["--front", ""], "not a run directory"),
        (["--genome", "proposed", "--workers", "2"], "--workers: of several networks"),
        (["--genome", "proposed", "--genome", "vgg", "--top", "2"], "--top: of a front"),
        (["--front", "nowhere", "--initial", "w"], "--initial: of one genome"),
        (["--front", "nowhere", "--recipe", "w"], "no recipe 'w'"),
    ],
)
def test_mistakes_are_one_line(argv, message, capsys):
    assert exit_code(main, argv) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
