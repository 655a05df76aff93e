"""Exported files: the same answers from torch, float32 and int8; what the command says of them."""

import contextlib
import dataclasses
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT, shaken
from onnx import numpy_helper

from nas import export as command
from nas.arch.genome import Conv, Genome, Head, Input, Inverted, Stage
from nas.arch.onnx import to_onnx
from nas.common.cli import exit_code
from nas.data import save
from nas.deploy.checkpoint import open_trained, save_weights
from nas.deploy.export import check_parity, export_onnx, export_trained
from nas.deploy.latency import FEATURES
from nas.deploy.preprocessing import ModelInfo
from nas.deploy.runtime import open_model
from nas.realtime.recognizer import Recognizer
from nas.report.card import model_card
from nas.training.predict import Subset, logits
from nas.training.recipe import Augment, Recipe
from nas.training.trainer import train

pytestmark = pytest.mark.slow

# Strided and depthwise convolutions, squeeze and excite, a skip: what int8 may stumble over.
SMALL = Genome(
    Input(), 7,
    (Stage((Conv(8, 5, 2, activation="hardswish"),)),
     Stage((Inverted(8, expand=2, se_ratio=0.25), Conv(24, 3, 2)))),
    Head("flatten"),
)  # fmt: skip


@pytest.fixture(scope="module")
def part(faces):
    return Subset.of(faces, "validation")


@pytest.fixture(scope="module")
def network(faces, part, tmp_path_factory):
    """The weights of a small network that knows its training faces, in RUN/retrain/ID."""
    calm = Augment(probability=0.0, flip=0.0)
    recipe = Recipe(epochs=8, lr=0.01, augment=calm, label_smoothing=0.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads cost more than such a small network gives them to do
    model = train(SMALL, part.at(faces.indices("train")), part, recipe, seed=0).model
    torch.set_num_threads(threads)
    folder = tmp_path_factory.mktemp("run") / "retrain" / "small"
    folder.mkdir(parents=True)
    path = folder / "model.safetensors"
    save_weights(SMALL, model, faces, path)
    return path


@pytest.fixture(scope="module")
def exported(network, faces_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported")
    argv = ["--model", network.parent, "--data", faces_file, "--out", out]
    assert run(*argv) == 0
    return out


def run(*argv):
    return exit_code(command.main, [str(a) for a in argv])


def test_one_face_one_label_for_torch_float32_and_int8(network, exported, faces, part):
    """By the code that trains and by the code of the demo.

    int8 rounds: where torch's two best classes lie within a tenth of the range, it may differ.
    """
    known = part.at(faces.indices("train"))
    answers = logits(open_trained(network).model, SMALL, known)
    best = torch.softmax(answers, 1).topk(2).values
    sure, ours = (best[:, 0] - best[:, 1] > 0.1).numpy(), answers.argmax(1).numpy()
    assert sure.mean() > 0.9
    assert (ours == faces.labels[known.rows]).mean() > 0.9  # it knows what it says
    pixels = faces.images[known.rows][:, 0]
    for precision, name in (("fp32", "model.onnx"), ("int8", "model.int8.onnx")):
        recognizer = Recognizer(
            exported / "model.onnx", precision=precision, threshold=0.0,
            detector=lambda *_: [(0, 0, 48, 48)],
        )  # fmt: skip
        assert recognizer.model == exported / name
        theirs = [recognizer(face)[0].label for face in pixels]
        same = np.array(theirs) == np.array(faces.classes)[ours]
        assert same[sure].all() if name == "model.int8.onnx" else same.all(), name


def test_int8_is_int8_per_channel_with_the_same_metadata(exported):
    proto = onnx.load(exported / "model.int8.onnx")
    full = onnx.load(exported / "model.onnx")
    kinds = {init.name: init.data_type for init in proto.graph.initializer}
    scales = {init.name: init.dims for init in proto.graph.initializer}
    inputs = [n.input for n in proto.graph.node if n.op_type == "DequantizeLinear"]
    weights = [i for i in inputs if kinds.get(i[0]) == onnx.TensorProto.INT8]
    convs = [n for n in full.graph.node if n.op_type in ("Conv", "Gemm")]
    assert len(weights) == len(convs)
    assert all(len(scales[i[1]]) == 1 for i in weights)  # one scale for each output channel
    # CPUs with AVX2 alone add two products of uint8 and int8 in 16 bits.
    values = {init.name: numpy_helper.to_array(init) for init in proto.graph.initializer}
    largest = max(abs(values[i[0]].astype(int)).max() for i in weights)
    assert largest > 32
    assert 2 * 255 * largest <= 2**15 - 1
    int8, float32 = (open_model(exported / name) for name in ("model.int8.onnx", "model.onnx"))
    assert int8.info == float32.info


def test_int8_ranges_are_those_of_training_images(network, faces, tmp_path):
    images = faces.images.copy()
    images[faces.split != 0] //= 50  # the others are dark
    export_trained(open_trained(network), dataclasses.replace(faces, images=images), tmp_path)
    proto = onnx.load(tmp_path / "model.int8.onnx")
    constants = {init.name: numpy_helper.to_array(init) for init in proto.graph.initializer}
    first = next(n for n in proto.graph.node if "image" in n.input)
    info = open_model(tmp_path / "model.int8.onnx").info
    pixels = info.normalise(images[faces.split == 0])
    assert constants[first.input[1]] == pytest.approx(np.ptp(pixels) / 255, rel=1e-3)


def test_int8_ranges_are_those_of_images_from_everywhere(network, faces, tmp_path, monkeypatch):
    """Data sets are sorted by class: the first images would be of one."""
    monkeypatch.setattr("nas.deploy.export.CALIBRATION_IMAGES", 64)
    images = faces.images.copy()
    images[:105] //= 50  # the first half of the training images is dark
    dark = dataclasses.replace(faces, images=images)
    found = export_trained(open_trained(network), dark, tmp_path)
    assert found["calibration_images"] == 64
    proto = onnx.load(tmp_path / "model.int8.onnx")
    constants = {init.name: numpy_helper.to_array(init) for init in proto.graph.initializer}
    first = next(n for n in proto.graph.node if "image" in n.input)
    info = open_model(tmp_path / "model.int8.onnx").info
    assert constants[first.input[1]] > 0.8 * np.ptp(info.normalise(images[105:210])) / 255


def test_frames_a_second_are_those_of_each_file(network, faces, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.deploy.export.time_in_turns", lambda *_, **__: [2.0, 0.5])
    found = export_trained(open_trained(network), faces, tmp_path)
    assert [file["fps"] for file in found["files"]] == [500.0, 2000.0]
    assert found["calibration_images"] == 210  # all that there are
    assert found["validation_images"] == 70


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.01, False)])
def test_a_file_that_answers_otherwise_than_torch_is_told(
    network, faces, part, tmp_path, monkeypatch, factor, right
):
    """By a hundredth in its last layer, of which rounding explains a thousandth."""

    def nearly(genome, weights, metadata):
        last = list(weights)[-2]
        return to_onnx(genome, {**weights, last: weights[last] * np.float32(factor)}, metadata)

    monkeypatch.setattr("nas.deploy.export.to_onnx", nearly)
    expected = contextlib.nullcontext() if right else pytest.raises(RuntimeError, match="differs")
    with expected:
        export_onnx(SMALL, open_trained(network).model, faces, part, tmp_path / "model.onnx")


def test_any_batch(exported, faces):
    for name in ("model.onnx", "model.int8.onnx"):
        model = open_model(exported / name)
        for n in (1, 5):
            assert model(faces.images[:n]).shape == (n, 7)


def test_what_the_command_leaves(exported):
    found = json.loads((exported / "export.json").read_text())
    assert [f["file"] for f in found["files"]] == ["model.onnx", "model.int8.onnx"]
    for file in found["files"]:
        assert file["bytes"] == (exported / file["file"]).stat().st_size
        assert file["fps"] > 0
        assert file["same_labels"] >= 0.9  # of faces that it does not know
        assert file["probe_difference"] <= file["probe_limit"]
        off = abs(file["accuracy"] - found["torch_accuracy"])
        assert off <= 1 - file["same_labels"] + 1e-9
    assert found["environment"]["command"][:3] == ["python", "-m", "nas.export"]
    assert sorted(p.name for p in exported.iterdir()) == [
        "export.json", "model.int8.onnx", "model.onnx"]  # fmt: skip


def test_measured_and_predicted_fps_are_compared(
    network, faces_file, tmp_path, monkeypatch, capsys
):
    """The fps model is that of the run which holds the network, whatever folder one is in."""
    monkeypatch.chdir(network.parent)
    machine = network.parents[2] / "machine.json"
    slow = {
        "calibration": {
            "model": {"coefficients": [1e4, *[0.0] * (len(FEATURES) - 1)]}, "genomes": 40,
            "held_out_error": 0.1, "rank_correlation": 1.0, "seconds": 1.0,
        }
    }  # fmt: skip
    machine.write_text(json.dumps(slow))
    try:
        assert run("--model", network.name, "--data", faces_file, "--out", tmp_path) == 0
    finally:
        machine.unlink()
    printed = capsys.readouterr().out
    assert "the search's model predicted 0, measured" in printed
    assert "NOT within 20%" in printed
    assert "model.int8.onnx" in printed
    assert "points of accuracy" in printed
    assert command.compared(1000, 1100).endswith("(+10%, within 20%)")


def test_a_report_that_is_none_is_a_line(network, faces_file, tmp_path, capsys):
    report = network.parent / "report.json"
    report.write_text("{}")
    try:
        assert run("--model", network, "--data", faces_file, "--out", tmp_path) == 2
    finally:
        report.unlink()
    assert f"error: {report}: not a report of nas.retrain" in capsys.readouterr().err
    assert (tmp_path / "export.json").is_file()


def test_the_card_tells_of_int8(exported):
    report = json.loads((ROOT / "experiments/fer2013/retrain/found/report.json").read_text())
    found = json.loads((exported / "export.json").read_text())
    assert "model.int8.onnx" not in model_card(report)
    assert "`model.int8.onnx`: int8" in model_card(report, found)


def test_what_is_refused(network, faces, faces_file, tmp_path, capsys):
    other = dataclasses.replace(faces, classes=("a", "b", "c", "d", "e", "f", "g"))
    save(other, tmp_path / "other.npz")
    tiny = dataclasses.replace(faces, images=faces.images[:, :, :24, :24])
    save(tiny, tmp_path / "tiny.npz")
    rows = np.flatnonzero(faces.split != 0)
    no_train = dataclasses.replace(
        faces, images=faces.images[rows], labels=faces.labels[rows], split=faces.split[rows]
    )
    save(no_train, tmp_path / "no_train.npz")
    (tmp_path / "file").write_text("")
    ours = ["--model", network, "--data", faces_file, "--out", tmp_path / "out"]
    cases = [
        (["--model", tmp_path / "missing"], "missing': no such file"),
        (["--model", tmp_path], "no model in this folder; expected model.safetensors"),
        ([*ours, "--data", tmp_path / "other.npz"], "classes 'a', 'b', 'c'"),
        ([*ours, "--data", tmp_path / "tiny.npz"], "does not fit"),
        ([*ours, "--data", tmp_path / "no_train.npz"], "no train images"),
        ([*ours, "--data", "nothing"], "data 'nothing': no prepared data set"),
        ([*ours, "--search", tmp_path], "machine.json: cannot read"),
        ([*ours, "--search", ROOT / "experiments/nowhere"], "machine.json: cannot read"),
        ([*ours, "--out", tmp_path / "file"], "cannot create"),
    ]
    for argv, message in cases:
        assert run(*argv) == 2, argv
        lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
        assert len(lines) == 1
        assert message in lines[0], (message, lines)


@pytest.mark.parametrize("seed", range(5))
def test_onnx_agrees_with_torch(quick, faces, part, tmp_path, seed):
    genome = quick.sample(np.random.default_rng(seed)).genome
    parity = export_onnx(genome, shaken(genome), faces, part, tmp_path / "model.onnx")
    assert parity.images == 70
    assert parity.max_difference < 1e-4
    assert parity.same_labels == 1.0
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    found = ModelInfo.from_metadata(session.get_modelmeta().custom_metadata_map, "model")
    assert found.classes == faces.classes
    assert (found.genome_id, found.training_data) == (genome.id, "synthetic")


def test_a_difference_is_found(quick, faces, part, tmp_path):
    genome = quick.sample(np.random.default_rng(0)).genome
    path = tmp_path / "model.onnx"
    export_onnx(genome, shaken(genome), faces, part, path)
    assert check_parity(genome, shaken(genome, 1), part, path).max_difference > 0.01


def test_a_smaller_input_is_cropped_in_both(quick, faces, part, tmp_path):
    genome = quick.sample(np.random.default_rng(1)).genome
    smaller = dataclasses.replace(genome.input, height=40, width=40)
    genome = dataclasses.replace(genome, input=smaller)
    parity = export_onnx(genome, shaken(genome), faces, part, tmp_path / "model.onnx")
    assert parity.same_labels == 1.0
