"""A genome lowered to primitive layers, and its exact cost. No torch here.

This is the only place that knows what a block consists of.
"""

from __future__ import annotations

from functools import lru_cache

from nas.arch.genome import Block, Conv, Dense, Genome, Inverted, Pool, Residual, Separable
from nas.arch.layers import (
    Activation,
    BatchNorm,
    Conv2d,
    Cost,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Pool2d,
    Resize,
    Shape,
    SqueezeExcite,
    Unit,
)
from nas.common.errors import UserError

MAX_PARAMS = 200_000_000
MAX_ACTIVATIONS = 200_000_000


@lru_cache(maxsize=256)  # thousands would be millions of objects for the garbage collector
def lower(genome: Genome) -> tuple[Unit, ...]:
    """The genome's units in order. UserError where a layer would have no pixels left."""
    size = genome.input
    shape: Shape = (size.channels, size.height, size.width)
    units: list[Unit] = []

    def add(unit: Unit) -> None:
        nonlocal shape
        units.append(unit)
        shape = unit.out_shape

    if size.resize:
        add(Unit("resize", shape, (Resize("resize", shape, size.resize),)))
    for s, stage in enumerate(genome.stages):
        for b, block in enumerate(stage.blocks):
            unit = _lower_block(f"stage{s}_block{b}", block, shape, genome.bias)
            if min(unit.out_shape) < 1:
                raise UserError(
                    f"genome.stages[{s}].blocks[{b}]: a {block.kind} of kernel {block.kernel}, "
                    f"stride {block.stride} leaves no pixel of {shape[1]}x{shape[2]}"
                )
            add(unit)
    for unit in _lower_head(genome, shape):
        add(unit)
    return tuple(units)


@lru_cache(maxsize=4096)
def cost(genome: Genome) -> Cost:
    """Exact params, macs and activations of the genome's model, for one image."""
    return sum((unit.cost for unit in lower(genome)), Cost())


def check_size(genome: Genome) -> None:
    """Refuse from the analytic cost what no machine of our users could hold."""
    found = cost(genome)
    if found.params > MAX_PARAMS or found.activations > MAX_ACTIVATIONS:
        raise UserError(
            f"genome {genome.id}: {found.params:,} parameters and {found.activations:,} "
            f"activations; at most {MAX_PARAMS:,} and {MAX_ACTIVATIONS:,} are built"
        )


class _Chain:
    """Layers one after another, each fed with the shape that the last one gives."""

    def __init__(self, shape: Shape, bias: bool) -> None:
        self.layers: list[Layer] = []
        self.shape = shape
        self.bias = bias

    def add(self, layer: Layer) -> None:
        self.layers.append(layer)
        self.shape = layer.out_shape

    def conv(
        self, name: str, channels: int, kernel: int = 1, stride: int = 1,
        groups: int = 1, norm: bool = True, valid: bool = False, bare: bool = False,
    ) -> None:  # fmt: skip
        """`bare`: neither norm nor bias, because another convolution follows at once."""
        padding = 0 if valid else kernel // 2
        norm = norm and not bare
        bias = not bare and (self.bias or not norm)
        self.add(Conv2d(name, self.shape, channels, kernel, stride, padding, groups, bias))
        if norm:
            self.add(BatchNorm(f"{name}_norm", self.shape))

    def act(self, name: str, function: str) -> None:
        if function != "none":
            self.add(Activation(name, self.shape, function))

    def squeeze_excite(self, channels: int, ratio: float) -> None:
        if ratio > 0:
            self.add(SqueezeExcite("se", self.shape, max(1, round(channels * ratio))))

    def drop(self, name: str, rate: float) -> None:
        if rate > 0:
            self.add(Dropout(name, self.shape, rate))


def _lower_block(name: str, block: Block, shape: Shape, bias: bool) -> Unit:
    chain = _Chain(shape, bias)
    if isinstance(block, Conv):
        return _lower_conv(name, block, chain)
    if isinstance(block, Residual):
        return _lower_residual(name, block, chain)
    if isinstance(block, Inverted):
        return _lower_inverted(name, block, chain)
    if isinstance(block, Separable):
        return _lower_separable(name, block, chain)
    return _lower_pool(name, block, chain)


def _lower_conv(name: str, block: Conv, chain: _Chain) -> Unit:
    shape, valid = chain.shape, block.padding == "valid"
    if block.norm == "after":
        # The norm comes after the activation, so the convolution's own bias is not inert.
        padding = 0 if valid else block.kernel // 2
        chain.add(
            Conv2d("conv", shape, block.channels, block.kernel, block.stride, padding, 1, True)
        )
        chain.act("act", block.activation)
        chain.add(BatchNorm("conv_norm", chain.shape))
    else:
        chain.conv(
            "conv", block.channels, block.kernel, block.stride,
            norm=block.norm == "before", valid=valid,
        )  # fmt: skip
        chain.act("act", block.activation)
    return Unit(name, shape, tuple(chain.layers))


def _lower_residual(name: str, block: Residual, chain: _Chain) -> Unit:
    shape = chain.shape
    chain.conv("conv1", block.channels, block.kernel, block.stride)
    chain.act("act1", block.activation)
    chain.conv("conv2", block.channels, block.kernel)
    chain.squeeze_excite(block.channels, block.se_ratio)
    skip = _Chain(shape, chain.bias)
    if chain.shape != shape:
        skip.conv("project", block.channels, 1, block.stride)
    post = _Chain(chain.shape, chain.bias)
    post.act("act2", block.activation)
    return Unit(name, shape, tuple(chain.layers), tuple(skip.layers), tuple(post.layers))


def _lower_inverted(name: str, block: Inverted, chain: _Chain) -> Unit:
    shape = chain.shape
    hidden = shape[0] * block.expand
    if block.expand > 1:
        chain.conv("expand", hidden)
        chain.act("expand_act", block.activation)
    chain.conv("depthwise", hidden, block.kernel, block.stride, groups=hidden)
    chain.act("depthwise_act", block.activation)
    chain.squeeze_excite(shape[0], block.se_ratio)
    chain.conv("project", block.channels)
    return Unit(name, shape, tuple(chain.layers), () if chain.shape == shape else None)


def _lower_separable(name: str, block: Separable, chain: _Chain) -> Unit:
    shape = chain.shape
    for i in (1, 2):
        channels = chain.shape[0]
        chain.conv(f"depthwise{i}", channels, block.kernel, groups=channels, bare=True)
        chain.conv(f"pointwise{i}", block.channels)
        if i == 1:
            chain.act("act", block.activation)
    if block.stride > 1:
        chain.add(Pool2d("pool", chain.shape, "max", 3, block.stride, 1))
    skip = _Chain(shape, chain.bias)
    if chain.shape != shape:
        skip.conv("shortcut", block.channels, 1, block.stride)
    return Unit(name, shape, tuple(chain.layers), tuple(skip.layers))


def _lower_pool(name: str, block: Pool, chain: _Chain) -> Unit:
    shape = chain.shape
    padding = block.kernel // 2 if block.padding == "same" else 0
    chain.add(Pool2d("pool", shape, block.type, block.kernel, block.stride, padding))
    chain.drop("drop", block.dropout)
    return Unit(name, shape, tuple(chain.layers))


def _lower_head(genome: Genome, shape: Shape) -> list[Unit]:
    head = genome.head
    features = _Chain(shape, True)
    if head.pool == "conv":
        features.drop("drop", head.dropout)
        features.conv("conv", genome.num_classes, 3, norm=False)
        features.add(GlobalPool("pool", features.shape, "avg"))
        features.add(Flatten("flatten", features.shape))
        return [Unit("classifier", shape, tuple(features.layers))]
    if head.pool != "flatten":
        features.add(GlobalPool("pool", shape, head.pool))
    features.add(Flatten("flatten", features.shape))
    features.drop("drop", head.dropout)
    units = [Unit("features", shape, tuple(features.layers))]
    for i, dense in enumerate(head.hidden):
        units.append(_lower_dense(f"hidden{i}", dense, units[-1].out_shape))
    last = units[-1].out_shape
    units.append(Unit("classifier", last, (Linear("linear", last, genome.num_classes),)))
    return units


def _lower_dense(name: str, dense: Dense, shape: Shape) -> Unit:
    chain = _Chain(shape, True)
    chain.add(Linear("linear", shape, dense.units))
    if dense.norm:
        chain.add(BatchNorm("linear_norm", chain.shape))
    chain.act("act", dense.activation)
    chain.drop("drop", dense.dropout)
    return Unit(name, shape, tuple(chain.layers))


def describe(genome: Genome) -> str:
    """The genome as text: one line per unit with shape and cost."""
    lines = [
        f"genome {genome.id}: {genome.input.channels}x{genome.input.height}x{genome.input.width}"
    ]
    for unit in lower(genome):
        c, h, w = unit.out_shape
        what = summary(unit)
        what += "" if unit.skip is None else " +project" if unit.skip else " +skip"
        shape, found = f"{c}x{h}x{w}", unit.cost
        lines.append(f"  {unit.name:<15} {shape:>11} {found.params:>10,} {found.macs:>12,}  {what}")
    total = cost(genome)
    lines.append(
        f"  {'total':<15} {'':>11} {total.params:>10,} {total.macs:>12,}"
        f"  activations {total.activations:,}"
    )
    return "\n".join(lines)


def summary(unit: Unit) -> str:
    """The layers of a unit's main path in a few words, such as `conv3x3 bn relu`."""
    return " ".join(_describe_layer(layer) for layer in unit.main)


def _describe_layer(layer: Layer) -> str:
    if isinstance(layer, Conv2d):
        stride = f"/{layer.stride}" if layer.stride > 1 else ""
        depthwise = "dw" if layer.groups > 1 else "conv"
        return f"{depthwise}{layer.kernel}x{layer.kernel}{stride}"
    if isinstance(layer, Pool2d):
        return f"{layer.type}{layer.kernel}x{layer.kernel}/{layer.stride}"
    if isinstance(layer, Activation):
        return layer.function
    if isinstance(layer, GlobalPool):
        return f"global-{layer.type}"
    short = {BatchNorm: "bn", SqueezeExcite: "se", Linear: "fc", Flatten: "flatten"}
    if type(layer) in short:
        return short[type(layer)]
    if isinstance(layer, Dropout):
        return f"drop{layer.rate:g}"
    assert isinstance(layer, Resize)
    return f"resize{layer.side}"
