"""A chain of layers under construction: with it a block says what it consists of. No torch here."""

from __future__ import annotations

from math import log2

from nas.arch import layers
from nas.arch.layers import Layer, Shape, Unit
from nas.common.errors import UserError

ATTENTIONS = ("none", "eca", "coordinate")


class Chain:
    """Layers one after another, each fed with the shape that the last one gives.

    name: of the unit that it becomes part of. bias: whether convolutions before a batch norm have
    a bias as well (`Genome.bias`). Layers need names that are unique within their unit.
    """

    def __init__(self, name: str, shape: Shape, bias: bool) -> None:
        self.name = name
        self.bias = bias
        self.in_shape = shape
        self.layers: list[Layer] = []

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of what the chain gives."""
        return self.layers[-1].out_shape if self.layers else self.in_shape

    @property
    def channels(self) -> int:
        return self.shape[0]

    def add(self, layer: Layer) -> None:
        """Any layer of layers.py that takes `shape`."""
        self.layers.append(layer)

    def conv(
        self, name: str, channels: int, kernel: int = 1, stride: int = 1,
        groups: int = 1, norm: bool = True, valid: bool = False, bare: bool = False,
    ) -> None:  # fmt: skip
        """A convolution and its batch norm; `norm=False` leaves it a bias instead.

        valid: no padding; else half the kernel. bare: neither norm nor bias, because another
        convolution follows at once.
        """
        padding = 0 if valid else kernel // 2
        norm = norm and not bare
        bias = not bare and (self.bias or not norm)
        self.add(layers.Conv2d(name, self.shape, channels, kernel, stride, padding, groups, bias))
        if norm:
            self.norm(f"{name}_norm")

    def depthwise(self, name: str, kernel: int, stride: int = 1, bare: bool = False) -> None:
        """A convolution of every channel by itself, and its batch norm."""
        self.conv(name, self.channels, kernel, stride, groups=self.channels, bare=bare)

    def norm(self, name: str) -> None:
        self.add(layers.BatchNorm(name, self.shape))

    def act(self, name: str, function: str) -> None:
        """One of ACTIVATIONS; "none" adds nothing."""
        if function != "none":
            self.add(layers.Activation(name, self.shape, function))

    def pool(self, name: str, type: str, kernel: int, stride: int, padding: int = 0) -> None:
        """type: max or avg."""
        self.add(layers.Pool2d(name, self.shape, type, kernel, stride, padding))

    def drop(self, name: str, rate: float) -> None:
        if rate > 0:
            self.add(layers.Dropout(name, self.shape, rate))

    def squeeze_excite(self, channels: int, ratio: float) -> None:
        """Squeezed to `ratio` times `channels`; 0 adds nothing."""
        if ratio > 0:
            self.add(layers.SqueezeExcite("se", self.shape, max(1, round(channels * ratio))))

    def attention(self, kind: str) -> None:
        """One of ATTENTIONS, with the sizes of its paper; "none" adds nothing."""
        if kind == "eca":
            side = int(abs(log2(self.channels) / 2 + 0.5))  # gamma 2, b 1
            self.add(layers.EfficientChannelAttention("attention", self.shape, side | 1))
        elif kind == "coordinate":
            squeezed = max(8, self.channels // 32)
            self.add(layers.CoordinateAttention("attention", self.shape, squeezed))

    def slice(self, name: str, first: int, channels: int) -> None:
        """Only `channels` channels, from number `first` on."""
        self.add(layers.Slice(name, self.shape, first, channels))

    def concat(self, name: str, *branches: Chain) -> None:
        """The outputs of branches (made by `branch`) as channels side by side."""
        sizes = {branch.shape[1:] for branch in branches}
        if len(sizes) > 1 or any(branch.in_shape != self.shape for branch in branches):
            raise UserError(f"{self.name}: the branches of {name} do not fit: {sorted(sizes)}")
        paths = tuple(tuple(branch.layers) for branch in branches)
        self.add(layers.Concat(name, self.shape, paths))

    def branch(self) -> Chain:
        """An empty chain that begins where this one ends."""
        return Chain(self.name, self.shape, self.bias)

    def start(self) -> Chain:
        """An empty chain that begins where this one began: unchanged, it is an identity skip."""
        return Chain(self.name, self.in_shape, self.bias)

    def unit(self, skip: Chain | None = None, post: Chain | None = None) -> Unit:
        """`post(this(x) + skip(x))`. UserError where shapes or names do not fit."""
        if skip is not None and skip.shape != self.shape:
            raise UserError(f"{self.name}: the skip gives {skip.shape}, the main path {self.shape}")
        unit = Unit(
            self.name,
            self.in_shape,
            tuple(self.layers),
            None if skip is None else tuple(skip.layers),
            () if post is None else tuple(post.layers),
        )
        names = [layer.name for layer in unit.layers]
        if len(set(names)) < len(names):
            raise UserError(f"{self.name}: two layers have one name, among {names}")
        return unit
