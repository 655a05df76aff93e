"""The kinds of block that come with the framework, one file each; importing registers them."""

from nas.arch.blocks.conv import Conv
from nas.arch.blocks.convnext import ConvNeXt
from nas.arch.blocks.ghost import Ghost
from nas.arch.blocks.inverted import Inverted
from nas.arch.blocks.pool import Pool
from nas.arch.blocks.residual import Residual
from nas.arch.blocks.separable import Separable

__all__ = ["Conv", "ConvNeXt", "Ghost", "Inverted", "Pool", "Residual", "Separable"]
