"""The three readings of the lowered layers agree: cost, torch, ONNX."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agreement import check
from conftest import REFERENCES, SPACES
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.arch.genome import (
    Conv,
    Dense,
    Genome,
    Head,
    Input,
    Inverted,
    Pool,
    Residual,
    Separable,
    Stage,
)
from nas.arch.lowering import cost, describe
from nas.arch.module import DepthwiseConv2d, StridedPointwiseConv2d, build
from nas.arch.onnx import to_onnx
from nas.common.errors import UserError
from nas.space.space import SearchSpace

LOADED = [SearchSpace.load(path).for_data(3, 2, 24, 26) for path in SPACES]
LARGE = ("fer", "fer_5m", "fer_wide")
seeds = st.integers(0, 10**6)


def everything(activation, norm, pool):
    """A network with every kind of block and an odd setting of each."""
    return Genome(
        Input(2, 37, 41, 32), 5,
        (
            Stage((Conv(6, 5, 2, "valid", norm, activation), Pool(pool, 3, 2, "same", 0.1))),
            Stage((Residual(6, 3, 1, 0.5, activation), Residual(8, 5, 2, 0.0, activation))),
            Stage((Inverted(8, 3, 1, 3, 0.3, activation), Inverted(10, 5, 1, 1, 0.0, activation))),
            Stage((Separable(10, 3, 1, activation), Separable(6, 5, 2, activation))),
            Stage((Pool(pool), Conv(7, 1, norm="none"))),
        ),
        Head("max", 0.1, (Dense(9, True, activation, 0.2), Dense(6, False, "none"))),
        bias=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "space",
    [pytest.param(s, marks=pytest.mark.slow if s.name in LARGE else ()) for s in LOADED],
    ids=lambda s: s.name,
)
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_sampled_genomes(space, seed):
    check(space.sample(np.random.default_rng(seed)).genome)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "hardswish"])
@pytest.mark.parametrize(("norm", "pool"), [("after", "max"), ("before", "avg"), ("none", "avg")])
def test_every_block_and_setting(activation, norm, pool):
    check(everything(activation, norm, pool))


def test_fully_convolutional_head():
    check(Genome(Input(1, 20, 24), 5, (Stage((Separable(6, 3, 2),)),), Head("conv", 0.2)))


def test_dropout_stands_where_the_genome_has_it():
    """It changes no cost and no answer, so nothing else would miss it."""
    fully = Genome(Input(1, 20, 24), 5, (Stage((Separable(6, 3, 2),)),), Head("conv", 0.2))
    mixed = everything("relu", "after", "max")
    for genome, rates in ((fully, [0.2]), (mixed, [0.1, 0.1, 0.2])):
        assert [m.p for m in build(genome).modules() if isinstance(m, nn.Dropout)] == rates


GOLDEN = {  # trained parameters and MACs of every reference network
    "alexnet": (57_017_031, 663_269_952),
    "fernet": (980_711, 33_105_664),
    "mini_xception": (56_951, 5_520_448),
    "proposed": (784_263, 41_040_768),
    "resnet": (5_325_159, 651_831_040),
    "vggnet": (29_890_759, 350_519_296),
}


@pytest.mark.parametrize("path", REFERENCES, ids=lambda p: p.stem)
def test_golden_costs_of_the_references(path):
    found = cost(Genome.load(path))
    assert (found.params, found.macs) == GOLDEN[path.stem]


def test_vggnet_has_the_published_share_of_convolutions():
    (path,) = (p for p in REFERENCES if p.stem == "vggnet")
    model = build(Genome.load(path))
    convolutions = (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d))
    assert sum(p.numel() for m in convolutions for p in m.parameters()) == 4_688_064


def test_mini_xception_has_its_count_with_statistics():
    (path,) = (p for p in REFERENCES if p.stem == "mini_xception")
    genome = Genome.load(path)
    check(genome)
    state = build(genome).state_dict()
    assert sum(v.numel() for k, v in state.items() if "num_batches" not in k) == 58_423


def test_proposed_is_what_the_report_describes(proposed):
    check(proposed)
    text = describe(proposed)
    assert "784,263" in text
    assert math.isclose(cost(proposed).params * 4 / 2**20, 2.99, abs_tol=0.01)


def test_a_genome_too_large_is_refused_before_it_is_built():
    huge = Genome(
        Input(1, 512, 512), 7, (Stage((Conv(4096),)), Stage((Conv(4096, 11),) * 3)), Head("flatten")
    )
    with pytest.raises(UserError, match="are built"):
        build(huge)
    with pytest.raises(UserError, match="are built"):
        to_onnx(huge)


def test_a_network_without_pixels_is_refused():
    genome = Genome(Input(1, 8, 8), 7, (Stage((Pool(kernel=7), Pool())),), Head())
    with pytest.raises(UserError, match=r"stages\[0\].blocks\[1\]: a pool of kernel 2"):
        build(genome)


TRAINS = """
import torch
from nas.arch.genome import Conv, Genome, Head, Input, Residual, Stage
from nas.arch.module import build
for channels in (1, 2, 4, 6):
    genome = Genome(Input(1, 48, 48), 7, (
        Stage((Conv(channels, 3, 1),)), Stage((Residual(24, 3, 2), Residual(32, 3, 2))),
    ), Head("avg"))
    model = build(genome).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for _ in range(4):
        x = torch.randn(32, 1, 48, 48).contiguous(memory_format=torch.channels_last)
        model(x).square().mean().backward()
        optimizer.step()
print("trained")
"""


@pytest.mark.slow
def test_a_strided_pointwise_convolution_trains_without_corrupting_memory():
    """oneDNN's weight gradient crashed for few input channels; in a process of its own."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "MALLOC_CHECK_": "3"}
    done = subprocess.run(
        [sys.executable, "-c", TRAINS], env=environment, capture_output=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, b"trained\n"), done.stderr[-500:]


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
def test_a_strided_pointwise_convolution_is_torchs_own(channels):
    ours = StridedPointwiseConv2d(channels, 5, 1, 2)
    plain = torch.nn.Conv2d(channels, 5, 1, 2)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(3, channels, 9, 12)
    for module in (ours, plain):
        module(x).square().sum().backward()
    torch.testing.assert_close(ours(x), plain(x))
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_depthwise_gives_torchs_values_and_gradients(kernel, stride, bias):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(6, 6, kernel, stride, kernel // 2, groups=6, bias=bias)
    x = torch.randn(3, 6, 11, 9).contiguous(memory_format=torch.channels_last).requires_grad_()
    leaves = [x, *layer.parameters()]
    y = layer(x)
    expected = F.conv2d(x, layer.weight, layer.bias, stride, kernel // 2, groups=6)
    weights = torch.randn_like(y)
    torch.testing.assert_close(y, expected)
    found = torch.autograd.grad((y * weights).sum(), leaves)
    torch.testing.assert_close(found, torch.autograd.grad((expected * weights).sum(), leaves))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)])
def test_depthwise_under_autocast_is_the_same_convolution(kernel, stride):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(8, 8, kernel, stride, kernel // 2, groups=8)
    x = torch.randn(2, 8, 10, 10)
    expected = layer(x)
    (of_weight,) = torch.autograd.grad(expected.square().sum(), layer.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.05)
    found.float().square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, of_weight, atol=1.0, rtol=0.05)


@pytest.mark.parametrize(("groups", "padding", "kernel"), [(2, 2, 5), (8, 0, 5), (8, 3, 6)])
def test_other_grouped_convolutions_are_torchs(groups, padding, kernel):
    layer = DepthwiseConv2d(8, 8, kernel, 1, padding, groups=groups)
    x = torch.randn(2, 8, 10, 10)
    expected = F.conv2d(x, layer.weight, layer.bias, padding=padding, groups=groups)
    torch.testing.assert_close(layer(x), expected)
