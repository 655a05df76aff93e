"""Pooling, which a search space uses to downsample before a stage."""

from __future__ import annotations

from typing import Annotated

from nas.arch.block import Block, Padding, Rate, Stride, register
from nas.arch.chain import Chain
from nas.arch.layers import Unit
from nas.common.schema import Choice, Int


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
