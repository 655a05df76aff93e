"""Weights as safetensors: written, read back, refused when foreign."""

import dataclasses
import json
import os

import numpy as np
import pytest
import torch
from conftest import TINY, shaken
from safetensors.torch import save_file

from nas.common.errors import UserError
from nas.deploy.checkpoint import TrainedModel, load_weights, open_trained, save_weights


def test_weights_round_trip(quick, faces, tmp_path):
    genome = quick.sample(np.random.default_rng(0)).genome
    model, path = shaken(genome), tmp_path / "model.safetensors"
    save_weights(genome, model, faces, path)
    found = open_trained(path)
    assert found.genome == genome
    assert (found.info.classes, found.info.training_data) == (faces.classes, "synthetic")
    loaded = found.model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


def test_what_is_opened_answers_as_it_does_after_training(faces, tmp_path):
    """Without dropout, by the statistics of its training."""
    model, path = shaken(TINY), tmp_path / "model.safetensors"
    save_weights(TINY, model, faces, path)
    x = torch.randn(4, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(open_trained(path).model(x), model(x), rtol=0, atol=0)


def test_the_same_classes_in_another_order_do_not_fit(faces, tmp_path):
    """Every answer would be taken for another."""
    path = tmp_path / "model.safetensors"
    save_weights(TINY, shaken(TINY), faces, path)
    trained = open_trained(path)
    trained.check_fit(faces, "here")
    turned = dataclasses.replace(faces, classes=(*faces.classes[1:], faces.classes[0]))
    with pytest.raises(
        UserError, match=r"here: classes 'angry', .* data set synthetic has classes"
    ):
        trained.check_fit(turned, "here")


def test_foreign_weights_are_refused(quick, proposed, faces, tmp_path):
    genome = quick.sample(np.random.default_rng(0)).genome
    path = tmp_path / "model.safetensors"
    save_weights(genome, shaken(genome), faces, path)
    with pytest.raises(UserError, match=r"no weights of genome 3fccb0f2dfab: .*key\(s\)"):
        load_weights(proposed, path)
    path.write_bytes(b"\x80\x04 pickle or not")
    with pytest.raises(UserError, match="no weights of genome"):
        load_weights(genome, path)
    os.mkfifo(tmp_path / "pipe")
    for read in (open_trained, lambda path: load_weights(genome, path)):
        with pytest.raises(UserError, match="cannot read: No such file"):
            read(tmp_path / "missing.safetensors")
        with pytest.raises(UserError, match="not a regular file"):
            read(tmp_path / "pipe")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        open_trained(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="no genome in its metadata"):
        open_trained(path)
    lying = {"genome": proposed.to_json(), "classes": '["one"]', "training_data": "x"}
    save_file({"weight": torch.zeros(2)}, path, metadata=lying)
    with pytest.raises(UserError, match="classes: expected two or more"):
        open_trained(path)


def test_an_input_that_is_not_the_genomes_is_refused(quick, faces, tmp_path):
    genome = quick.sample(np.random.default_rng(0)).genome
    model, path = shaken(genome), tmp_path / "model.safetensors"
    info = dataclasses.replace(TrainedModel.on(faces, genome, model).info, height=40)
    save_file(model.state_dict(), path, metadata=info.to_metadata())
    with pytest.raises(UserError, match="classes or input are not those of its genome"):
        open_trained(path)


def test_weights_of_version_0_1_are_read(quick, faces, tmp_path):
    """They had a key for each part."""
    genome = quick.sample(np.random.default_rng(0)).genome
    model, path = shaken(genome), tmp_path / "model.safetensors"
    metadata = {
        "genome": genome.to_json(), "classes": json.dumps(faces.classes),
        "training_data": "faces", "margin": "0.1",
    }  # fmt: skip
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, path, metadata=metadata)
    found = open_trained(path)
    assert found.genome == genome
    assert found.info.classes == faces.classes
    assert (found.info.training_data, found.info.margin) == ("faces", 0.1)
    for broken, message in (
        ({"margin": "wide"}, "margin: not valid JSON"),
        ({"margin": "NaN"}, "margin: must be finite"),
        ({"margin": "[]"}, "margin: must be a number"),
        ({"classes": '["one", "two"]'}, "classes or input are not those of its genome"),
        ({"classes": "[1, 2, 3, 4, 5, 6, 7]"}, "expected a name"),
        ({"classes": "{}"}, "classes: must be a list"),
        ({"training_data": ""}, "expected a name"),
        ({"genome": "[]"}, "genome"),
    ):
        save_file(state, path, metadata={**metadata, **broken})
        with pytest.raises(UserError, match=message):
            open_trained(path)
