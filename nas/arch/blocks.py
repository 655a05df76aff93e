"""The kinds of block that come with the framework; importing the file registers them."""

from __future__ import annotations

from typing import Annotated

from nas.arch.block import (
    Activation,
    Attention,
    Block,
    Expansion,
    Kernel,
    Padding,
    Rate,
    SearchableBlock,
    SqueezeRatio,
    Stride,
    later,
    register,
)
from nas.arch.chain import Chain
from nas.arch.layers import Unit
from nas.common.schema import Choice, Int


@register
class Conv(SearchableBlock):
    """Convolution, batch norm before or after the activation (or none), activation."""

    kind = "conv"
    searchable = ("kernel", "activation")
    padding: Padding = "same"
    norm: Annotated[str, Choice(("before", "after", "none"), "norm")] = "before"
    activation: Activation = "relu"

    def lower(self, main: Chain) -> Unit:
        norm, valid = self.norm == "before", self.padding == "valid"
        main.conv("conv", self.channels, self.kernel, self.stride, norm=norm, valid=valid)
        main.act("act", self.activation)
        if self.norm == "after":  # the convolution has a bias, which is not inert here
            main.norm("conv_norm")
        return main.unit()


@register
class ConvNeXt(SearchableBlock):
    """Depthwise, norm, 1x1 expansion, activation, 1x1 projection, skip (Liu et al. 2022).

    The norm is a batch norm, so that it folds into the depthwise convolution; there is no layer
    scale. The skip is there where input and output shapes agree.
    """

    kind = "convnext"
    kernel: Kernel = 7
    expand: Expansion = 4
    attention: Attention = "none"
    activation: Activation = "gelu"

    def lower(self, main: Chain) -> Unit:
        main.depthwise("depthwise", self.kernel, self.stride)
        main.conv("expand", main.channels * self.expand, norm=False)
        main.act("act", self.activation)
        main.attention(self.attention)
        main.conv("project", self.channels, norm=False)
        return main.unit(main.start() if main.shape == main.in_shape else None)


@register
class Ghost(SearchableBlock):
    """Two ghost modules, a depthwise convolution between them where there is a stride, a skip.

    Han et al. 2020, GhostNet, ratio 2: a 1x1 convolution gives half of the channels and a depthwise
    one of `kernel` the rest, from them. SE squeezes to `se_ratio` times the expanded channels; the
    skip, where shapes differ, is a depthwise and a 1x1 convolution.
    """

    kind = "ghost"
    expand: Expansion = 2
    se_ratio: SqueezeRatio = 0.0
    attention: Attention = "none"
    activation: Activation = "relu"

    def lower(self, main: Chain) -> Unit:
        self._module(main, "expand", main.channels * self.expand, self.activation)
        if self.stride > 1:
            main.depthwise("depthwise", self.kernel, self.stride)
        main.squeeze_excite(main.channels, self.se_ratio)
        main.attention(self.attention)
        self._module(main, "project", self.channels, "none")
        skip = main.start()
        if main.shape != main.in_shape:
            skip.depthwise("skip_depthwise", self.kernel, self.stride)
            skip.conv("skip_project", self.channels)
        return main.unit(skip)

    def _module(self, main: Chain, name: str, channels: int, activation: str) -> None:
        """1x1 to half of the channels, and their ghosts beside them."""
        half = (channels + 1) // 2
        main.conv(name, half)
        main.act(f"{name}_act", activation)
        ghosts = main.branch()
        ghosts.depthwise("depthwise", self.kernel)
        ghosts.act("act", activation)
        if channels % 2:
            ghosts.slice("slice", 0, channels - half)
        main.concat(f"{name}_ghosts", main.branch(), ghosts)


@register
class Inverted(SearchableBlock):
    """1x1 expansion, depthwise, linear 1x1; optional SE (Sandler et al. 2018; Howard et al. 2019).

    The skip is there where input and output shapes agree. The expansion is `expand` times the
    input channels; with 1 there is none. SE squeezes to `se_ratio` times the input channels;
    `attention` is a further gate, behind it.
    """

    kind = "inverted"
    expand: Expansion = 4
    se_ratio: SqueezeRatio = 0.0
    activation: Activation = "relu"
    attention: Attention = later(default="none")

    def lower(self, main: Chain) -> Unit:
        inputs = main.channels
        if self.expand > 1:
            main.conv("expand", inputs * self.expand)
            main.act("expand_act", self.activation)
        main.depthwise("depthwise", self.kernel, self.stride)
        main.act("depthwise_act", self.activation)
        main.squeeze_excite(inputs, self.se_ratio)
        main.attention(self.attention)
        main.conv("project", self.channels)
        return main.unit(main.start() if main.shape == main.in_shape else None)


@register
class Pool(Block):
    """Max or average pooling, then dropout of whole elements."""

    kind = "pool"
    type: Annotated[str, Choice(("max", "avg"), "pool type")] = "max"
    kernel: Annotated[int, Int(2, 7)] = 2
    stride: Stride = 2
    padding: Padding = "valid"
    dropout: Rate = 0.0

    def lower(self, main: Chain) -> Unit:
        padding = self.kernel // 2 if self.padding == "same" else 0
        main.pool("pool", self.type, self.kernel, self.stride, padding)
        main.drop("drop", self.dropout)
        return main.unit()


@register
class Residual(SearchableBlock):
    """Two convolutions with batch norm and a skip (He et al. 2015, basic block).

    SE squeezes to `se_ratio` times `channels`; `attention` is a further gate, behind it.
    """

    kind = "residual"
    se_ratio: SqueezeRatio = 0.0
    activation: Activation = "relu"
    attention: Attention = later(default="none")

    def lower(self, main: Chain) -> Unit:
        main.conv("conv1", self.channels, self.kernel, self.stride)
        main.act("act1", self.activation)
        main.conv("conv2", self.channels, self.kernel)
        main.squeeze_excite(self.channels, self.se_ratio)
        main.attention(self.attention)
        skip, post = main.start(), main.branch()
        if main.shape != main.in_shape:
            skip.conv("project", self.channels, 1, self.stride)
        post.act("act2", self.activation)
        return main.unit(skip, post)


@register
class Separable(SearchableBlock):
    """Two depthwise-separable convolutions and a skip (Chollet 2017).

    With a stride, a 3x3 max pool of that stride follows them and a 1x1 convolution is the skip.
    """

    kind = "separable"
    activation: Activation = "relu"

    def lower(self, main: Chain) -> Unit:
        for i in (1, 2):
            main.depthwise(f"depthwise{i}", self.kernel, bare=True)
            main.conv(f"pointwise{i}", self.channels)
            if i == 1:
                main.act("act", self.activation)
        if self.stride > 1:
            main.pool("pool", "max", 3, self.stride, 1)
        skip = main.start()
        if main.shape != main.in_shape:
            skip.conv("shortcut", self.channels, 1, self.stride)
        return main.unit(skip)
