"""Memory and int8 bytes, by hand and against a file that was exported."""

from math import prod

import numpy as np
import onnx
import pytest
import torch
from drawn import make

from nas.arch.block import searchable_kinds
from nas.arch.footprint import int8_size, peak_memory
from nas.arch.genome import Conv, Genome, Head, Input, Residual, Stage
from nas.arch.lowering import lower
from nas.arch.module import build
from nas.common.resources import MODELS
from nas.deploy.checkpoint import TrainedModel
from nas.deploy.export import write_onnx
from nas.deploy.quantise import quantise
from nas.deploy.runtime import open_model


def network(*blocks, side=8):
    return Genome(Input(1, side, side), 2, (Stage(blocks),), Head())


def test_peak_memory_by_hand():
    """A chain holds an input and an output; a skip holds its input as well."""
    chain = network(Conv(4, 3), Conv(2, 3))
    assert peak_memory(chain) == 4 * 64 * (4 + 2)  # before it 1 + 4, norms work in place
    skip = network(Conv(4, 3), Residual(4, 3))
    assert peak_memory(skip) == 4 * 64 * (4 + 4 + 4)  # in, between, out of the second convolution
    projected = network(Conv(4, 3), Residual(6, 3))
    assert peak_memory(projected) == 4 * 64 * (4 + 6 + 6)


@pytest.mark.parametrize("kind", sorted(searchable_kinds()))
def test_every_kind_of_block_holds_at_least_input_and_output(kind):
    block = searchable_kinds()[kind](channels=8)
    genome = network(Conv(8, 3), block)
    units = lower(genome)
    one = 4 * prod(units[1].in_shape)
    assert 2 * one <= peak_memory(genome) <= 4 * units[1].cost.activations


@pytest.mark.parametrize("name", ["model", "best"])
def test_int8_size_is_that_of_the_shipped_file(name):
    genome = open_model(MODELS.path(name)).info.genome
    stored = stored_bytes(MODELS.path(f"{name}.int8"))
    assert int8_size(Genome.from_dict(genome)) == stored


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(searchable_kinds()))
def test_int8_size_of_every_kind_of_block(kind, tmp_path):
    """Exported for real."""
    cls = searchable_kinds()[kind]
    gates = ("none", "eca", "coordinate") if "attention" in cls.genes() else ("none",)
    more = {"se_ratio": 0.25} if "se_ratio" in cls.genes() else {}
    blocks = [cls(channels=16, **more, **({"attention": gate} if gate != "none" else {}))
              for gate in gates]  # fmt: skip
    genome = network(Conv(16, 3), *blocks)
    dataset = make(n=20, classes=2)
    torch.manual_seed(0)
    model = build(genome)
    write_onnx(TrainedModel.on(dataset, genome, model), tmp_path / "model.onnx")
    batches = [np.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype(np.float32)]
    quantise(tmp_path / "model.onnx", tmp_path / "int8.onnx", batches)
    assert stored_bytes(tmp_path / "int8.onnx") == int8_size(genome)


def stored_bytes(path):
    """Of weights and biases, with a scale and a zero point for each channel of the weights.

    Not the scales of activations, nor those of biases, which some versions of ONNX Runtime store
    though they follow from others.
    """
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    follows = ("_quantized_scale", "_quantized_zero_point")
    return sum(
        array.nbytes for name, array in arrays.items()
        if array.ndim and array.dtype != np.int64 and not name.endswith(follows)
    )  # fmt: skip
