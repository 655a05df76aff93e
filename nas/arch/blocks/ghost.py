"""The ghost bottleneck: half of the features are made from the other half, cheaply."""

from __future__ import annotations

from nas.arch.block import Activation, Attention, Expansion, SearchableBlock, SqueezeRatio, register
from nas.arch.chain import Chain
from nas.arch.layers import Unit


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
