"""Retraining end to end on a few drawn faces: report, files, resume, one reading of the test."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from conftest import ROOT, TINY

import nas
from nas.arch.genome import Genome, Head, Input
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.files import locked
from nas.data import load as load_data
from nas.data import save as save_data
from nas.deploy import retrain as retraining
from nas.deploy.checkpoint import load_weights, open_trained, save_weights
from nas.deploy.preprocessing import ModelInfo
from nas.evaluate import main as evaluate
from nas.realtime.recognizer import Recognizer
from nas.retrain import main
from nas.search.retrain import retrain
from nas.search.store import default_out, shared_data
from nas.training.history import read_history
from nas.training.predict import DivergedError, Subset, logits
from nas.training.recipe import Augment, Recipe

pytestmark = pytest.mark.slow

RECIPE = str(ROOT / "experiments/recipes/short.yaml")
FILES = {
    "report.json", "genome.json", "precision.json", "model.onnx", "model.safetensors",
    "MODEL_CARD.md", "curves.png", "confusion_validation.png", "confusion_test.png", "seed0",
}  # fmt: skip


@pytest.fixture(scope="module")
def genome_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("genome") / "best.json"
    path.write_text(TINY.to_json())
    return path


@pytest.fixture(scope="module")
def arguments(genome_file, faces_file):
    return ["--genome", str(genome_file), "--data", str(faces_file), "--recipe", RECIPE]


@pytest.fixture(scope="module")
def out(arguments, tmp_path_factory):
    path = tmp_path_factory.mktemp("retrain") / "out"
    assert main([*arguments, "--epochs", "2", "--seeds", "2", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def report(out):
    return json.loads((out / "report.json").read_text())


def test_files(out):
    assert {p.name for p in out.iterdir()} >= FILES
    for name in ("curves", "confusion_validation", "confusion_test"):
        picture = cv2.imread(str(out / f"{name}.png"))
        assert min(picture.shape[:2]) > 200
        assert picture.std() > 5
    assert Genome.load(out / "genome.json") == TINY


def test_the_report_is_consistent(out, report):
    for split in ("validation", "test"):
        found = report[split]
        confusion = np.array(found["confusion"])
        assert confusion.sum() == found["n"] == 70
        assert found["accuracy"] == pytest.approx(np.trace(confusion) / 70)
        low, high = found["accuracy_interval"]
        assert low < found["accuracy"] < high
        supports = [row["support"] for row in found["per_class"].values()]
        assert supports == confusion.sum(1).tolist()
        assert {"macro_f1", "weighted_f1", "calibration_error"} <= set(found)
    assert report["genome"] == TINY.id
    assert report["epochs_trained"] == 2
    assert report["onnx_parity"]["max_difference"] < 1e-3
    rows = read_history(out / f"seed{report['seed']}")
    for name in ("seconds", "cpu_seconds"):
        assert report[f"training_{name}"] == pytest.approx(sum(row[name] for row in rows))


@pytest.mark.parametrize("seeds", [(0, 1), (1, 0)])
def test_figures_are_those_of_the_weights_that_ship(faces, tmp_path, seeds):
    """Whichever of the seeds is the best one."""
    images = faces.images.copy()
    images[faces.indices("test")[:9]] = images[faces.indices("train")[0]]  # copies
    faces = dataclasses.replace(faces, images=images)
    calm = Augment(flip=0.0, probability=0.0)
    recipe = Recipe(epochs=6, lr=0.02, batch_size=16, views="flip", augment=calm)
    report = retraining.retrain_on(TINY, faces, recipe, tmp_path / "out", seeds=seeds)
    logged = {
        seed: max(row["validation_accuracy"] for row in read_history(tmp_path / f"out/seed{seed}"))
        for seed in seeds
    }
    assert report["seed"] == report["seeds"]["shipped"] == max(logged, key=logged.__getitem__)
    model, differ = open_trained(tmp_path / "out/model.safetensors").model, []
    for split in ("validation", "test"):
        part, views = Subset.of(faces, split), report["views_and_copies"][split]
        labels = part.labels[part.rows]
        single, flip = (
            float((logits(model, TINY, part, views=view).argmax(1) == labels).float().mean())
            for view in ("single", "flip")
        )
        assert report[split]["accuracy"] == views["single"]["all"]["accuracy"]
        assert report[split]["accuracy"] == pytest.approx(single)
        assert views["flip"]["all"]["accuracy"] == pytest.approx(flip)
        assert report[f"{split}_with_views"]["accuracy"] == pytest.approx(flip)
        new = part.rows.numpy()[9 * (split == "test") :]
        answers = logits(model, TINY, part.at(new)).argmax(1)
        without = views["single"]["without_copies"]
        assert without["n"] == len(new)
        assert without["accuracy"] == pytest.approx(
            float((answers == part.labels[new]).float().mean())
        )
        differ.append(single != flip)
    assert any(differ)
    assert logged[report["seed"]] == pytest.approx(report["validation_with_views"]["accuracy"])
    mean = report["seeds"]["validation"]["accuracy_flip"]["mean"]
    assert mean == pytest.approx(np.mean([*logged.values()]))


def test_of_a_training_on_the_validation_images_the_last_epoch_ships(faces, tmp_path):
    """They cannot choose; else the first would be taken, since nothing is learnt."""
    recipe = Recipe(epochs=3, lr=1e-7, train_on="train+validation")
    report = retraining.retrain_on(TINY, faces, recipe, tmp_path / "out", seeds=[0])
    accuracies = [row["validation_accuracy"] for row in read_history(tmp_path / "out/seed0")]
    assert accuracies.index(max(accuracies)) < 2
    assert report["best_epoch"] == 3


def test_seeds_give_mean_and_spread(report):
    seeds = report["seeds"]
    assert seeds["list"] == [0, 1]
    assert seeds["shipped"] == report["seed"]
    for split in ("validation", "test"):  # of two seeds, one of which ships
        shipped, found = report[split]["accuracy"], seeds[split]["accuracy"]
        assert found["std"] == pytest.approx(2**0.5 * abs(shipped - found["mean"]), abs=1e-9)


def test_views_and_copies_are_told_apart(out, report, faces_file):
    found = report["views_and_copies"]
    for split in ("validation", "test"):
        assert found[split]["single"]["all"]["accuracy"] == report[split]["accuracy"]
        assert found[split]["flip"]["all"]["n"] == 70
        assert found[split]["single"]["without_copies"]["n"] <= 70


def test_a_folder_is_one_processs_alone(arguments, tmp_path, capsys):
    with locked(tmp_path):
        assert exit_code(main, [*arguments, "--epochs", "1", "--out", str(tmp_path)]) == 2
    assert "in use by process" in capsys.readouterr().err


def test_a_test_split_that_was_read_before_is_told(out, report, arguments, tmp_path, capsys):
    """Killed after the reading: the mark stands, the report does not."""
    assert report["test_reads"] == 1
    assert json.loads((out / "test_reads.json").read_text())["reads"] == 1
    (tmp_path / "test_reads.json").write_text("1")
    assert exit_code(main, [*arguments, "--epochs", "1", "--out", str(tmp_path)]) == 0
    assert "the test split was read 1 time(s) before" in capsys.readouterr().err
    assert json.loads((tmp_path / "report.json").read_text())["test_reads"] == 2


def test_killed_after_the_reading_it_is_not_read_again(arguments, tmp_path, monkeypatch, capsys):
    """The figures were kept with the mark: the repeated call reports them."""
    exported = retraining.export_onnx

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(retraining, "export_onnx", killed)
    assert exit_code(main, [*arguments, "--epochs", "1", "--out", str(tmp_path)]) == 130
    kept = json.loads((tmp_path / "test_reads.json").read_text())["figures"][0]["single"]
    monkeypatch.setattr(retraining, "export_onnx", exported)
    assert exit_code(main, [*arguments, "--epochs", "1", "--out", str(tmp_path)]) == 0
    assert "the test split was read before: its figures are taken" in capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["test_reads"], report["test"]) == (1, kept)


def test_the_exported_model_gives_the_reported_accuracy(out, report, faces_file):
    dataset = load_data(faces_file)
    session = onnxruntime.InferenceSession(out / "model.onnx")
    p = ModelInfo.from_metadata(session.get_modelmeta().custom_metadata_map, "model.onnx")
    for split in ("validation", "test"):
        rows = dataset.indices(split)
        logits = session.run(None, {"image": p.normalise(dataset.images[rows])})[0]
        right = (logits.argmax(1) == dataset.labels[rows]).mean()
        assert right == pytest.approx(report[split]["accuracy"])


def test_the_shipped_weights_are_those_of_the_best_seed(out, report, faces_file):
    model = load_weights(TINY, out / "model.safetensors").eval()
    dataset = load_data(faces_file)
    rows = dataset.indices("validation")
    x = (torch.tensor(dataset.images[rows]).float() - 127.5) / 63.75
    with torch.no_grad():
        right = (model(x).argmax(1).numpy() == dataset.labels[rows]).mean()
    assert right == pytest.approx(report["validation"]["accuracy"])
    assert right >= report["seeds"]["validation"]["accuracy"]["mean"]


def test_the_card_says_what_it_must(out):
    card = (out / "MODEL_CARD.md").read_text()
    for text in ("SYNTHETIC", "Training data", "Intended use", "Known bias", "Not at work"):
        assert text in card


def test_the_test_split_is_read_once(arguments, out, capsys):
    before = (out / "report.json").read_text()
    assert exit_code(main, [*arguments, "--epochs", "2", "--out", str(out)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the test split is read once" in error
    assert (out / "report.json").read_text() == before


def test_interrupted_and_repeated(arguments, tmp_path, monkeypatch, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main([*arguments, "--epochs", "3", "--json", "--out", str(whole)]) == 0
    expected = json.loads(capsys.readouterr().out)
    trained = retraining.train

    def stop_after_two(*args, on_epoch, **more):
        def on(row):
            on_epoch(row)
            if row["epoch"] == 2:
                raise KeyboardInterrupt

        return trained(*args, on_epoch=on, **more)

    cut.mkdir()
    (cut / "precision.json").write_text((whole / "precision.json").read_text())
    monkeypatch.setattr(retraining, "train", stop_after_two)
    assert exit_code(main, [*arguments, "--epochs", "3", "--out", str(cut)]) == 130
    assert not (cut / "report.json").exists()
    monkeypatch.setattr(retraining, "train", trained)
    assert main([*arguments, "--epochs", "3", "--json", "--out", str(cut)]) == 0
    again = json.loads(capsys.readouterr().out)
    for split in ("validation", "test"):
        assert again[split]["confusion"] == expected[split]["confusion"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--genome", "none.json"], "no genome 'none.json': no such file"),
        (["--data", "nothing"], "nothing"),
        (["--recipe", "none.yaml"], "no recipe 'none.yaml': no such file"),
        (["--epochs", "0"], "argument --epochs: must be in"),
        (["--seeds", "0"], "argument --seeds: must be in"),
        (["--device", "toaster"], "device: cannot use 'toaster'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, tmp_path, changes, message, capsys):
    assert exit_code(main, [*arguments, "--out", str(tmp_path / "out"), *changes]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_fine_tuned_distilled_and_on_all_images(arguments, out, tmp_path, capsys, caplog):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("epochs: 1\nfit_on: train+validation\ndistill: 0.5\nviews: ten_crop\n")
    folder = tmp_path / "tuned"
    options = ["--initial", str(out / "model.safetensors"), "--teacher", str(out)]
    assert main([*arguments, "--recipe", str(recipe), *options, "--out", str(folder)]) == 0
    found = json.loads((folder / "report.json").read_text())
    assert found["teachers"] == [str(out / "model.safetensors")]
    assert found["initial"] == str(out / "model.safetensors")
    assert found["test_with_views"]["views"] == "ten_crop"
    assert found["recipe"]["train_on"] == "train+validation"
    assert found["views_and_copies"]["validation"]["single"]["without_copies"] is None
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| validation (trained on) |" in card
    assert "| test, ten_crop views |" in card
    assert "taught by other networks too: 50 % of the loss" in card
    assert "chosen on" not in card
    plain = (out / "MODEL_CARD.md").read_text()
    assert "chosen on the validation split" in plain
    assert "taught" not in plain
    printed = capsys.readouterr().out
    assert "the validation images were trained on" in printed
    assert "test, ten_crop" in printed
    assert evaluate(["--model", str(folder), "--data", arguments[3]]) == 0
    assert "was trained on the validation images, too" in caplog.text
    assert evaluate(["--model", str(folder), "--data", arguments[3], "--split", "train"]) == 0
    assert caplog.text.count("was trained on") == 1
    faces = load_data(Path(arguments[3]))
    turned = dataclasses.replace(faces, split=(faces.split + 1) % 3)
    path = save_data(turned, tmp_path / "faces.npz")
    assert evaluate(["--model", str(folder), "--data", str(path)]) == 0
    assert f"another data set of the name {faces.name} (fingerprint {faces.fingerprint}, now " in (
        caplog.text
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train_on: train+validation\nearly_stopping: 3\n", "watch validation images"),
        ("train_on: train+validation\nschedule: plateau\n", "watch validation images"),
        ("soft_labels: true\n", "has no votes"),
    ],
)
def test_a_recipe_that_the_images_cannot_follow(arguments, tmp_path, capsys, text, message):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    argv = [*arguments, "--recipe", str(recipe), "--out", str(tmp_path / "out")]
    assert exit_code(main, argv) == 2
    assert message in capsys.readouterr().err


def test_a_teacher_of_other_classes_is_refused(arguments, out, faces, tmp_path, capsys):
    turned = dataclasses.replace(faces, classes=faces.classes[::-1])
    model = load_weights(TINY, out / "model.safetensors")
    save_weights(TINY, model, turned, tmp_path / "model.safetensors")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("epochs: 1\ndistill: 0.5\n")
    argv = [*arguments, "--recipe", str(recipe), "--teacher", str(tmp_path)]
    assert exit_code(main, [*argv, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "'disgust', 'angry'; data set synthetic has classes 'angry', 'disgust'" in said


def test_a_diverging_training_is_a_users_mistake(arguments, tmp_path, monkeypatch, capsys):
    def diverges(*args, **more):
        raise DivergedError("loss is nan in epoch 1")

    monkeypatch.setattr(retraining, "train", diverges)
    assert exit_code(main, [*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "seed 0: loss is nan in epoch 1, at lr 0.05" in capsys.readouterr().err


def test_without_out_a_reference_goes_to_experiments(genome_file, tmp_path):
    assert default_out(genome_file, "abc") == Path("experiments/retrain-abc")
    (tmp_path / "config.yaml").write_text("")
    assert default_out(tmp_path / "best.json", "abc") == tmp_path / "retrain" / "abc"


def test_a_teacher_needs_a_share(arguments, out, tmp_path, capsys):
    argv = [*arguments, "--teacher", str(out), "--out", str(tmp_path / "out")]
    assert exit_code(main, argv) == 2
    assert "the recipe's distill is 0" in capsys.readouterr().err


def test_classes_must_fit(arguments, tmp_path, capsys):
    path = tmp_path / "five.json"
    path.write_text(Genome(Input(), 5, TINY.stages, Head()).to_json())
    argv = [*arguments, "--genome", str(path), "--out", str(tmp_path / "out")]
    assert exit_code(main, argv) == 2
    assert "5 classes: does not fit data set synthetic, which has 7" in capsys.readouterr().err


def test_settings_of_the_recipe_by_name(arguments, tmp_path, capsys):
    """`--epochs` and `--set` of the command, the same names in Python; folders for files."""
    (tmp_path / "genome.json").write_text(TINY.to_json())
    data, recipe = arguments[3], arguments[5]
    argv = ["--genome", str(tmp_path), "--data", data, "--recipe", recipe, "--epochs", "1"]
    more = ["--set", "lr=0.01", "augment.flip=0", "--out", str(tmp_path / "typed"), "--json"]
    assert main([*argv, *more]) == 0
    typed = json.loads(capsys.readouterr().out)
    found = retrain(
        tmp_path, data, recipe, tmp_path / "called", epochs=1, lr=0.01, augment={"flip": 0}
    )
    assert found["recipe"] == typed["recipe"]
    base = Recipe.load(recipe).to_dict()
    changes = {"epochs": 1, "lr": 0.01, "augment": {**base["augment"], "flip": 0.0}}
    assert found["recipe"] == {**base, **changes}
    assert found["epochs_trained"] == 1


def test_a_run_stands_for_its_best_network_and_its_data(faces_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = nas.search("quick", data=str(faces_file), evaluations=1, epochs=1, workers=1,
                     run_dir="run", progress=False, calibration_genomes=10)  # fmt: skip
    found = nas.retrain(run, recipe="short", epochs=1)
    assert found["genome"] == run.best.id
    assert found["data"]["fingerprint"] == load_data(faces_file).fingerprint
    folder = tmp_path / "run/retrain" / run.best.id
    assert (folder / "report.json").is_file()
    assert Recognizer(folder).model == folder / "model.onnx"


def test_a_run_without_data_has_none_to_retrain_on(tmp_path, monkeypatch, capsys):
    """Its networks were measured by a function; synthetic faces would be a surprise."""
    monkeypatch.chdir(tmp_path)
    nas.search("quick", evaluator=measured, evaluations=1, run_dir="run", progress=False,
               objectives=[{"name": "a"}, {"name": "params"}], seed_genomes=[])  # fmt: skip
    for which in ("--genome", "--front"):
        assert exit_code(main, [which, "run"]) == 2
        assert "--data: missing; the run run has an evaluator" in capsys.readouterr().err
    with pytest.raises(UserError, match="--data: missing"):
        nas.retrain("run")


def measured(genome):
    return {"a": len(genome.stages)}


def test_networks_of_runs_with_different_data_need_it_named(tmp_path):
    paths = []
    for name, data in (("a", "faces"), ("b", "leaves"), ("c", "leaves")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"data: {data}\n")
        paths.append(tmp_path / name / "best.json")
    assert shared_data(paths[1:]) == "leaves"
    with pytest.raises(UserError) as error:
        shared_data(paths[:2])
    assert str(error.value) == (
        "--data: missing; the genomes' runs have different data "
        f"({paths[0]}: faces, {paths[1]}: leaves)"
    )
