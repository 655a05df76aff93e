"""The plain convolution."""

from __future__ import annotations

from typing import Annotated

from nas.arch.block import Activation, Padding, SearchableBlock, register
from nas.arch.chain import Chain
from nas.arch.layers import Conv2d, Unit
from nas.common.schema import Choice


@register
class Conv(SearchableBlock):
    """Convolution, batch norm before or after the activation (or none), activation."""

    kind = "conv"
    searchable = ("kernel", "activation")
    padding: Padding = "same"
    norm: Annotated[str, Choice(("before", "after", "none"), "norm")] = "before"
    activation: Activation = "relu"

    def lower(self, main: Chain) -> Unit:
        valid = self.padding == "valid"
        if self.norm == "after":
            # The norm comes after the activation, so the convolution's own bias is not inert.
            padding = 0 if valid else self.kernel // 2
            main.add(
                Conv2d(
                    "conv", main.shape, self.channels, self.kernel, self.stride, padding, 1, True
                )
            )
            main.act("act", self.activation)
            main.norm("conv_norm")
        else:
            norm = self.norm == "before"
            main.conv("conv", self.channels, self.kernel, self.stride, norm=norm, valid=valid)
            main.act("act", self.activation)
        return main.unit()
