"""A child's first weights, taken from its parent's, so that training need not start from nothing.

Net2Net (Chen et al. 2016) on lowered layers. Blocks of parent and child are paired stage by stage;
each layer of a pair is fitted alone, because channels are always replicated in one order:
channel c of the child is channel c mod p of the parent's p. The function is preserved (eval mode)
  - by wider convolutions, expansions, squeezes and dense layers: replicas share what they feed,
  - by larger kernels (zeros around), a bias more or less, an SE more (open at one half, doubled),
  - by more blocks of the same width: a skip block with its last batch norm at zero; a convolution
    that passes its input, where the activation lets it through (relu behind a relu, or none),
  - by more dense layers that are wide enough, and by flatten in place of average pooling.
Everything else (narrower, other activations, strides, kinds) is copied as far as shapes overlap.
"""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from nas.arch.genome import Block, Genome
from nas.arch.layers import BatchNorm, Conv2d, Flatten, Linear, Shape, SqueezeExcite, Unit
from nas.arch.lowering import lower
from nas.arch.module import build
from nas.common.errors import UserError, first_line

State = dict[str, Tensor]


def inherit(parent: Genome, weights: State, child: Genome, seed: int = 0) -> State:
    """A state dict for `build(child)` out of the parent's; newborn where there is nothing to take.

    seed: of newborn weights and of the shares of replicas, which differ so that replicas part.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heir = _Heir(weights, build(child).state_dict())
        pairs = _pairs(parent, child)
        for unit in lower(child):
            if unit.name in pairs:
                heir.copy(unit, pairs[unit.name])
            elif unit.name.startswith("stage") and unit.in_shape == unit.out_shape:
                heir.insert(unit)
        heir.head(parent, child)
    return heir.state


def pack(state: State) -> bytes:
    """A state dict as safetensors, to be stored or sent to another machine."""
    return save({name: value.detach().cpu().contiguous() for name, value in state.items()})


def unpack(weights: bytes) -> State:
    """What `pack` made. UserError when it is something else; never unpickles."""
    try:
        return load(weights)
    except SafetensorError as error:
        raise UserError(f"a parent's weights are not readable: {first_line(error)}") from None


class _Heir:
    """The child's state while it is filled from the parent's."""

    def __init__(self, weights: State, state: State) -> None:
        self.weights, self.state = weights, state

    def copy(self, unit: Unit, partner: Unit) -> None:
        """Every layer of a unit from the layer of that name in its partner."""
        theirs = {layer.name: layer for layer in partner.layers}
        for layer in unit.layers:
            ours, source = f"{unit.name}.{layer.name}", f"{partner.name}.{layer.name}"
            other = theirs.get(layer.name)
            if isinstance(layer, Conv2d) and isinstance(other, Conv2d):
                self._conv(ours, source, layer)
            elif isinstance(layer, BatchNorm) and isinstance(other, BatchNorm):
                self._norm(ours, source, layer.in_shape[0])
            elif isinstance(layer, SqueezeExcite) and isinstance(other, SqueezeExcite):
                self._squeeze_excite(ours, source, layer)
        for layer in unit.layers:
            if isinstance(layer, SqueezeExcite) and layer.name not in theirs:
                self._open_gate(unit, layer)

    def insert(self, unit: Unit) -> None:
        """Let a unit that the parent lacks pass its input."""
        norms = [f"{unit.name}.{x.name}" for x in unit.main if isinstance(x, BatchNorm)]
        if unit.skip == ():
            for name in ("weight", "bias"):
                self.state[f"{norms[-1]}.{name}"].zero_()
            return
        for layer in unit.main:
            if isinstance(layer, Conv2d):
                nn.init.dirac_(self.state[f"{unit.name}.{layer.name}.weight"])
        for norm in norms:
            self.state[f"{norm}.weight"].fill_((1 + nn.BatchNorm2d(1).eps) ** 0.5)

    def head(self, parent: Genome, child: Genome) -> None:
        """Dense layers and classifier, until one reads what the parent never knew."""
        ours, theirs = _dense(child), _dense(parent)
        shape, known = _features(child), _features(parent)
        for unit in ours[:-1]:
            partner = theirs.pop(0) if len(theirs) > 1 else None
            layer = unit.main[0]
            assert isinstance(layer, Linear)
            if partner is not None:
                self._linear(f"{unit.name}.linear", f"{partner.name}.linear", known, shape)
                if f"{unit.name}.linear_norm.weight" in self.state:
                    self._norm(
                        f"{unit.name}.linear_norm", f"{partner.name}.linear_norm", layer.features
                    )
                known = partner.out_shape
            elif layer.features >= prod(known):
                self._pass(f"{unit.name}.linear", known, shape)
                known = (prod(known), 1, 1)
            else:
                return
            shape = unit.out_shape
        last = ours[-1].main
        if len(theirs) == 1 and isinstance(last[0], Linear):
            self._linear("classifier.linear", "classifier.linear", known, shape)

    def _conv(self, ours: str, source: str, layer: Conv2d) -> None:
        weight = _rows(_kernel(self.weights[f"{source}.weight"], layer.kernel), layer.channels)
        if layer.groups == 1:
            weight = _columns(weight, layer.in_shape[0])
        self.state[f"{ours}.weight"].copy_(weight)
        bias = self.weights.get(f"{source}.bias")
        if layer.bias and bias is not None:
            self.state[f"{ours}.bias"].copy_(_rows(bias, layer.channels))

    def _norm(self, ours: str, source: str, channels: int) -> None:
        if f"{source}.weight" not in self.weights:
            return
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.state[f"{ours}.{name}"].copy_(_rows(self.weights[f"{source}.{name}"], channels))
        inert = self.weights.get(f"{source.removesuffix('_norm')}.bias")
        if inert is not None and f"{ours.removesuffix('_norm')}.bias" not in self.state:
            self.state[f"{ours}.running_mean"] -= _rows(inert, channels)

    def _squeeze_excite(self, ours: str, source: str, layer: SqueezeExcite) -> None:
        for name, out, into in (
            ("reduce", layer.squeezed, layer.in_shape[0]),
            ("expand", layer.in_shape[0], layer.squeezed),
        ):
            weight = _rows(self.weights[f"{source}.{name}.weight"], out)
            self.state[f"{ours}.{name}.weight"].copy_(_columns(weight, into))
            bias = self.weights[f"{source}.{name}.bias"]
            self.state[f"{ours}.{name}.bias"].copy_(_rows(bias, out))

    def _open_gate(self, unit: Unit, gate: SqueezeExcite) -> None:
        """A gate of sigmoid(0) = 1/2 everywhere, and twice as much beside it."""
        self.state[f"{unit.name}.{gate.name}.expand.weight"].zero_()
        self.state[f"{unit.name}.{gate.name}.expand.bias"].zero_()
        at = unit.main.index(gate)
        after = [x for x in unit.main[at:] if isinstance(x, Conv2d)]
        if after:
            self.state[f"{unit.name}.{after[0].name}.weight"] *= 2
            return
        before = unit.main[at - 1]
        for name in ("weight", "bias"):
            self.state[f"{unit.name}.{before.name}.{name}"] *= 2

    def _linear(self, ours: str, source: str, known: Shape, shape: Shape) -> None:
        """known, shape: what the parent's and the child's layer read, before it was flattened."""
        weight = self.weights[f"{source}.weight"]
        self._set_linear(ours, weight.reshape(-1, *known), shape)
        self.state[f"{ours}.bias"].copy_(
            _rows(self.weights[f"{source}.bias"], len(self.state[f"{ours}.bias"]))
        )

    def _pass(self, ours: str, known: Shape, shape: Shape) -> None:
        self._set_linear(ours, torch.eye(prod(known)).reshape(-1, *known), shape)
        self.state[f"{ours}.bias"].zero_()

    def _set_linear(self, ours: str, weight: Tensor, shape: Shape) -> None:
        target = self.state[f"{ours}.weight"]
        h, w = weight.shape[2:]
        if (h, w) != shape[1:]:  # each place gets its part of the weight: the mean is kept
            share = h * w / (shape[1] * shape[2])
            weight = F.adaptive_avg_pool2d(weight, shape[1:]) * share
        target.copy_(_columns(_rows(weight, len(target)), shape[0]).flatten(1))


def _rows(values: Tensor, count: int) -> Tensor:
    """(p, ...) -> (count, ...): the first `count`, or replicas."""
    return values[torch.arange(count) % len(values)]


def _columns(weight: Tensor, count: int) -> Tensor:
    """(out, p, ...) -> (out, count, ...): replicas of an input share its weight at random."""
    out, known = weight.shape[:2]
    source = torch.arange(count) % known
    share = torch.rand(out, count) + 0.5
    share /= torch.zeros(out, known).index_add_(1, source, share)[:, source]
    return weight[:, source] * share.reshape(out, count, *[1] * (weight.dim() - 2))


def _kernel(weight: Tensor, side: int) -> Tensor:
    """Zeros around a kernel, or its centre alone."""
    border = (side - weight.shape[-1]) // 2
    return F.pad(weight, [border] * 4)


def _features(genome: Genome) -> Shape:
    """What is flattened for the first dense layer."""
    return next(x.in_shape for u in lower(genome) for x in u.layers if isinstance(x, Flatten))


def _dense(genome: Genome) -> list[Unit]:
    """Hidden layers, then the classifier."""
    return [u for u in lower(genome) if u.name.startswith("hidden") or u.name == "classifier"]


def _pairs(parent: Genome, child: Genome) -> dict[str, Unit]:
    """{name of a child's unit: the parent's unit that it continues}, the head apart."""
    theirs = {unit.name: unit for unit in lower(parent)}
    ours = {unit.name: unit for unit in lower(child)}
    pairs = {}
    for s, (a, b) in enumerate(zip(parent.stages, child.stages, strict=False)):
        old = [(block, theirs[f"stage{s}_block{i}"]) for i, block in enumerate(a.blocks)]
        new = [(block, ours[f"stage{s}_block{i}"]) for i, block in enumerate(b.blocks)]
        pairs.update(_align(old, new))
    if parent.head.pool == child.head.pool == "conv":
        pairs["classifier"] = theirs["classifier"]
    return pairs


def _align(old: list[tuple[Block, Unit]], new: list[tuple[Block, Unit]]) -> dict[str, Unit]:
    """Pairs in order, most alike in sum (the longest common subsequence, weighted)."""
    best: dict[tuple[int, int], tuple[float, dict[str, Unit]]] = {}

    def at(i: int, j: int) -> tuple[float, dict[str, Unit]]:
        return best.get((i, j), (0.0, {}))

    for i, (block, unit) in enumerate(old, 1):
        for j, (other, heir) in enumerate(new, 1):
            options = [at(i - 1, j), at(i, j - 1)]
            alike = _likeness(block, unit, other, heir)
            if alike:
                score, pairs = at(i - 1, j - 1)
                options.append((score + alike, {**pairs, heir.name: unit}))
            best[i, j] = max(options, key=lambda option: option[0])
    return at(len(old), len(new))[1]


def _likeness(block: Block, unit: Unit, other: Block, heir: Unit) -> float:
    """0 for different kinds; more for one role (keeps the shape or changes it) and equal genes."""
    if block.kind != other.kind:
        return 0.0
    same_role = (unit.in_shape == unit.out_shape) == (heir.in_shape == heir.out_shape)
    a, b = vars(block), vars(other)
    return float(1 + same_role + sum(a[k] == b[k] for k in a) / len(a))
