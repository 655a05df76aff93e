"""The basic residual block."""

from __future__ import annotations

from nas.arch.block import Activation, Attention, SearchableBlock, SqueezeRatio, later, register
from nas.arch.chain import Chain
from nas.arch.layers import Unit


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
