"""Architectures as plain data, their cost, torch module and ONNX graph; kinds of block."""

from nas.arch.block import Block, SearchableBlock, register
from nas.arch.chain import Chain
from nas.arch.genome import Genome
from nas.arch.layers import Unit

__all__ = ["Block", "Chain", "Genome", "SearchableBlock", "Unit", "register"]
