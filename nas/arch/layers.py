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
    def cost(self) -> Cost:
        return Cost(activations=prod(self.out_shape))


class View(Layer):
    """A layer that gives what is in memory already."""

    @property
    def cost(self) -> Cost:
        return Cost()


class Gate(Layer):
    """A layer that scales its input by factors that it computes from it."""


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
    def cost(self) -> Cost:
        size = prod(self.out_shape)
        weights = self.in_shape[0] // self.groups * self.kernel**2  # of one output channel
        return Cost(self.channels * (weights + self.bias), size * weights, size)


@dataclass(frozen=True)
class BatchNorm(Layer):
    @property
    def cost(self) -> Cost:
        return Cost(2 * self.in_shape[0], activations=prod(self.in_shape))


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
class SqueezeExcite(Gate):
    """Hu et al. 2018: global mean, 1x1 to `squeezed`, ReLU, 1x1 back, sigmoid, scale."""

    squeezed: int

    @property
    def cost(self) -> Cost:
        c, s = self.in_shape[0], self.squeezed
        return Cost(c * s + s + s * c + c, 2 * c * s, prod(self.in_shape) + 3 * c + 2 * s)


@dataclass(frozen=True)
class EfficientChannelAttention(Gate):
    """Wang et al. 2020, ECA: global mean, a convolution along the channels, sigmoid, scale."""

    kernel: int

    @property
    def cost(self) -> Cost:
        c = self.in_shape[0]
        return Cost(self.kernel, self.kernel * c, prod(self.in_shape) + 3 * c)


@dataclass(frozen=True)
class CoordinateAttention(Gate):
    """Hou et al. 2021: the means of rows and of columns, 1x1 to `squeezed`, batch norm, hardswish,
    1x1 back for rows and for columns, sigmoid, scale by both."""

    squeezed: int

    @property
    def cost(self) -> Cost:
        (c, h, w), s = self.in_shape, self.squeezed
        params = c * s + 2 * s + 2 * (s * c + c)
        return Cost(params, 2 * c * s * (h + w), prod(self.in_shape) + 3 * (c + s) * (h + w))


@dataclass(frozen=True)
class Slice(View):
    """Some of the channels: `channels` of them, from number `first` on."""

    first: int
    channels: int

    @property
    def out_shape(self) -> Shape:
        return (self.channels, *self.in_shape[1:])


@dataclass(frozen=True)
class Concat(Layer):
    """Branches side by side: each gets the input, their outputs become channels in that order.

    An empty branch is the input itself. The cost includes that of the branches.
    """

    branches: tuple[tuple[Layer, ...], ...]

    @property
    def out_shape(self) -> Shape:
        outputs = [branch[-1].out_shape if branch else self.in_shape for branch in self.branches]
        return (sum(shape[0] for shape in outputs), *outputs[0][1:])

    @property
    def cost(self) -> Cost:
        inside = (layer.cost for branch in self.branches for layer in branch)
        return sum(inside, Cost(activations=prod(self.out_shape)))


@dataclass(frozen=True)
class Linear(Layer):
    features: int

    @property
    def out_shape(self) -> Shape:
        return (self.features, 1, 1)

    @property
    def cost(self) -> Cost:
        inputs = prod(self.in_shape)
        return Cost((inputs + 1) * self.features, inputs * self.features, self.features)


@dataclass(frozen=True)
class Dropout(View):
    """Nothing is left of it at inference."""

    rate: float


@dataclass(frozen=True)
class Flatten(View):
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
