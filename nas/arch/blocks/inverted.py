"""The inverted residual block of the MobileNets."""

from __future__ import annotations

from nas.arch.block import (
    Activation,
    Attention,
    Expansion,
    SearchableBlock,
    SqueezeRatio,
    later,
    register,
)
from nas.arch.chain import Chain
from nas.arch.layers import Unit


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
