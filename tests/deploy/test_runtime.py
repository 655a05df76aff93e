"""Model files that are refused before anything runs, and one that is taken."""

import dataclasses

import numpy as np
import onnx
import pytest
from conftest import REFERENCES, ROOT
from onnx import TensorProto, helper, numpy_helper

from nas.arch.genome import Genome
from nas.arch.onnx import to_onnx
from nas.common.errors import UserError
from nas.data import CLASSES
from nas.deploy import runtime as onnx_session
from nas.deploy.limits import BATCH, check_graph
from nas.deploy.preprocessing import METADATA_KEY, ModelInfo
from nas.deploy.runtime import open_model

OURS = ModelInfo(1, 8, 8, tuple("abcd"), training_data="x", genome_id="ab")


def proto(metadata=None, outputs=4, kind=TensorProto.FLOAT):
    """A linear classifier of 8x8 images."""
    value = helper.make_tensor_value_info
    weight = helper.make_tensor("w", TensorProto.FLOAT, [64, outputs], np.ones(64 * outputs))
    nodes = [
        helper.make_node("Relu", ["image"], ["x"]),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [value("image", kind, ["n", 1, 8, 8])],
        [value("logits", TensorProto.FLOAT, ["n", outputs])], [weight],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, OURS.to_metadata() if metadata is None else metadata)
    return made


@pytest.fixture
def refusal(tmp_path):
    """The line that refuses a model."""
    path = tmp_path / "m.onnx"

    def refuse(made):
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        with pytest.raises(UserError) as error:
            open_model(path)
        assert str(error.value).startswith(str(path))
        return str(error.value)

    return refuse


def test_a_fitting_model_is_taken(tmp_path):
    onnx.save(proto(), tmp_path / "m.onnx")
    model = open_model(tmp_path / "m.onnx")
    assert model.info == OURS
    logits = model.run(np.ones((3, 1, 8, 8), np.float32))
    np.testing.assert_allclose(logits, np.full((3, 4), 64.0))


def test_a_model_is_given_as_many_images_at_once_as_were_checked(tmp_path):
    """nas.evaluate gave it 256 of them: 32 times the memory that a foreign file may take."""
    onnx.save(proto(), tmp_path / "m.onnx")
    model, given = open_model(tmp_path / "m.onnx"), []

    class Watched:
        get_inputs = model.session.get_inputs

        def run(self, outputs, inputs):
            given.append(len(inputs["image"]))
            return model.session.run(outputs, inputs)

    watched = dataclasses.replace(model, session=Watched())
    pixels = np.arange(BATCH + 3, dtype=np.uint8)[:, None, None, None].repeat(64, 1)
    x = pixels.reshape(-1, 1, 8, 8)
    logits = watched.run(x.astype(np.float32))
    assert given == [BATCH, 3]
    np.testing.assert_allclose(logits, 64.0 * np.arange(BATCH + 3)[:, None].repeat(4, 1))
    np.testing.assert_allclose(watched(x), model.run(OURS.normalise(x)))
    assert given == [BATCH, 3] * 2


def test_a_model_that_takes_a_fixed_number_of_images_is_a_line(tmp_path):
    """A picture of several faces ended the demo with a traceback."""
    made = proto()
    for value in (made.graph.input[0], made.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(made, tmp_path / "m.onnx")
    model = open_model(tmp_path / "m.onnx")
    assert model.run(np.ones((1, 1, 8, 8), np.float32)).shape == (1, 4)
    with pytest.raises(UserError, match=r"m\.onnx: cannot be run: .*invalid dimensions"):
        model.run(np.ones((2, 1, 8, 8), np.float32))


def test_metadata_that_do_not_fit(refusal):
    other_size = dataclasses.replace(OURS, height=48, width=48).to_metadata()
    assert "takes [1, 8, 8] and gives [4]; its metadata say [1, 48, 48]" in refusal(
        proto(other_size)
    )
    assert "[1, 8, 8] and 7 classes" in refusal(
        proto(dataclasses.replace(OURS, classes=CLASSES).to_metadata())
    )
    colour = dataclasses.replace(OURS, channels=3).to_metadata()
    assert "[3, 8, 8]" in refusal(proto(colour))
    assert "not a readable ONNX model" in refusal(proto(kind=TensorProto.UINT8))
    assert "written by nas.retrain" in refusal(proto({}))  # somebody else's
    lacking = OURS.to_metadata()[METADATA_KEY].replace('"margin": 0.0, ', "")
    assert "lacks field 'margin'" in refusal(proto({METADATA_KEY: lacking}))
    nan = OURS.to_metadata()[METADATA_KEY].replace('"std": 63.75', '"std": NaN')
    assert "std: must be finite" in refusal(proto({METADATA_KEY: nan}))


def with_node(op, inputs, constants=(), **attributes):
    """The classifier with one node more, beside it. constants: (name, array)."""
    made = proto()
    made.graph.node.append(helper.make_node(op, inputs, ["more"], **attributes))
    for name, array in constants:
        made.graph.initializer.append(numpy_helper.from_array(array, name))
    return made


@pytest.mark.parametrize(
    "op",
    ["Einsum", "MatMul", "RNN", "LSTM", "Tile", "Expand", "ConstantOfShape", "NonZero", "Pad",
     "SequenceConstruct", "RandomNormal", "ConvTranspose", "Range", "Loop"],
)  # fmt: skip
def test_operators_that_we_do_not_write_are_refused(refusal, op):
    message = refusal(with_node(op, ["x"]))
    assert f"unknown operator '{op}'; expected one of Add, AveragePool" in message


def test_a_graph_that_takes_gigabytes_or_hours_is_refused_before_it_runs(refusal):
    def sizes(*numbers):
        return np.array(numbers, np.int64)

    larger = with_node("Resize", ["x", "", "", "to"], [("to", sizes(8, 1, 10_000, 10_000))])
    assert "800,001,056 values for 8 images; allowed at most 400,000,000" in refusal(larger)
    grown = with_node("Resize", ["x", "", "", "to"], [("to", sizes(8, 1, 2000, 2000))])
    kernel = np.zeros((1, 1, 31, 31), np.float32)
    grown.graph.node.append(helper.make_node("Conv", ["more", "k"], ["wide"]))
    grown.graph.initializer.append(numpy_helper.from_array(kernel, "k"))
    # 8 images x 1970 x 1970 places x 31 x 31 weights
    assert "a buffer of 29,836,359,200 values; allowed at most 400,000,000" in refusal(grown)
    chain = with_node("Gemm", ["a", "b"], [("a", np.zeros((9000, 1), np.float32)),
                                           ("b", np.zeros((1, 9000), np.float32))])  # fmt: skip
    chain.graph.node.append(helper.make_node("Gemm", ["more", "more"], ["most"]))
    # 9000 x 9000 x 1, then 9000 x 9000 x 9000; the classifier's own 8 x 64 x 4 and 8 x 128
    assert "would take 729,081,003,072 multiply-accumulates" in refusal(chain)


def test_a_transposed_product_counts_the_side_that_is_summed_over(refusal):
    ends = [("a", np.zeros((20_000, 1), np.float32)), ("b", np.zeros((1, 5000), np.float32))]
    tall = with_node("Gemm", ["a", "b"], ends)
    tall.graph.node.append(helper.make_node("Gemm", ["more", "more"], ["most"], transA=1))
    # 20,000 x 5000, then 5000 x 20,000 x 5000; the classifier's own 8 x 64 x 4 and 8 x 128
    assert "would take 500,100,003,072 multiply-accumulates" in refusal(tall)


def test_a_size_that_is_not_known_before_the_graph_runs_is_refused(refusal):
    claimed = with_node("Resize", ["x", "", "", "to"])
    claimed.graph.node.insert(0, helper.make_node("Relu", ["image"], ["to"]))
    shape = helper.make_tensor_value_info("more", TensorProto.FLOAT, [8, 1, 2, 2])
    claimed.graph.value_info.append(shape)  # a lie
    assert "not" in refusal(claimed)
    sparse = proto()
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    tensor = helper.make_sparse_tensor(values, indices, [10**5, 10**5])
    sparse.graph.sparse_initializer.append(tensor)
    assert "sparse weights" in refusal(sparse)
    assert "expected plain ONNX operators" in refusal(with_node("Gelu", ["x"], domain="other"))
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "b", [], [])
    assert "expected plain ONNX" in refusal(with_node("Relu", ["x"], body=branch))


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").rglob("*.onnx")), ids=str)
def test_every_committed_model_is_taken(path):
    model = open_model(path)
    answers = model(np.zeros((2, model.info.channels, 48, 48), np.uint8))
    assert answers.shape == (2, 7)
    assert (answers[0] == answers[1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_the_references_are_within_the_bounds(path, tmp_path):
    genome = Genome.from_json(path.read_text())
    check_graph(to_onnx(genome).SerializeToString(), "model")


def test_files_that_are_no_models(refusal, tmp_path, monkeypatch):
    assert "not a readable ONNX model" in refusal(b"hello, I am text")
    assert "not a readable ONNX model" in refusal(proto().SerializeToString()[:200])
    with pytest.raises(UserError, match="no such model file"):
        open_model(tmp_path / "missing.onnx")
    with pytest.raises(UserError, match="cannot read: Is a directory"):
        open_model(tmp_path)
    monkeypatch.setattr(onnx_session, "MAX_MODEL_BYTES", 100)
    assert "larger than 100 bytes" in refusal(proto())


@pytest.mark.parametrize("place", ["initializer", "inside a node"])
def test_weights_outside_the_file_are_not_looked_for(refusal, tmp_path, place):
    """A model must not make its reader open other files, in its own folder or outside."""
    np.ones(256, np.float32).tofile(tmp_path / "weights.bin")
    made = proto()
    tensor = made.graph.initializer[0]
    if place == "inside a node":
        node = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("t", 1, [1], [0]))
        made.graph.node.append(node)
        tensor = made.graph.node[-1].attribute[0].t
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    for location in ("weights.bin", "../../../etc/passwd"):
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=location)
        assert "keeps weights in another file" in refusal(made)
