"""The large-kernel depthwise block of ConvNeXt."""

from __future__ import annotations

from nas.arch.block import Activation, Attention, Expansion, Kernel, SearchableBlock, register
from nas.arch.chain import Chain
from nas.arch.layers import Unit


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
