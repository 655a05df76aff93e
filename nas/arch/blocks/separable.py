"""The module of Xception."""

from __future__ import annotations

from nas.arch.block import Activation, SearchableBlock, register
from nas.arch.chain import Chain
from nas.arch.layers import Unit


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
