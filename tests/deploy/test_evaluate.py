"""Scoring trained networks: one, several, other views, other classes, without copies."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch
from conftest import TINY, shaken

from nas.arch.lowering import cost
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.data import Dataset, save
from nas.deploy.checkpoint import save_weights
from nas.deploy.evaluate import Classifier, evaluate, open_model, shared_classes
from nas.deploy.export import export_onnx
from nas.deploy.preprocessing import ModelInfo
from nas.evaluate import main
from nas.report.metrics import classification_report
from nas.training.predict import Subset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory, faces):
    """A network with its weights and ONNX, as retraining leaves them."""
    path, model = tmp_path_factory.mktemp("retrained"), shaken(TINY)
    save_weights(TINY, model, faces, path / "model.safetensors")
    export_onnx(TINY, model, faces, Subset.of(faces, "validation"), path / "model.onnx")
    (path / "genome.json").write_text(TINY.to_json())
    return path


def constant(name, classes, logits, side=48):
    """Answers the same for every image."""
    row = torch.tensor(logits, dtype=torch.float32)
    info = ModelInfo(1, side, side, tuple(classes), mean=0.0, std=1.0)
    return Classifier(name, info, lambda x: row.repeat(len(x), 1))


def small(labels, classes, images=None, split=None):
    n = len(labels)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 1, 48, 48), dtype=np.uint8) if images is None else images
    split = np.ones(n, np.uint8) if split is None else np.array(split, np.uint8)
    return Dataset("small", images, np.array(labels, np.uint8), split, tuple(classes))


def test_weights_and_onnx_say_the_same(folder, faces):
    by_torch, by_onnx = open_model(folder), open_model(folder / "model.onnx")
    assert by_torch.cost == by_onnx.cost
    for views in ("single", "flip", "ten_crop"):
        (a,) = evaluate([by_torch], faces, "validation", views)["results"]
        (b,) = evaluate([by_onnx], faces, "validation", views)["results"]
        assert a["confusion"] == b["confusion"]
        assert a["nll"] == pytest.approx(b["nll"], abs=1e-5)


def test_the_cost_of_a_file_of_version_0_1_is_of_its_own_genome(folder, tmp_path, proposed):
    """It does not hold the genome; a genome.json beside it may be of another network."""
    model, path = onnx.load(folder / "model.onnx"), tmp_path / "model.onnx"
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    info = dataclasses.replace(ModelInfo.from_metadata(metadata, "model"), genome=None)
    onnx.helper.set_model_props(model, metadata | info.to_metadata())
    onnx.save(model, path)
    for genome, known in ((TINY, cost(TINY)), (proposed, None)):
        (tmp_path / "genome.json").write_text(genome.to_json())
        assert open_model(path).cost == known


def test_an_ensemble_averages_probabilities():
    data = small([0, 1, 1], ("a", "b"))
    first, second = constant("x", "ab", [np.log(0.9), np.log(0.1)]), constant("y", "ab", [0.0, 3.0])
    found = evaluate([first, second], data, "validation")["results"]
    assert [r["model"] for r in found] == ["x", "y", "ensemble"]
    p = (np.array([0.9, 0.1]) + np.exp([0, 3]) / np.exp([0, 3]).sum()) / 2
    expected = classification_report([0, 1, 1], np.tile(p, (3, 1)), ("a", "b"))
    assert found[2]["nll"] == pytest.approx(expected["nll"])


def test_shared_classes_by_name():
    """Trained on angry/happy/sad, scored on a set with happiness, contempt, anger."""
    model = constant("m", ("angry", "happy", "sad"), [1.0, 2.0, 9.0])
    data = small([0, 0, 1, 2], ("happiness", "contempt", "Anger"))
    found = evaluate([model], data, "validation")
    assert found["classes"] == ["happy", "angry"]
    assert found["classes_dropped"] == ["contempt", "sad"]
    assert found["images_dropped"] == 1
    result = found["results"][0]
    assert result["n"] == 3
    assert result["confusion"] == [[2, 0], [1, 0]]  # sad is out of the question, so happy wins
    happy = np.exp(2) / (np.exp(1) + np.exp(2))
    assert result["nll"] == pytest.approx(-(2 * np.log(happy) + np.log(1 - happy)) / 3)
    with pytest.raises(UserError, match=r"'contempt'\) and the models share 1 classes"):
        shared_classes([model], small([0], ("happiness", "contempt")))
    with pytest.raises(UserError, match="two classes mean 'happy'"):
        shared_classes([model], small([0], ("happiness", "joy", "sad")))


def test_white_space_makes_no_other_class(folder, tmp_path, capsys):
    """Data sets that were prepared before folders were folded; what is left out is quoted."""
    model = constant("m", ("circle", "triangle", "flat star"), [1.0, 2.0, 0.0])
    data = small([0, 1, 2], ("circle", "triangle ", "square"))
    found = evaluate([model], data, "validation")
    assert found["classes"] == ["circle", "triangle"]
    assert (found["images_dropped"], found["results"][0]["n"]) == (1, 2)
    with pytest.raises(UserError, match="two classes mean 'triangle'"):
        shared_classes([model], small([0], ("triangle", "triangle ", "circle")))
    path = save(small([0, 1, 2], ("happy", "fear ", "two words")), tmp_path / "shapes.npz")
    assert main(["--model", str(folder), "--data", str(path)]) == 0
    said = capsys.readouterr().out
    left_out = "'angry', 'disgust', 'neutral', 'sad', 'surprise', 'two words'"
    assert f"not shared, left out: {left_out}" in said


def test_without_the_copies_of_training_images():
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 48, 48), dtype=np.uint8)
    images[3] = images[0]  # a validation image that is also a training image
    data = small([0, 1, 0, 0, 1], ("a", "b"), images, split=[0, 0, 1, 1, 1])
    found = evaluate([constant("m", "ab", [1.0, 0.0])], data, "validation")["results"]
    assert [(r["subset"], r["n"]) for r in found] == [("all", 3), ("without copies", 2)]
    assert found[0]["accuracy"] == pytest.approx(2 / 3)
    assert found[1]["accuracy"] == 0.5
    both = dataclasses.replace(constant("n", "ab", [1.0, 0.0]), splits=("train", "validation"))
    images = np.concatenate([images, images[[4, 0]], images[:1] + 1])
    data = small([0, 1, 0, 0, 1, 1, 0, 0], ("a", "b"), images, split=[0, 0, 1, 1, 1, 2, 2, 2])
    for models, n in (([both], 1), ([constant("m", "ab", [1.0, 0.0])], 2)):
        (_, new) = evaluate(models, data, "test")["results"]
        assert (new["subset"], new["n"]) == ("without copies", n)


def test_all_images_whatever_their_split(tmp_path, capsys):
    """A folder of pictures that no network was trained on is dealt into splits all the same."""
    labels = [0, 1] * 15
    data = small(labels, ("a", "b"), split=[0] * 20 + [1] * 5 + [2] * 5)
    (found,) = evaluate([constant("m", "ab", [1.0, 0.0])], data, "all")["results"]
    assert (found["n"], found["subset"], found["confusion"]) == (30, "all", [[15, 0], [15, 0]])
    path = save(small(labels, ("angry", "happy"), split=[0] * 20 + [1] * 10), tmp_path / "x.npz")
    argv = ["--model", "model", "--data", str(path), "--json", "--split"]
    assert exit_code(main, [*argv, "all"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["results"][0]["n"] == 30
    assert "of its own data a network knows many" in printed.err
    assert exit_code(main, [*argv, "test"]) == 2
    warned, refused = capsys.readouterr().err.splitlines()  # before any figure is there
    assert warned.startswith("the test split: whoever chooses a model by these figures")
    assert "split test: no images" in refused


def test_command_line(folder, faces_file, tmp_path, capsys):
    argv = ["--model", str(folder), "--model", str(folder / "model.onnx")]
    argv += ["--data", str(faces_file)]
    assert main([*argv, "--views", "flip", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "ensemble" in printed
    assert "validation: 70 of 350 images, views: flip\n" in printed
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert main([*argv, "--views", "flip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == written
    assert (tmp_path / "out" / "confusion_2.png").stat().st_size > 1000
    assert exit_code(main, [*argv, "--split", "test", "--json"]) == 0
    assert "none left to report" in capsys.readouterr().err


def test_mistakes(folder, faces_file, faces, tmp_path, capsys):
    coloured = dataclasses.replace(faces, images=np.repeat(faces.images, 3, 1))
    smaller = dataclasses.replace(faces, images=faces.images[:, :, :40, :40])
    larger = dataclasses.replace(faces, images=faces.images.repeat(2, 2).repeat(2, 3))
    for name, dataset in (("c", coloured), ("s", smaller), ("l", larger)):
        save(dataset, tmp_path / f"{name}.npz")
    cases = [
        (["--model", str(tmp_path / "no.safetensors")], "no.safetensors': no such file"),
        (["--model", str(tmp_path / "no.onnx")], "no.onnx': no such file"),
        (["--model", str(folder), "--data", str(tmp_path / "c.npz")], "takes 1 channels"),
        (["--model", str(folder), "--data", str(tmp_path / "s.npz")], "smaller than the input"),
        (["--model", str(folder), "--data", str(tmp_path / "l.npz")], "with --size 48"),
    ]
    for argv, message in cases:
        assert exit_code(main, ["--data", str(faces_file), *argv]) == 2
        assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_pixels_are_scaled_as_the_model_says():
    model = constant("m", "ab", [0.0, 0.0])
    info = dataclasses.replace(model.info, mean=100.0, std=50.0)
    brightness = dataclasses.replace(
        model, info=info, forward=lambda x: torch.stack([x.mean((1, 2, 3)), 0 * x[:, 0, 0, 0]], 1)
    )
    data = small([0, 0], ("a", "b"), np.full((2, 1, 48, 48), 200, np.uint8))
    (found,) = evaluate([brightness], data, "validation")["results"]
    assert found["nll"] == pytest.approx(np.log1p(np.exp(-2)), abs=1e-5)


@pytest.mark.parametrize(("height", "width"), [(24, 48), (48, 24)])
def test_a_model_that_would_see_a_part_of_a_face_is_refused(height, width):
    model = constant("m", "ab", [1.0, 0.0])
    model = dataclasses.replace(
        model, info=dataclasses.replace(model.info, height=height, width=width)
    )
    with pytest.raises(UserError, match=f"takes {height}x{width} pixels.* less than a face"):
        evaluate([model], small([0, 1], ("a", "b")), "validation")


def test_an_ensemble_costs_what_all_of_its_networks_cost():
    one, other = (constant(name, "ab", [1.0, 0.0]) for name in "mn")
    known = [dataclasses.replace(m, cost=cost(TINY)) for m in (one, other)]
    for models, params in ((known, 2 * cost(TINY).params), ([known[0], other], None)):
        *_, together = evaluate(models, small([0, 1], ("a", "b")), "validation")["results"]
        assert (together["model"], together["params"]) == ("ensemble", params)
        assert together["macs"] == (params and 2 * cost(TINY).macs)
