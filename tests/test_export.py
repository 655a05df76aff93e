"""Weights and ONNX files: written, compared with torch, read back, refused when foreign."""

import dataclasses

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from nas.errors import UserError
from nas.export import check_parity, export_onnx, load_weights, open_trained, save_weights
from nas.model import build
from nas.predict import Part
from nas.preprocess import Preprocessing


@pytest.fixture(scope="module")
def part(faces):
    labels = torch.tensor(faces.labels.astype(np.int64))
    rows = torch.tensor(faces.indices("validation"))
    return Part(torch.tensor(faces.images), labels, rows)


def trained(genome, seed=0):
    torch.manual_seed(seed)
    model = build(genome).train()
    size = genome.input
    with torch.no_grad():  # moves the statistics of batch norm off their start
        model(torch.randn(16, size.channels, size.height, size.width))
    return model.eval()


@pytest.mark.parametrize("seed", range(5))
def test_onnx_agrees_with_torch(quick, faces, part, tmp_path, seed):
    genome = quick.sample(np.random.default_rng(seed))
    parity = export_onnx(genome, trained(genome), faces, part, tmp_path / "model.onnx")
    assert parity.images == 70
    assert parity.max_difference < 1e-4
    assert parity.same_labels == 1.0
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    found = Preprocessing.from_metadata(session.get_modelmeta().custom_metadata_map, "model")
    assert found.classes == faces.classes
    assert (found.genome_id, found.training_data) == (genome.id, "synthetic")


def test_a_difference_is_found(quick, faces, part, tmp_path):
    genome = quick.sample(np.random.default_rng(0))
    path = tmp_path / "model.onnx"
    export_onnx(genome, trained(genome), faces, part, path)
    assert check_parity(genome, trained(genome, 1), part, path).max_difference > 0.01


def test_weights_round_trip(quick, faces, tmp_path):
    genome = quick.sample(np.random.default_rng(0))
    model, path = trained(genome), tmp_path / "model.safetensors"
    save_weights(genome, model, faces, path)
    found = open_trained(path)
    assert found.genome == genome
    assert (found.classes, found.training_data) == (faces.classes, "synthetic")
    loaded = found.model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


def test_foreign_weights_are_refused(quick, proposed, faces, tmp_path):
    genome = quick.sample(np.random.default_rng(0))
    path = tmp_path / "model.safetensors"
    save_weights(genome, trained(genome), faces, path)
    with pytest.raises(UserError, match="no weights of genome 3fccb0f2dfab"):
        load_weights(proposed, path)
    path.write_bytes(b"\x80\x04 pickle or not")
    with pytest.raises(UserError, match="no weights of genome"):
        load_weights(genome, path)
    with pytest.raises(UserError, match="no weights of genome"):
        load_weights(genome, tmp_path / "missing.safetensors")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        open_trained(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="no genome in its metadata"):
        open_trained(path)
    lying = {"genome": proposed.to_json(), "classes": '["one"]', "training_data": "x"}
    save_file({"weight": torch.zeros(2)}, path, metadata=lying)
    with pytest.raises(UserError, match="classes: expected 7 names"):
        open_trained(path)


def test_a_smaller_input_is_cropped_in_both(quick, faces, part, tmp_path):
    genome = quick.sample(np.random.default_rng(1))
    smaller = dataclasses.replace(genome.input, height=40, width=40)
    genome = dataclasses.replace(genome, input=smaller)
    parity = export_onnx(genome, trained(genome), faces, part, tmp_path / "model.onnx")
    assert parity.same_labels == 1.0
