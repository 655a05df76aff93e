"""Optimizers and learning rate schedules by the names that a recipe uses.

A model's parameters lie in one flat buffer and so do their gradients: clipping, the optimizer and
the running average are then one pass over memory each, whatever the number of layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

import torch
from torch import Tensor, nn

from nas.training.recipe import Recipe

WARM_UP = 0.25  # share of a one-cycle schedule that rises
ALIGNED = 16  # numbers: each tensor starts on a cache line
MATRIX_WEIGHTS = 600  # Muon takes weights of more numbers than this
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024


def learning_rate(recipe: Recipe, epochs_done: float) -> float:
    """The rate after so many (fractional) epochs; `plateau` is constant here, see `note`."""
    top, share = recipe.lr, min(1.0, epochs_done / recipe.epochs)
    match recipe.schedule:
        case "cosine":
            return top * 0.5 * (1 + math.cos(math.pi * share))
        case "cosine_restarts":  # Loshchilov and Hutter 2017, equal cycles
            within = (epochs_done % recipe.restart_epochs) / recipe.restart_epochs
            return top * 0.5 * (1 + math.cos(math.pi * within))
        case "one_cycle":  # Smith and Topin 2018: up linearly, down by a cosine
            if share < WARM_UP:
                return top * (0.1 + 0.9 * share / WARM_UP)
            fall = (share - WARM_UP) / (1 - WARM_UP)
            return top * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * fall)))
        case "step":
            return top * recipe.step_factor ** int(epochs_done // recipe.step_epochs)
    return top


@dataclass
class FlatState:
    """A model's parameters and floating buffers as views into one buffer, gradients beside it.

    values: (n,). gradients: (m,), for the parameters, which come first. matrices: stacks
    (count, rows, columns) of weights with their gradients, of one shape each. decayed, others:
    the slices of the remaining parameters with and without weight decay.
    """

    values: Tensor
    gradients: Tensor
    matrices: list[tuple[Tensor, Tensor]]
    decayed: slice
    others: slice


def flatten(model: nn.Module, matrices: bool = False) -> FlatState:
    """Move a model's state into flat buffers; the module works as before.

    Weight decay is for weights alone, not for batch norm and biases. matrices: set the dense
    weights apart for Muon (all but depthwise ones, small ones and the classifier).
    """
    chosen = _matrices(model) if matrices else []
    taken = {id(p) for p in chosen}
    rest = [p for p in model.parameters() if id(p) not in taken]
    groups: list[list[Tensor]] = [
        sorted(chosen, key=_matrix_shape),
        [p for p in rest if p.ndim > 1],
        [p for p in rest if p.ndim <= 1],
        [b for b in model.buffers() if b.is_floating_point()],
    ]
    ends = [0, *accumulate(sum(map(_padded, group)) for group in groups)]
    sample = next(model.parameters())
    values = sample.new_zeros(ends[4]).detach()
    gradients = sample.new_zeros(ends[3]).detach()
    place = 0
    for tensor in (t for group in groups for t in group):
        view = values.as_strided(tensor.shape, tensor.stride(), place)
        view.copy_(tensor.data)
        tensor.data = view
        if isinstance(tensor, nn.Parameter):
            tensor.grad = gradients.as_strided(tensor.shape, tensor.stride(), place)
        place += _padded(tensor)
    return FlatState(
        values, gradients, list(_stacks(groups[0], values, gradients)),
        slice(ends[1], ends[2]), slice(ends[2], ends[3]),
    )  # fmt: skip


def _padded(tensor: Tensor) -> int:
    return -(-tensor.numel() // ALIGNED) * ALIGNED


def _matrices(model: nn.Module) -> list[Tensor]:
    """Dense weights of convolutions and hidden layers that are large enough."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    dense = [m for m in layers[:-1] if not (isinstance(m, nn.Conv2d) and m.groups > 1)]
    return [m.weight for m in dense if m.weight.numel() > MATRIX_WEIGHTS]


def _matrix_shape(weight: Tensor) -> tuple[int, int]:
    return len(weight), weight.numel() // len(weight)


def _stacks(
    weights: list[Tensor], values: Tensor, gradients: Tensor
) -> Iterable[tuple[Tensor, Tensor]]:
    """Weights of one shape lie side by side: one strided view of them, and of the gradients.

    In either memory format a weight's rows are its output channels.
    """
    place = 0
    for (rows, columns), alike in groupby(weights, key=_matrix_shape):
        each = list(alike)
        shape = (len(each), rows, columns)
        stride = (_padded(each[0]), columns, 1)
        yield values.as_strided(shape, stride, place), gradients.as_strided(shape, stride, place)
        place += len(each) * stride[0]


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum (Jordan et al. 2024), Nesterov form, for stacks of matrices.

    The update of a matrix is its momentum with all singular values near 1, by five Newton-Schulz
    steps, times max(1, rows / columns) ** 0.5. Parameters are (count, rows, columns), so that
    matrices of one shape are one batched product.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float | Tensor, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalise(torch.lerp(weight.grad, momentum, group["momentum"]))
                rows, columns = weight.shape[1:]
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(update * (group["lr"] * max(1.0, rows / columns) ** 0.5))


def orthogonalise(matrices: Tensor) -> Tensor:
    """(count, rows, columns) -> the same with singular values of about 0.7 to 1.2."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        step = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, step, x, beta=a)
    found: Tensor = (x.mT if tall else x).to(matrices.dtype)
    return found


class Optimizer:
    """What a recipe names, over a flat state: one step, one rate, one clip."""

    def __init__(self, state: FlatState, recipe: Recipe) -> None:
        self._state, self._recipe = state, recipe
        self._parts = _make(state, recipe)
        self._shares = [
            [float(group["lr"]) / recipe.lr for group in part.param_groups] for part in self._parts
        ]

    def set_rate(self, rate: float) -> None:
        """The recipe's scheduled rate; groups with a rate of their own keep the proportion."""
        for part, shares in zip(self._parts, self._shares, strict=True):
            for group, share in zip(part.param_groups, shares, strict=True):
                if isinstance(group["lr"], Tensor):  # in place: a CUDA graph reads it
                    group["lr"].fill_(rate * share)
                else:
                    group["lr"] = rate * share

    def zero_grad(self) -> None:
        self._state.gradients.zero_()

    def step(self) -> None:
        limit = self._recipe.clip_grad_norm
        if limit:
            gradients = self._state.gradients
            gradients.mul_((limit / (gradients.norm() + 1e-6)).clamp(max=1.0))
        for part in self._parts:
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)


# By name: class, settings of its own, and whether torch has it as one fused kernel. asgd is the
# mean of SGD's weights, which the training loop keeps.
TABLE: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict[str, Any], bool]] = {
    "sgd": (torch.optim.SGD, {}, True),
    "nesterov": (torch.optim.SGD, {"nesterov": True}, True),
    "asgd": (torch.optim.SGD, {}, True),
    "adam": (torch.optim.Adam, {}, True),
    "amsgrad": (torch.optim.Adam, {"amsgrad": True}, True),
    "adamw": (torch.optim.AdamW, {}, True),
    "adadelta": (torch.optim.Adadelta, {}, False),
    "adagrad": (torch.optim.Adagrad, {}, False),
}


def graphable(name: str) -> bool:
    """Whether a step with this optimizer can be recorded as a CUDA graph."""
    return name == "muon" or TABLE[name][2]


def _make(state: FlatState, recipe: Recipe) -> list[torch.optim.Optimizer]:
    def rate(value: float) -> float | Tensor:
        # A tensor on a GPU: a recorded step must see the rate change.
        graphed = state.values.is_cuda and graphable(recipe.optimizer)
        return torch.tensor(value, device=state.values.device) if graphed else value

    def slices(decay: float) -> list[dict[str, Any]]:
        found = [(state.decayed, decay), (state.others, 0.0)]
        return [
            {"params": [_aliased(state.values[s], state.gradients[s])], "weight_decay": decay}
            for s, decay in found
            if s.stop > s.start
        ]

    if recipe.optimizer == "muon":
        stacks = [_aliased(weight, gradient) for weight, gradient in state.matrices]
        rest = torch.optim.AdamW(
            slices(0.0), rate(recipe.adamw_lr), fused=True, capturable=state.values.is_cuda
        )
        if not stacks:
            return [rest]
        return [Muon(stacks, rate(recipe.lr), recipe.momentum, recipe.weight_decay), rest]
    make, settings, fused = TABLE[recipe.optimizer]
    more = dict(settings)
    if make is torch.optim.SGD:
        more["momentum"] = recipe.momentum
        more["nesterov"] = bool(settings.get("nesterov")) and recipe.momentum > 0
    elif fused:
        more["capturable"] = state.values.is_cuda  # its count of steps lies on the GPU
    if fused:
        more["fused"] = True
    return [make(slices(recipe.weight_decay), rate(recipe.lr), **more)]


def _aliased(values: Tensor, gradients: Tensor) -> nn.Parameter:
    parameter = nn.Parameter(values)
    parameter.grad = gradients
    return parameter
