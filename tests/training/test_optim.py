"""Flat buffers and Muon, against the module's own tensors and plain torch."""

import copy

import pytest
import torch

from nas.arch.genome import Conv, Dense, Genome, Head, Input, Inverted, Stage
from nas.arch.module import build
from nas.training.optim import MATRIX_WEIGHTS, Optimizer, flatten, orthogonalise
from nas.training.recipe import Recipe

WIDE = Genome(
    Input(1, 12, 12), 3, (Stage((Conv(24, 3), Conv(24, 3), Inverted(24, 3))),),
    Head("avg", 0.0, (Dense(40),)),
)  # fmt: skip


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("name", "plain"), [
    ("nesterov", lambda groups: torch.optim.SGD(groups, 0.1, momentum=0.9, nesterov=True)),
    ("adamw", lambda groups: torch.optim.AdamW(groups, 0.1)),
])  # fmt: skip
def test_a_flat_step_is_the_plain_step(name, plain, layout):
    """Given the same gradients; decay is for weights alone."""
    ours = build(WIDE).to(memory_format=layout)
    theirs = copy.deepcopy(ours)
    recipe = Recipe(optimizer=name, lr=0.1, weight_decay=0.01, clip_grad_norm=0.0)
    optimizer = Optimizer(flatten(ours), recipe)
    reference = plain([
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in theirs.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ])  # fmt: skip
    for _ in range(3):
        optimizer.zero_grad()
        ours(torch.randn(8, 1, 12, 12)).square().mean().backward()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            q.grad = p.grad.clone()
        optimizer.step()
        reference.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_the_module_works_in_the_flat_buffer():
    model = build(WIDE).to(memory_format=torch.channels_last)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = flatten(model, matrices=True)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    state.values.zero_()
    assert all(not v.any() for k, v in model.state_dict().items() if v.is_floating_point())


def test_muon_takes_the_large_dense_weights_and_no_others():
    model = build(WIDE)
    state = flatten(model, matrices=True)
    taken = sum(weight.numel() for weight, _ in state.matrices)
    dense = [m.weight for m in model.modules() if isinstance(m, torch.nn.Conv2d) and m.groups == 1]
    hidden = [m.weight for m in model.modules() if isinstance(m, torch.nn.Linear)][:-1]
    expected = [w for w in [*dense, *hidden] if w.numel() > MATRIX_WEIGHTS]
    assert taken == sum(w.numel() for w in expected) > 0


def test_orthogonalised_singular_values_are_near_one():
    torch.manual_seed(0)
    for shape in ((2, 16, 40), (3, 40, 16)):
        matrices = torch.randn(shape) * 7
        found = orthogonalise(matrices)
        values = torch.linalg.svdvals(found)
        assert float(values.min()) > 0.5
        assert float(values.max()) < 1.35
        u, _, v = torch.linalg.svd(matrices, full_matrices=False)
        assert float((found * (u @ v)).sum() / (u @ v).square().sum()) > 0.8


def test_a_muon_step_by_hand():
    """Two steps of one matrix: the momentum, its Nesterov form, and the update's scale."""
    model = build(WIDE)
    state = flatten(model, matrices=True)
    recipe = Recipe(optimizer="muon", lr=0.1, momentum=0.95, weight_decay=0.5, clip_grad_norm=0.0)
    optimizer = Optimizer(state, recipe)
    weight, gradient = state.matrices[0]
    rows, columns = weight.shape[1:]
    expected, momentum = weight.clone(), torch.zeros_like(weight)
    for _ in range(2):
        gradient.copy_(torch.randn(gradient.shape))
        momentum = 0.95 * momentum + 0.05 * gradient
        mixed = 0.05 * gradient + 0.95 * momentum
        expected *= 1 - 0.1 * 0.5
        expected -= 0.1 * max(1.0, rows / columns) ** 0.5 * orthogonalise(mixed)
        optimizer.step()
    torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("length", "step"), [(7.0, 0.5), (0.25, 0.25)])
def test_clipping_is_of_all_gradients_together(length, step):
    model = build(WIDE)
    state = flatten(model)
    optimizer = Optimizer(state, Recipe(optimizer="sgd", lr=1.0, momentum=0.0, weight_decay=0.0,
                                        clip_grad_norm=0.5))  # fmt: skip
    state.gradients.normal_()
    state.gradients.mul_(length / state.gradients.norm())
    before = state.values.clone()
    optimizer.step()
    assert float((state.values - before).norm()) == pytest.approx(step, rel=1e-4)


def test_groups_keep_their_proportion_of_the_rate():
    state = flatten(build(WIDE), matrices=True)
    optimizer = Optimizer(state, Recipe(optimizer="muon", lr=0.05, adamw_lr=0.003))
    optimizer.set_rate(0.005)
    rates = [g["lr"] for part in optimizer.state_dict() for g in part["param_groups"]]
    assert rates == pytest.approx([0.005, 0.0003, 0.0003])
