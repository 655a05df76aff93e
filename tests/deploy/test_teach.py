"""Soft labels from trained networks' files: of which images, by whom, and who may not teach."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from conftest import TINY, shaken

from nas.arch.genome import Input
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.data import search_split
from nas.deploy.checkpoint import save_weights
from nas.deploy.teach import teach_from, teacher_of
from nas.teach import main
from nas.training.predict import Subset, logits
from nas.training.recipe import Augment, Recipe
from nas.training.teacher import SoftLabels

CALM = Augment(probability=0.0, flip=0.0)


@pytest.fixture(scope="module")
def networks(faces, tmp_path_factory):
    """Two folders as nas.retrain leaves them, of networks of train_on fit."""
    folders = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("network")
        save_weights(TINY, shaken(TINY, seed), faces, folder / "model.safetensors")
        trained_on(folder, "fit")
        folders.append(folder)
    return folders


def trained_on(folder, part):
    (folder / "report.json").write_text(json.dumps({"recipe": {"train_on": part}}))


def taught(networks, faces_file, out, part="train", augment=CALM, variants=2):
    return teach_from(
        [str(folder) for folder in networks], str(faces_file), str(out), variants=variants,
        augment=augment, seed=3, part=part, device="cpu",
    )  # fmt: skip


@pytest.mark.parametrize("part", ["train", "fit"])
def test_the_training_images_have_the_networks_mean_answers(
    networks, faces, faces_file, tmp_path, part
):
    rows = faces.indices("train") if part == "train" else search_split(faces)[0]
    found = taught(networks, faces_file, tmp_path / "t.safetensors", part)
    labels = SoftLabels.load(tmp_path / "t.safetensors")
    assert labels.rows.tolist() == rows.tolist()
    subset = Subset.of(faces, "train").at(rows)
    answers = [torch.softmax(logits(shaken(TINY, s), TINY, subset), 1) for s in (0, 1)]
    mean = torch.stack(answers).mean(0)
    for variant in labels.probabilities:  # that nothing has moved
        np.testing.assert_allclose(variant / 255, mean, atol=0.5 / 255 + 1e-5)
    right = (labels.probabilities[0].numpy().argmax(1) == faces.labels[rows]).mean()
    assert found["agreement"] == pytest.approx(right)
    assert (found["images"], found["variants"], found["part"]) == (len(rows), 2, part)
    assert labels.origin["fingerprint"] == faces.fingerprint
    files = [(folder / "model.safetensors").read_bytes() for folder in networks]
    assert [n["sha256"] for n in labels.origin["networks"]] == [
        hashlib.sha256(raw).hexdigest() for raw in files
    ]


def test_networks_that_saw_other_images_do_not_teach(networks, faces_file, tmp_path):
    """They would tell a student what it is scored on."""
    out, folder = tmp_path / "t.safetensors", networks[0]
    for saw, part, message in (
        ("train", "fit", "trained on train; to label fit expected train_on fit$"),
        ("train+validation", "train", r"trained on train\+validation; to label train expected"),
        ("train+validation", "fit", r"trained on train\+validation; to label fit expected"),
    ):
        trained_on(folder, saw)
        try:
            with pytest.raises(UserError, match=message):
                taught([folder], faces_file, out, part)
        finally:
            trained_on(folder, "fit")
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"report\.json: not found; it says what the network was"):
        taught([tmp_path], faces_file, out)
    assert not out.exists()


@pytest.mark.parametrize("size", [Input(1, 40, 48), Input(1, 48, 40)])
def test_networks_of_another_size_do_not_teach(faces, faces_file, tmp_path, size):
    smaller = dataclasses.replace(TINY, input=size)
    save_weights(smaller, shaken(smaller), faces, tmp_path / "model.safetensors")
    trained_on(tmp_path, "train")
    with pytest.raises(UserError, match=r"takes 1x4\dx4\d pixels; expected .* own 1x48x48"):
        taught([tmp_path], faces_file, tmp_path / "t.safetensors")


def test_teachers_at_once_answer_with_their_mean(networks, faces):
    files = [folder / "model.safetensors" for folder in networks]
    teacher = teacher_of(files, TINY, faces, torch.device("cpu"), Recipe(distill=0.5))
    x = torch.randn(5, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mean = (shaken(TINY, 0)(x) + shaken(TINY, 1)(x)) / 2
        torch.testing.assert_close(teacher(x), mean)


def test_command_line(networks, faces_file, tmp_path, capsys):
    out = tmp_path / "t.safetensors"
    argv = ["--models", *map(str, networks), "--data", str(faces_file), "--variants", "2"]
    assert exit_code(main, [*argv, "--seed", "5", "--out", str(out)]) == 0
    assert "210 images, 2 variants of each; the teachers agree with" in capsys.readouterr().out
    labels = SoftLabels.load(out)
    assert (labels.seed, labels.augment.erase) == (5, 0.0)
    assert not torch.equal(labels.probabilities[0], labels.probabilities[1])
    assert exit_code(main, [*argv, "--seed", "5", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 5
    assert torch.equal(SoftLabels.load(out).probabilities, labels.probabilities)
