"""What a network needs on a small device: memory while it runs, and bytes where it is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from math import prod

from nas.arch import layers
from nas.arch.genome import Genome
from nas.arch.layers import Cost, Layer, Unit
from nas.arch.lowering import cost, lower

FLOAT = 4  # bytes
BIAS = 4  # bytes, int32
PER_CHANNEL = 5 + BIAS  # beside the weights of a channel: a scale and a zero point
IN_PLACE = layers.Activation | layers.BatchNorm | layers.Gate


@lru_cache(maxsize=4096)
def peak_memory(genome: Genome) -> int:
    """Bytes of float32 maps that are held at once at most, for one image; int8 takes a quarter.

    Of an interpreter that runs layer by layer: a layer's input and output, what a skip or another
    branch still needs, and no more. Norms and activations work in place. Weights are not counted.
    """
    return FLOAT * max(_unit_peak(unit) for unit in lower(genome))


@lru_cache(maxsize=4096)
def int8_size(genome: Genome) -> int:
    """Bytes of the weights, biases, scales and zero points of the int8 export; norms are folded.

    The ONNX file has some tens of kilobytes more: names, shapes, probes, the activations' scales.
    """
    return sum(_quantised(layer) for unit in lower(genome) for layer in unit.layers)


FOOTPRINT: dict[str, Callable[[Genome], int]] = {"peak_memory": peak_memory, "int8_size": int8_size}
COSTS = (*(field.name for field in fields(Cost)), *FOOTPRINT)  # metrics that a genome tells


def static_metric(genome: Genome, name: str) -> int:
    """params, macs, activations, peak_memory or int8_size. UserError where it cannot be built."""
    return FOOTPRINT[name](genome) if name in FOOTPRINT else int(getattr(cost(genome), name))


def _unit_peak(unit: Unit) -> int:
    """Numbers held at once."""
    start = prod(unit.in_shape)
    peak, size = _walk(unit.main, start, keep=unit.skip is not None)
    if unit.skip is not None:
        beside, _ = _walk(unit.skip, start, keep=False)
        peak = max(peak, size + beside)
    return max(peak, _walk(unit.post, size, keep=False)[0])


def _walk(path: Sequence[Layer], size: int, keep: bool) -> tuple[int, int]:
    """Numbers held at once from an input of `size` on, and those of the output.

    keep: something else reads the input later; until a layer gives a new tensor, nothing may write.
    """
    held, peak = 0, size
    for layer in path:
        out = prod(layer.out_shape)
        if isinstance(layer, layers.View):
            size = out
            continue
        if isinstance(layer, layers.Concat):
            beside, inside = _branches(layer, size)
            new, more = True, max(beside + out, inside - size)
        else:
            vectors = layer.cost.activations - out if isinstance(layer, layers.Gate) else 0
            new = keep or not isinstance(layer, IN_PLACE)
            more = vectors + out * new
        peak = max(peak, held + size + more)
        if new:
            held, keep = held + size * keep, False
        size = out
    return peak, size


def _branches(layer: layers.Concat, size: int) -> tuple[int, int]:
    """Numbers of all branches' outputs, and the most that are held until the last is there."""
    outputs = peak = 0
    for branch in layer.branches:
        inside, made = _walk(branch, size, keep=True)
        peak = max(peak, outputs + inside)
        outputs += made if branch else 0  # an empty branch is the input itself
    return outputs, peak


def _quantised(layer: Layer) -> int:
    """Bytes of a layer's weights in int8; every convolution has a bias once norms are folded."""
    inputs = layer.in_shape[0]
    match layer:
        case layers.Concat(branches=branches):
            return sum(_quantised(inner) for branch in branches for inner in branch)
        case layers.Conv2d(channels=outputs, bias=bias):
            return layer.cost.params + outputs * (PER_CHANNEL - bias)
        case layers.Linear(features=outputs):
            return layer.cost.params + outputs * (PER_CHANNEL - 1)
        case layers.SqueezeExcite(squeezed=inner):
            return 2 * inputs * inner + PER_CHANNEL * (inputs + inner)
        case layers.EfficientChannelAttention(kernel=kernel):
            return kernel + PER_CHANNEL - BIAS  # it has none
        case layers.CoordinateAttention(squeezed=inner):
            return 3 * inputs * inner + PER_CHANNEL * (2 * inputs + inner)
    return 0
