"""Saliency: maps that point at what decides, and the pictures made of them."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from nas.arch.genome import Conv, Genome, Head, Input, Pool, Stage
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.data import load as load_data
from nas.data import open_dataset, save
from nas.deploy.checkpoint import open_trained, save_weights
from nas.deploy.explain import deletion, feature_layer, saliency
from nas.explain import main
from nas.training.predict import Subset
from nas.training.recipe import Augment, Recipe
from nas.training.trainer import train

pytestmark = pytest.mark.slow

CORNER = Genome(
    Input(1, 24, 24), 2, (Stage((Conv(8), Pool())), Stage((Conv(16), Pool()))), Head("avg")
)


@pytest.fixture(scope="module")
def corner():
    """A network that tells whether there is a patch at the upper left; all else is noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(90, 160, (256, 1, 24, 24)).astype(np.uint8)
    labels = np.arange(256) % 2
    images[labels == 1, :, 2:8, 2:8] = 255
    rows = torch.arange(256)
    part = Subset(torch.tensor(images), torch.tensor(labels), rows)
    recipe = Recipe(epochs=12, augment=Augment(flip=0.0, probability=0.0))
    model = train(CORNER, part, part, recipe, seed=0).model.eval()
    x = (torch.tensor(images).float() - 127.5) / 63.75
    return model, x[1::2][:32], torch.ones(32, dtype=torch.long)


# A gradient says where a change would matter, so noise elsewhere has some too.
@pytest.mark.parametrize(("method", "factor"), [("gradient", 1.1), ("gradcam", 2.0)])
def test_maps_point_at_what_decides(corner, method, factor):
    model, x, target = corner
    maps = saliency(CORNER, model, x, target, method)
    assert maps.shape == (32, 24, 24)
    assert float(maps.min()) == 0.0
    assert float(maps.max()) == 1.0
    inside = maps[:, :10, :10].mean((1, 2))
    outside = maps[:, 12:, 12:].mean((1, 2))
    assert float((inside > factor * outside).float().mean()) > 0.9


def test_grad_cam_of_a_linear_head_is_the_class_activation_map(corner):
    """Zhou et al. 2016: the classifier's weights over the last feature map."""
    model, x, target = corner
    with torch.no_grad():
        features = model[:-2](x)
        weights = dict(model.named_parameters())["classifier.linear.weight"][1]
        expected = torch.relu((weights[:, None, None] * features).sum(1, keepdim=True))
        expected = torch.nn.functional.interpolate(expected, (24, 24), mode="bilinear")[:, 0]
    low, high = expected.amin((1, 2), keepdim=True), expected.amax((1, 2), keepdim=True)
    found = saliency(CORNER, model, x, target, "gradcam")
    torch.testing.assert_close(found, (expected - low) / (high - low), atol=1e-5, rtol=1e-4)


def test_deleting_what_is_salient_costs_more(corner):
    model, x, target = corner
    maps = saliency(CORNER, model, x, target, "gradient")
    salient, by_chance = deletion(model, x, target, maps)
    assert salient > by_chance + 0.1
    assert deletion(model, x, target, 1 - maps)[0] < salient


def test_feature_layer(proposed):
    assert feature_layer(proposed) == "stage3_block0"  # 3x3, before the flattening
    tiny = Genome(Input(1, 8, 8), 2, (Stage((Conv(4, 3, 4),)),), Head())
    with pytest.raises(UserError, match="no feature map of 3x3"):
        feature_layer(tiny)


@pytest.fixture(scope="module")
def weights(faces, tmp_path_factory):
    genome = Genome(Input(), 7, (Stage((Conv(6, 5, 2),)), Stage((Conv(12, 3, 2),))), Head())
    parts = [Subset.of(faces, split) for split in ("train", "validation")]
    model = train(genome, *parts, Recipe(epochs=2), seed=0).model
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    save_weights(genome, model, faces, path)
    return path


@pytest.mark.parametrize("method", ["gradient", "gradcam"])
def test_command_line(weights, faces_file, tmp_path, method, capsys):
    argv = ["--model", str(weights), "--data", str(faces_file), "--out", str(tmp_path)]
    assert main([*argv, "--method", method, "--per-class", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    dataset = load_data(faces_file)
    rows = set(dataset.indices("validation").tolist())
    x = (torch.tensor(dataset.images).float() - 127.5) / 63.75
    with torch.no_grad():
        sure = torch.softmax(open_trained(weights).model(x), 1).max(1).values.numpy()
    validation = dataset.split == 1
    for entry in found["classes"]:
        for kind in ("right", "wrong"):
            assert entry[kind] == len(entry["images"][kind]) <= 3
            told = [image["probability"] for image in entry["images"][kind]]
            assert told == sorted(told, reverse=True)  # the surest first
            assert told == pytest.approx([sure[i["row"]] for i in entry["images"][kind]], abs=1e-5)
            for image in entry["images"][kind]:
                assert image["row"] in rows
                assert dataset.classes[dataset.labels[image["row"]]] == entry["class"]
                assert (image["answer"] == entry["class"]) == (kind == "right")
        mine = validation & (dataset.labels == dataset.classes.index(entry["class"]))
        shown = entry["images"]["right"] + entry["images"]["wrong"]
        assert max(i["probability"] for i in shown) == pytest.approx(sure[mine].max(), abs=1e-5)
        assert min(cv2.imread(entry["picture"]).shape[:2]) > 100
    assert cv2.imread(found["overview"]).std() > 10
    assert json.loads((tmp_path / "explain.json").read_text()) == found


def test_which_images_of_a_folder_are_taken_is_told(weights, faces, tmp_path, capsys, monkeypatch):
    """A folder of pictures is dealt into splits; all of them are explained where that is asked.

    Its classes are in the order of letters, the network's are not.
    """
    for row in faces.indices("test"):  # ten of each class
        path = tmp_path / "pictures" / faces.classes[faces.labels[row]] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), faces.images[row, 0])
    monkeypatch.chdir(tmp_path)
    data = open_dataset("pictures")
    assert data.classes == tuple(sorted(faces.classes)) != faces.classes
    argv = ["--model", str(weights), "--data", "pictures", "--per-class", "50", "--out", "out"]
    shown = {}
    for split in ("validation", "all"):
        assert exit_code(main, [*argv, "--split", split]) == 0
        said = capsys.readouterr()
        found = json.loads((tmp_path / "out/explain.json").read_text())
        shown[split] = sum(entry["right"] + entry["wrong"] for entry in found["classes"])
        assert said.out.startswith(f"{found['data']} {split}: {shown[split]} of 70 images\n")
        assert found["images"] == shown[split]
        assert {
            image["row"]: entry["class"] for entry in found["classes"]
            for image in entry["images"]["right"] + entry["images"]["wrong"]
        } == {row: data.classes[data.labels[row]] for row in data.indices(split)}  # fmt: skip
        assert ("of its own data a network knows many" in said.err) == (split == "all")
    assert 0 < shown["validation"] < shown["all"] == 70


def test_a_split_without_images_is_refused(weights, faces, tmp_path, capsys):
    save(dataclasses.replace(faces, split=np.zeros_like(faces.split)), tmp_path / "t.npz")
    argv = ["--model", str(weights), "--data", str(tmp_path / "t.npz")]
    assert exit_code(main, [*argv, "--out", str(tmp_path / "out")]) == 2
    assert "split validation: no images" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["gradient", "gradcam"])
def test_no_right_answer_is_explained_too(weights, faces, tmp_path, method, capsys):
    x = (torch.tensor(faces.images).float() - 127.5) / 63.75
    wrong = open_trained(weights).model(x).argmin(1)  # never what it answers
    save(dataclasses.replace(faces, labels=wrong.numpy().astype(np.uint8)), tmp_path / "w.npz")
    argv = ["--model", str(weights), "--data", str(tmp_path / "w.npz"), "--out", str(tmp_path)]
    assert main([*argv, "--method", method]) == 0
    assert "nan" not in capsys.readouterr().out
    found = json.loads((tmp_path / "explain.json").read_text())
    assert found["deletion"]["images"] == 0
    assert {entry["right"] for entry in found["classes"]} == {0}


def test_a_class_called_overview_keeps_its_picture(weights, faces, tmp_path, capsys):
    named = dataclasses.replace(faces, classes=("overview", *faces.classes[1:]))
    trained = open_trained(weights)
    save_weights(trained.genome, trained.model, named, tmp_path / "model.safetensors")
    argv = ["--model", str(tmp_path), "--data", str(save(named, tmp_path / "named.npz"))]
    assert main([*argv, "--out", str(tmp_path / "out"), "--per-class", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    pictures = [found["overview"], *(entry["picture"] for entry in found["classes"])]
    assert len({*pictures}) == 8
    assert len(list((tmp_path / "out").glob("*.png"))) == 8


def test_mistakes(weights, faces_file, tmp_path, capsys):
    argv = ["--data", str(faces_file), "--out", str(tmp_path)]
    assert exit_code(main, ["--model", str(tmp_path), *argv]) == 2
    assert exit_code(main, ["--model", str(weights), *argv, "--per-class", "0"]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert "no model in this folder; expected model.safetensors" in errors[0]
    assert "argument --per-class: must be in" in errors[1]
