"""Inheritance: the function is kept by every move that can keep it; every child gets weights."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import SPACES
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
from nas.arch.module import build
from nas.space import space as spaces
from nas.space.operators import crossover, mutate
from nas.training.inheritance import inherit

LOADED = [spaces.load(path) for path in SPACES]
BASE = Genome(
    Input(1, 24, 24), 5,
    (
        Stage((Conv(6, 3, 2),)),
        Stage((Residual(8, 3, 2, 0.25), Residual(8), Conv(8))),
        Stage((Pool(), Inverted(10, 3, 1, 2, 0.25), Inverted(10, 5, 1, 3), Separable(12))),
    ),
    Head("avg", 0.1, (Dense(16, True),)),
)  # fmt: skip


def trained(genome, seed=0):
    """Weights with statistics and biases as after a training."""
    torch.manual_seed(seed)
    model = build(genome)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
            elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.normal_(0, 0.2)
    return model.state_dict()


def logits(genome, weights):
    model = build(genome)
    model.load_state_dict(weights)
    size = genome.input
    x = torch.randn(
        4, size.channels, size.height, size.width, generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        return model.eval()(x)


def with_block(s, b, **change):
    blocks = list(BASE.stages[s].blocks)
    blocks[b] = dataclasses.replace(blocks[b], **change)
    return with_blocks(s, blocks)


def with_blocks(s, blocks):
    stages = list(BASE.stages)
    stages[s] = Stage(tuple(blocks))
    return dataclasses.replace(BASE, stages=tuple(stages))


def widened(s, channels):
    return with_blocks(s, [
        block if isinstance(block, Pool) else dataclasses.replace(block, channels=channels)
        for block in BASE.stages[s].blocks
    ])  # fmt: skip


def inserted(s, at, block):
    blocks = list(BASE.stages[s].blocks)
    return with_blocks(s, [*blocks[:at], block, *blocks[at:]])


def hidden(*layers):
    return dataclasses.replace(BASE, head=Head("avg", 0.1, layers))


KEPT = {
    "wider stem": widened(0, 15),
    "wider stage of residuals": widened(1, 20),
    "wider last block": with_block(2, 3, channels=24),
    "wider expansion": with_block(2, 1, expand=5),
    "wider squeeze": with_block(2, 1, se_ratio=0.75),
    "larger kernel": with_block(1, 2, kernel=7),
    "larger kernel at a stride": with_block(1, 0, kernel=5),
    "larger depthwise kernel": with_block(2, 1, kernel=7),
    "SE in a residual": with_block(1, 1, se_ratio=0.5),
    "SE in an inverted": with_block(2, 2, se_ratio=0.5),
    "residual more": inserted(1, 1, Residual(8)),
    "conv more": inserted(1, 3, Conv(8, 5)),
    "conv more, no norm": inserted(1, 3, Conv(8, 3, norm="none")),
    "inverted more": inserted(2, 2, Inverted(10, 5, 1, 6, 0.25, "hardswish")),
    "inverted without expansion more": inserted(2, 3, Inverted(10, 5, 1, 1)),
    "separable more": inserted(2, 4, Separable(12, 5)),
    "bias more": dataclasses.replace(BASE, bias=True),
    "wider dense": hidden(Dense(40, True)),
    "dense more": hidden(Dense(16, True), Dense(32)),
    "two dense more": hidden(Dense(16, True), Dense(32, True), Dense(16)),
    "flatten": dataclasses.replace(BASE, head=dataclasses.replace(BASE.head, pool="flatten")),
    "dropout": hidden(Dense(16, True, dropout=0.5)),
}


@pytest.mark.parametrize("child", KEPT.values(), ids=KEPT)
def test_function_is_kept(child):
    weights = trained(BASE)
    found = logits(child, inherit(BASE, weights, child))
    torch.testing.assert_close(found, logits(BASE, weights), atol=1e-4, rtol=1e-4)


def test_several_moves_at_once():
    child = dataclasses.replace(
        BASE,
        bias=True,
        stages=(
            Stage((Conv(9, 5, 2),)),
            Stage((Residual(17, 3, 2, 0.25), Residual(17), Residual(17), Conv(17))),
            Stage((Pool(), Inverted(21, 5, 1, 4, 0.5), Inverted(21, 5, 1, 3), Separable(30, 5))),
        ),
        head=Head("flatten", 0.1, (Dense(20, True), Dense(20))),
    )
    weights = trained(BASE)
    found = logits(child, inherit(BASE, weights, child))
    torch.testing.assert_close(found, logits(BASE, weights), atol=1e-4, rtol=1e-4)


def test_a_bias_less():
    parent = dataclasses.replace(BASE, bias=True)
    weights = trained(parent)
    found = logits(BASE, inherit(parent, weights, BASE))
    torch.testing.assert_close(found, logits(parent, weights), atol=1e-4, rtol=1e-4)


def test_dense_layers_before_a_newborn_one_are_kept():
    parent = dataclasses.replace(BASE, head=Head("flatten", hidden=(Dense(16),)))
    child = dataclasses.replace(BASE, head=Head("flatten", hidden=(Dense(16), Dense(4))))
    weights = trained(parent)
    found = inherit(parent, weights, child)
    assert torch.equal(found["hidden0.linear.weight"], weights["hidden0.linear.weight"])
    assert found["classifier.linear.weight"].shape == (5, 4)
    logits(child, found)


def test_replicas_part_in_training():
    """Equal replicas with equal shares would get equal gradients for ever."""
    child = widened(0, 12)
    model = build(child)
    model.load_state_dict(inherit(BASE, trained(BASE), child))
    model(torch.randn(4, 1, 24, 24)).square().sum().backward()
    gradient = model.stage0_block0.conv.weight.grad
    assert not torch.allclose(gradient[:6], gradient[6:])


def test_a_removed_block_leaves_the_others():
    child = with_blocks(1, BASE.stages[1].blocks[::2])
    weights = trained(BASE)
    found = inherit(BASE, weights, child)
    assert torch.equal(found["stage1_block1.conv.weight"], weights["stage1_block2.conv.weight"])


def test_the_same_seed_the_same_weights():
    child, weights = widened(1, 20), trained(BASE)
    state = torch.get_rng_state()
    first, again, other = (inherit(BASE, weights, child, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("space", LOADED, ids=lambda s: s.name)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_child_gets_weights(space, seed):
    rng = np.random.default_rng(seed)
    parent, other = space.sample(rng), space.sample(rng)
    weights = trained(parent)
    assert all(
        torch.equal(value, weights[name])
        for name, value in inherit(parent, weights, parent).items()
        if "num_batches" not in name
    )
    for child in (mutate(parent, space, rng), crossover(parent, other, space, rng)):
        state = inherit(parent, weights, child)
        shapes = {name: value.shape for name, value in build(child).state_dict().items()}
        assert {name: value.shape for name, value in state.items()} == shapes
        assert bool(torch.isfinite(logits(child, state)).all())
