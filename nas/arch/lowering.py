"""A genome lowered to primitive layers, and its exact cost. No torch here."""

from __future__ import annotations

from functools import lru_cache

from nas.arch import layers
from nas.arch.block import Block, SearchableBlock
from nas.arch.chain import Chain
from nas.arch.genome import Dense, Genome
from nas.arch.layers import Cost, Layer, Shape, Unit
from nas.common.errors import UserError, shown, told

WORDS: dict[type[Layer], str] = {
    layers.BatchNorm: "bn", layers.SqueezeExcite: "se", layers.EfficientChannelAttention: "eca",
    layers.CoordinateAttention: "coordinate", layers.Linear: "fc", layers.Flatten: "flatten",
}  # fmt: skip
MAX_PARAMS = 200_000_000
MAX_ACTIVATIONS = 200_000_000


@lru_cache(maxsize=256)  # thousands would be millions of objects for the garbage collector
def lower(genome: Genome) -> tuple[Unit, ...]:
    """The genome's units in order. UserError where a layer would have no pixels left."""
    size = genome.input
    shape: Shape = size.shape
    units: list[Unit] = []

    def add(unit: Unit) -> None:
        nonlocal shape
        units.append(unit)
        shape = unit.out_shape

    if size.resize:
        add(Unit("resize", shape, (layers.Resize("resize", shape, size.resize),)))
    for s, stage in enumerate(genome.stages):
        for b, block in enumerate(stage.blocks):
            try:
                add(lower_block(block, shape, genome.bias, f"stage{s}_block{b}"))
            except UserError as error:
                raise UserError(f"genome.stages[{s}].blocks[{b}]: {error}") from None
    for unit in _lower_head(genome, shape):
        add(unit)
    return tuple(units)


@lru_cache(maxsize=4096)  # networks of one search share most of their blocks
def lower_block(block: Block, shape: Shape, bias: bool = False, name: str = "block") -> Unit:
    """One block that is given `shape`. UserError where it leaves no pixel, or is at fault."""
    try:
        unit = block.lower(Chain(name, shape, bias))
    except UserError:
        raise
    except Exception as error:  # a block of the user's
        raise UserError(f"block {block.kind}: its lower raised {told(error)}") from error
    if not isinstance(unit, Unit):
        raise UserError(
            f"block {block.kind}: its lower gave {shown(unit)}; expected main.unit(...)"
        )
    if min(unit.out_shape) < 1:
        raise UserError(
            f"a {block.kind} of kernel {block.kernel}, stride {block.stride} leaves no pixel of "
            f"{shape[1]}x{shape[2]}"
        )
    if isinstance(block, SearchableBlock) and unit.out_shape[0] != block.channels:
        raise UserError(
            f"block {block.kind} gives {unit.out_shape[0]} channels; its field says "
            f"{block.channels}"
        )
    return unit


@lru_cache(maxsize=65_536)  # one archive's
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


def _lower_head(genome: Genome, shape: Shape) -> list[Unit]:
    head = genome.head
    if head.pool == "conv":
        features = Chain("classifier", shape, True)
        features.drop("drop", head.dropout)
        features.conv("conv", genome.num_classes, 3, norm=False)
        features.add(layers.GlobalPool("pool", features.shape, "avg"))
        features.add(layers.Flatten("flatten", features.shape))
        return [features.unit()]
    features = Chain("features", shape, True)
    if head.pool != "flatten":
        features.add(layers.GlobalPool("pool", shape, head.pool))
    features.add(layers.Flatten("flatten", features.shape))
    features.drop("drop", head.dropout)
    units = [features.unit()]
    for i, dense in enumerate(head.hidden):
        units.append(_lower_dense(f"hidden{i}", dense, units[-1].out_shape))
    classifier = Chain("classifier", units[-1].out_shape, True)
    classifier.add(layers.Linear("linear", classifier.shape, genome.num_classes))
    return [*units, classifier.unit()]


def _lower_dense(name: str, dense: Dense, shape: Shape) -> Unit:
    chain = Chain(name, shape, True)
    chain.add(layers.Linear("linear", shape, dense.units))
    if dense.norm:
        chain.norm("linear_norm")
    chain.act("act", dense.activation)
    chain.drop("drop", dense.dropout)
    return chain.unit()


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
    match layer:
        case layers.Conv2d(kernel=kernel):
            stride = f"/{layer.stride}" if layer.stride > 1 else ""
            return f"{'dw' if layer.groups > 1 else 'conv'}{kernel}x{kernel}{stride}"
        case layers.Pool2d(kernel=kernel):
            return f"{layer.type}{kernel}x{kernel}/{layer.stride}"
        case layers.Activation():
            return layer.function
        case layers.GlobalPool():
            return f"global-{layer.type}"
        case layers.Concat():
            branches = (" ".join(map(_describe_layer, b)) or "input" for b in layer.branches)
            return f"[{' | '.join(branches)}]"
        case layers.Slice():
            return f"channels{layer.first}-{layer.first + layer.channels - 1}"
        case layers.Dropout():
            return f"drop{layer.rate:g}"
        case layers.Resize():
            return f"resize{layer.side}"
    return WORDS[type(layer)]
