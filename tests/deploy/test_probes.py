"""A file tests the machine that opens it; a variant with wrong answers is not used."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT, TINY, shaken

from nas.common.errors import UserError
from nas.data import CLASSES, Dataset
from nas.deploy import runtime
from nas.deploy.checkpoint import TrainedModel
from nas.deploy.export import write_onnx
from nas.deploy.probes import METADATA_KEY, Probes, enlarge
from nas.deploy.quantise import quantise
from nas.deploy.runtime import choose_model, open_model

pytestmark = pytest.mark.slow

SHIPPED = ROOT / "experiments/models"


@pytest.fixture
def pair(tmp_path, faces: Dataset):
    """model.onnx and, in the place of its int8 form, a copy."""
    path = tmp_path / "model.onnx"
    write_onnx(TrainedModel.on(faces, TINY, shaken(TINY)), path)
    shutil.copy(path, tmp_path / "model.int8.onnx")
    return path, tmp_path / "model.int8.onnx"


def rewrite(path, metadata=None, weights=1.0):
    """The file with other metadata, and with its weights times a number."""
    model = onnx.load(path)
    found = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**found, **(metadata or {})})
    if metadata is None:
        onnx.helper.set_model_props(model, {k: v for k, v in found.items() if k != METADATA_KEY})
    for tensor in model.graph.initializer:
        scaled = (onnx.numpy_helper.to_array(tensor) * weights).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(scaled, tensor.name))
    path.write_bytes(model.SerializeToString())


def test_difference_is_relative_and_without_the_common_part():
    def linear(images):
        return images.reshape(len(images), -1)[:, :3].astype(np.float32)

    probes = Probes.of(linear, 1, 12, 12, 0.1)
    assert probes.squares.shape == (8, 1, 6, 6)
    assert probes.difference(linear, 12, 12) == 0
    assert probes.difference(lambda x: 1.25 * linear(x), 12, 12) == pytest.approx(0.25)
    assert probes.difference(lambda x: linear(x) + 7, 12, 12) == pytest.approx(0, abs=1e-6)
    assert probes.difference(lambda x: 0 * linear(x), 12, 12) == pytest.approx(1)
    nan = runtime.Check(SHIPPED, probes.difference(lambda x: np.nan * linear(x), 12, 12), 0.1)
    assert not nan.ok


def test_every_pixel_is_of_its_square():
    squares = np.arange(36, dtype=np.uint8).reshape(1, 1, 6, 6)
    large = enlarge(squares, 12, 18)
    assert large.shape == (1, 1, 12, 18)
    np.testing.assert_array_equal(large[0, 0, ::2, ::3], squares[0, 0])
    np.testing.assert_array_equal(large[0, 0, 1::2, 2::3], squares[0, 0])


def test_torchs_answers_travel_with_the_file(pair, faces):
    model = open_model(pair[0])
    assert model.check().ok
    images = torch.from_numpy(enlarge(model.probes.squares, 48, 48)).float()
    with torch.no_grad():
        logits = shaken(TINY)((images - 127.5) / 63.75).numpy()
    np.testing.assert_allclose(model.probes.logits, logits, rtol=1e-5, atol=1e-6)


def test_the_faster_of_two_right_files_is_used(pair, monkeypatch):
    """Speed is decided by a clock; here the clock is given."""
    float32, int8 = pair
    for faster in pair:
        take = [2.0 - (path == faster) for path in pair]
        monkeypatch.setattr(runtime, "time_in_turns", lambda *_, times=take, **__: times)
        assert choose_model(float32).path == faster
    assert choose_model(float32, "fp32").path == float32
    assert choose_model(float32, "int8").path == int8


def test_a_faster_file_with_wrong_answers_is_not_used(pair, monkeypatch, caplog):
    float32, int8 = pair
    monkeypatch.setattr(runtime, "time_in_turns", lambda *_, **__: [2.0, 1.0])
    rewrite(int8, metadata={}, weights=0.5)
    assert choose_model(float32).path == float32
    (line,) = caplog.messages
    assert f"{int8}: on this machine its logits are off by" in line
    assert line.endswith("allowed 1%; using model.onnx")
    for wanted in (int8, float32):
        with pytest.raises(UserError, match=r"off by .* allowed 1%; expected another file"):
            choose_model(wanted, "int8")


def test_a_wrong_file_without_probes_is_found_by_the_float32_one(pair, monkeypatch, caplog):
    """Files of version 0.1 carry none."""
    float32, int8 = pair
    monkeypatch.setattr(runtime, "time_in_turns", lambda *_, **__: [2.0, 1.0])
    rewrite(int8)
    assert open_model(int8).check() is None
    assert choose_model(float32).path == int8
    rewrite(int8, weights=0.5)
    assert choose_model(float32).path == float32
    assert "using model.onnx" in caplog.text


def test_int8_of_the_same_network_trained_otherwise_is_not_used(pair, faces, monkeypatch, caplog):
    """model.onnx was written anew, and the int8 file is of the weights of before."""
    float32, int8 = pair
    monkeypatch.setattr(runtime, "time_in_turns", lambda *_, **__: [2.0, 1.0])
    assert choose_model(float32).path == int8
    write_onnx(TrainedModel.on(faces, TINY, shaken(TINY, seed=1)), float32)
    assert open_model(int8).check().ok
    assert choose_model(float32).path == float32
    assert f"{int8}: on this machine its logits are off by" in caplog.text
    with pytest.raises(UserError, match=r"off by .* expected another file"):
        choose_model(float32, "int8")


def test_int8_of_another_network_is_refused(pair):
    pair[1].write_bytes((SHIPPED / "model.int8.onnx").read_bytes())
    with pytest.raises(UserError, match="is of another network"):
        choose_model(pair[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "is not of format"),
        ({"squares": [[[[0] * 6] * 6]] * 9}, "expected 1 to 8 times 1x6x6 pixels"),
        ({"squares": [[[[256] * 6] * 6]] * 8}, "expected 1 to 8 times 1x6x6 pixels"),
        ({"squares": [[[[0.5] * 6] * 6]] * 8}, "expected 1 to 8 times 1x6x6 pixels"),
        ({"squares": 3}, "expected 1 to 8 times 1x6x6 pixels"),
        ({"squares": []}, "expected 1 to 8 times 1x6x6 pixels"),
        ({"logits": [[0.0] * 6] * 8}, "expected 8 times 7 finite numbers"),
        ({"logits": [[float("nan")] * 7] * 8}, "expected 8 times 7 finite numbers"),
        ({"logits": None}, "finite numbers"),
        ({"limit": 2}, "expected a number in"),
        ({"limit": "x"}, "is not of format"),
    ],
)
def test_probes_that_are_none(change, message):
    right = Probes.of(lambda x: np.zeros((len(x), 7), np.float32), 1, 8, 8, 0.1)
    assert Probes.from_metadata(right.to_metadata(), 1, 7, "m") is not None
    text = json.dumps({**right.to_dict(), **change})
    with pytest.raises(UserError, match=f"m: metadata '{METADATA_KEY}'.*{message}"):
        Probes.from_metadata({METADATA_KEY: text}, 1, 7, "m")


@pytest.mark.parametrize("name", ["model", "best"])
def test_the_shipped_files_check_this_machine(name):
    for file, limit in ((f"{name}.onnx", 0.01), (f"{name}.int8.onnx", 0.15)):
        model = open_model(SHIPPED / file)
        found = model.check()
        assert found.ok
        assert found.limit == limit
        assert model.info.classes == CLASSES


@pytest.mark.parametrize("name", ["model", "best"])
def test_no_sum_of_two_products_in_the_shipped_int8_model_leaves_16_bits(name):
    weights = [
        onnx.numpy_helper.to_array(t).astype(int)
        for t in onnx.load(SHIPPED / f"{name}.int8.onnx").graph.initializer
        if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1
    ]
    assert len(weights) > 10
    assert 2 * 255 * max(abs(w).max() for w in weights) <= 2**15 - 1


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-user")
@pytest.mark.parametrize("name", ["model", "best"])
def test_the_shipped_int8_model_is_right_on_a_cpu_without_vnni(name):
    code = (
        "from pathlib import Path; from nas.deploy.runtime import open_model; "
        f"print(open_model(Path({str(SHIPPED / f'{name}.int8.onnx')!r})).check().ok)"
    )
    done = subprocess.run(
        ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", code],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "True"


def test_int8_is_allowed_its_own_rounding(pair):
    """Calibrated on too small inputs, ranges clip; on far too large ones, steps are too coarse."""
    path, int8 = pair
    noise = np.random.default_rng(0).normal(size=(64, 1, 48, 48)).astype(np.float32)
    off = []
    for scale in (2.0, 1.0, 0.3, 0.1, 1000.0):
        quantise(path, int8, [noise * scale])
        found = open_model(int8).check()
        off.append(found.difference)
        assert found.limit == pytest.approx(
            max(0.15, 1.25 * off[-1]) if off[-1] <= 0.5 else 0.15, rel=1e-3
        )
        assert found.ok == (off[-1] <= 0.5)
    assert off[0] < 0.15
    assert any(0.15 < each <= 0.5 for each in off)
    assert off[-1] > 0.5
