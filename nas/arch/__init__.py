"""Architectures as plain data, their cost, torch module and ONNX graph; kinds of block."""

from nas.arch.block import Block, SearchableBlock, register
from nas.arch.chain import Chain
from nas.arch.genome import Genome
from nas.arch.layers import Unit
from nas.common.lazy import lazy_function

__all__ = ["Block", "Chain", "Genome", "SearchableBlock", "Unit", "register"]

# For notebooks; genome.py knows no costs, and pictures load matplotlib.
Genome._repr_html_ = lazy_function("nas.arch.picture:html")  # type: ignore[attr-defined]
