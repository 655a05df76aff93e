"""A block of your own: one class. Then search with it, from this folder:

    python -m nas.search --plugin own_block --space own_block.yaml

The block is the partial convolution of FasterNet (Chen et al. 2023): only a part of the channels is
convolved, the others pass; two 1x1 convolutions mix them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.arch import Chain, SearchableBlock, Unit, register
from nas.arch.block import Activation, Expansion, Ratio
from nas.arch.lowering import cost, describe
from nas.space.space import SearchSpace


@register
class Partial(SearchableBlock):
    """`share` of the channels convolved, 1x1 expansion, 1x1 projection, a skip where it fits."""

    kind = "partial"
    share: Ratio = 0.25
    expand: Expansion = 2
    activation: Activation = "relu"

    def lower(self, main: Chain) -> Unit:
        convolved = max(1, round(main.channels * self.share))
        first, rest = main.branch(), main.branch()
        first.slice("first", 0, convolved)
        first.conv("conv", convolved, self.kernel, bare=True)
        if convolved < main.channels:
            rest.slice("rest", convolved, main.channels - convolved)
            main.concat("partial", first, rest)
        else:
            main.concat("partial", first)
        if self.stride > 1:
            main.pool("pool", "avg", self.stride, self.stride)
        main.conv("expand", main.channels * self.expand)
        main.act("act", self.activation)
        main.conv("project", self.channels, norm=False)
        return main.unit(main.start() if main.shape == main.in_shape else None)


def main() -> None:
    """Draw a network, and show that its cost, its torch module and its ONNX graph are there."""
    from nas.arch.module import build
    from nas.arch.onnx import to_onnx

    space = SearchSpace.load(Path(__file__).with_name("own_block.yaml"))
    print(f"space {space.name}: {space.size():.3g} networks")
    genome = space.sample(np.random.default_rng(0)).genome
    print(describe(genome))
    found = sum(p.numel() for p in build(genome).parameters())
    print(f"parameters: {cost(genome).params:,} predicted, {found:,} in the torch module")
    print(f"ONNX graph: {len(to_onnx(genome).graph.node)} nodes")


if __name__ == "__main__":
    main()
