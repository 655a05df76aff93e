"""Primitive layers with shapes and exact costs, and units made of them. No torch here.

nas/arch/lowering.py makes them of a genome, nas/arch/module.py turns them into torch modules and
nas/arch/onnx.py into ONNX nodes, so the three cannot disagree.
Shapes are (channels, height, width) of one image; a vector is (features, 1, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Cost:
    """What a layer, block or network costs for one image.

    params: trainable numbers. macs: multiply-accumulates of convolutions and linear layers.
    activations: elements in the outputs of all layers, the memory of a forward pass.
    """

    params: int = 0
    macs: int = 0
    activations: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.params + other.params,
            self.macs + other.macs,
            self.activations + other.activations,
        )


@dataclass(frozen=True)
class Layer:
    """One primitive layer. `name` is unique within its unit and becomes the module's name."""

    name: str
    in_shape: Shape

    @property
    def out_shape(self) -> Shape:
        return self.in_shape

    @property
    def params(self) -> int:
        return 0

    @property
    def macs(self) -> int:
        return 0

    @property
    def activations(self) -> int:
        return prod(self.out_shape)

    @property
    def cost(self) -> Cost:
        return Cost(self.params, self.macs, self.activations)


@dataclass(frozen=True)
class Conv2d(Layer):
    channels: int
    kernel: int
    stride: int
    padding: int
    groups: int
    bias: bool

    @property
    def out_shape(self) -> Shape:
        return (self.channels, *_spatial(self))

    @property
    def params(self) -> int:
        weights = self.channels * (self.in_shape[0] // self.groups) * self.kernel**2
        return weights + self.channels * self.bias

    @property
    def macs(self) -> int:
        return prod(self.out_shape) * (self.in_shape[0] // self.groups) * self.kernel**2


@dataclass(frozen=True)
class BatchNorm(Layer):
    @property
    def params(self) -> int:
        return 2 * self.in_shape[0]


@dataclass(frozen=True)
class Activation(Layer):
    function: str


@dataclass(frozen=True)
class Pool2d(Layer):
    type: str
    kernel: int
    stride: int
    padding: int

    @property
    def out_shape(self) -> Shape:
        return (self.in_shape[0], *_spatial(self))


@dataclass(frozen=True)
class GlobalPool(Layer):
    type: str

    @property
    def out_shape(self) -> Shape:
        return (self.in_shape[0], 1, 1)


@dataclass(frozen=True)
class SqueezeExcite(Layer):
    """Hu et al. 2018: global mean, 1x1 to `squeezed`, ReLU, 1x1 back, sigmoid, scale."""

    squeezed: int

    @property
    def params(self) -> int:
        c, s = self.in_shape[0], self.squeezed
        return c * s + s + s * c + c

    @property
    def macs(self) -> int:
        return 2 * self.in_shape[0] * self.squeezed

    @property
    def activations(self) -> int:
        return prod(self.in_shape) + 3 * self.in_shape[0] + 2 * self.squeezed


@dataclass(frozen=True)
class EfficientChannelAttention(Layer):
    """Wang et al. 2020, ECA: global mean, a convolution along the channels, sigmoid, scale."""

    kernel: int

    @property
    def params(self) -> int:
        return self.kernel

    @property
    def macs(self) -> int:
        return self.kernel * self.in_shape[0]

    @property
    def activations(self) -> int:
        return prod(self.in_shape) + 3 * self.in_shape[0]


@dataclass(frozen=True)
class CoordinateAttention(Layer):
    """Hou et al. 2021: the means of rows and of columns, 1x1 to `squeezed`, batch norm, hardswish,
    1x1 back for rows and for columns, sigmoid, scale by both."""

    squeezed: int

    @property
    def params(self) -> int:
        c, s = self.in_shape[0], self.squeezed
        return c * s + 2 * s + 2 * (s * c + c)

    @property
    def macs(self) -> int:
        c, h, w = self.in_shape
        return 2 * c * self.squeezed * (h + w)

    @property
    def activations(self) -> int:
        c, h, w = self.in_shape
        return prod(self.in_shape) + 3 * (c + self.squeezed) * (h + w)


@dataclass(frozen=True)
class Slice(Layer):
    """Some of the channels: `channels` of them, from number `first` on."""

    first: int
    channels: int

    @property
    def activations(self) -> int:
        return 0  # a view

    @property
    def out_shape(self) -> Shape:
        return (self.channels, *self.in_shape[1:])


@dataclass(frozen=True)
class Concat(Layer):
    """Branches side by side: each gets the input, their outputs become channels in that order.

    An empty branch is the input itself. Costs include those of the branches.
    """

    branches: tuple[tuple[Layer, ...], ...]

    @property
    def out_shape(self) -> Shape:
        outputs = [branch[-1].out_shape if branch else self.in_shape for branch in self.branches]
        return (sum(shape[0] for shape in outputs), *outputs[0][1:])

    @property
    def params(self) -> int:
        return sum(layer.params for branch in self.branches for layer in branch)

    @property
    def macs(self) -> int:
        return sum(layer.macs for branch in self.branches for layer in branch)

    @property
    def activations(self) -> int:
        inside = sum(layer.activations for branch in self.branches for layer in branch)
        return inside + prod(self.out_shape)


@dataclass(frozen=True)
class Linear(Layer):
    features: int

    @property
    def out_shape(self) -> Shape:
        return (self.features, 1, 1)

    @property
    def params(self) -> int:
        return (prod(self.in_shape) + 1) * self.features

    @property
    def macs(self) -> int:
        return prod(self.in_shape) * self.features


@dataclass(frozen=True)
class Dropout(Layer):
    rate: float

    @property
    def activations(self) -> int:
        return 0  # nothing is left of it at inference


@dataclass(frozen=True)
class Flatten(Layer):
    @property
    def activations(self) -> int:
        return 0  # a view

    @property
    def out_shape(self) -> Shape:
        return (prod(self.in_shape), 1, 1)


@dataclass(frozen=True)
class Resize(Layer):
    """Bilinear, half-pixel centres."""

    side: int

    @property
    def out_shape(self) -> Shape:
        return (self.in_shape[0], self.side, self.side)


@dataclass(frozen=True)
class Unit:
    """`post(main(x) + skip(x))`; `skip` None means no skip, () the identity."""

    name: str
    in_shape: Shape
    main: tuple[Layer, ...]
    skip: tuple[Layer, ...] | None = None
    post: tuple[Layer, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (*self.main, *(self.skip or ()), *self.post)

    @property
    def out_shape(self) -> Shape:
        last = (*self.main, *self.post)
        return last[-1].out_shape if last else self.in_shape

    @cached_property
    def cost(self) -> Cost:
        return sum((layer.cost for layer in self.layers), Cost())


def _spatial(layer: Conv2d | Pool2d) -> tuple[int, int]:
    _, h, w = layer.in_shape
    reach = 2 * layer.padding - layer.kernel
    return ((h + reach) // layer.stride + 1, (w + reach) // layer.stride + 1)
