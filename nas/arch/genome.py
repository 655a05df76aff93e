"""The genome: a network's architecture as plain, validated data. No torch here.

The grammar is wide enough for the hand-designed networks of FER (AlexNet, FER-net, VGGNet, ResNet
and the report's proposed model); a search space (nas/space/space.py) is a small part of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from nas.arch.block import Activation, Block, BlockRule, Rate
from nas.arch.blocks import Conv, Inverted, Pool, Residual, Separable
from nas.common.errors import UserError
from nas.common.files import parse_json, read_json
from nas.common.lazy import lazy_function
from nas.common.resources import REFERENCES
from nas.common.schema import Choice, Flag, Int, read

__all__ = [  # the first blocks, beside what is made here
    "Block", "Conv", "Dense", "Genome", "GenomeRule", "Head", "Input", "Inverted", "Pool",
    "Residual", "Separable", "Stage", "find_genome", "read_genome",
]  # fmt: skip

FORMAT = "fer-nas.genome/1"
# What may stand beside `genome` in a file; none of it changes the network.
BESIDE = ("id", "name", "notes", "published", "evaluation")

MAX_BLOCKS = 512  # in all: modules take memory however few parameters they have


ImageChannels = Annotated[int, Int(1, 4)]
Side = Annotated[int, Int(8, 512)]  # of an image, in pixels
Resize = Annotated[int, Int(0, 512)]
Classes = Annotated[int, Int(2, 1000)]
Units = Annotated[int, Int(1, 8192)]


@dataclass(frozen=True)
class Input:
    """Pixels that the network receives; `resize` > 0 scales them bilinearly to a square first."""

    channels: ImageChannels = 1
    height: Side = 48
    width: Side = 48
    resize: Resize = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width of the pixels, before they are resized."""
        return self.channels, self.height, self.width


@dataclass(frozen=True)
class Stage:
    """Blocks that belong together: usually those of one resolution. Crossover swaps stages."""

    blocks: tuple[Annotated[Block, BlockRule()], ...]


@dataclass(frozen=True)
class Dense:
    """A fully connected layer of the head: linear, batch norm if asked, activation, dropout."""

    units: Units
    norm: Annotated[bool, Flag()] = False
    activation: Activation = "relu"
    dropout: Rate = 0.0


@dataclass(frozen=True)
class Head:
    """Feature map -> vector -> hidden layers -> one linear classifier (implied).

    With pool `conv` a 3x3 convolution to the classes and their mean are the whole head (after Lin
    et al. 2014, network in network); there are no hidden layers then.
    """

    pool: Annotated[str, Choice(("flatten", "avg", "max", "conv"), "head pool")] = "avg"
    dropout: Rate = 0.0
    hidden: tuple[Dense, ...] = ()


@dataclass(frozen=True)
class Genome:
    """A network. `bias` gives convolutions followed by a batch norm a bias as well.

    That bias changes no function before a batch norm, but published parameter counts include it.
    """

    input: Input
    num_classes: Classes
    stages: tuple[Stage, ...]
    head: Head
    bias: Annotated[bool, Flag()] = False

    # For notebooks: no costs are known here, and pictures load matplotlib.
    _repr_html_ = lazy_function("nas.arch.picture:html")

    @cached_property
    def id(self) -> str:
        """First 12 hex digits of SHA-256 over the canonical JSON."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, every field spelled out; see `Block.to_dict`."""
        return {
            "input": vars(self.input).copy(),
            "num_classes": self.num_classes,
            "stages": [
                {"blocks": [block.to_dict() for block in stage.blocks]} for stage in self.stages
            ],
            "head": {
                "pool": self.head.pool,
                "dropout": self.head.dropout,
                "hidden": [vars(dense).copy() for dense in self.head.hidden],
            },
            "bias": self.bias,
        }

    def to_json(self, **beside: Any) -> str:
        """A self-sufficient file; `beside` may hold name, notes, published, evaluation."""
        assert set(beside) <= set(BESIDE)
        return json.dumps(
            {"format": FORMAT, "id": self.id, **beside, "genome": self.to_dict()}, indent=1
        )

    @classmethod
    def load(cls, name: str | PathLike[str]) -> Genome:
        """A reference genome by name (`proposed`), a file, or a run's folder (its best.json)."""
        return read_genome(REFERENCES.find(name))[0]

    @classmethod
    def from_dict(cls, data: object, where: str = "genome") -> Genome:
        """Read and check plain data. UserError names the field that does not fit."""
        genome = read(cls, data, where)
        if not genome.stages or not any(stage.blocks for stage in genome.stages):
            raise UserError(f"{where}.stages: a network needs at least one block")
        blocks = sum(len(stage.blocks) for stage in genome.stages)
        if blocks > MAX_BLOCKS:
            raise UserError(f"{where}.stages: {blocks} blocks; allowed at most {MAX_BLOCKS}")
        if genome.head.pool == "conv" and genome.head.hidden:
            raise UserError(f"{where}.head.hidden: must be empty where the head's pool is 'conv'")
        size = genome.input
        if size.resize == size.height == size.width:  # an inactive gene makes no second id
            genome = dataclasses.replace(genome, input=dataclasses.replace(size, resize=0))
        return genome

    @classmethod
    def from_json(cls, text: str, where: str = "genome.json") -> Genome:
        """Parse what `to_json` writes."""
        return _from_file(parse_json(text, where), where)


class GenomeRule:
    """Reads a genome from plain data."""

    def read(self, value: object, where: str) -> Genome:
        return Genome.from_dict(value, where)


def find_genome(given: Genome | str | PathLike[str], where: str) -> tuple[Genome, Path | None]:
    """What `Genome.load` takes, or a genome itself; and its file, where it is of one."""
    if isinstance(given, Genome):
        return given, None
    path = REFERENCES.find(given, where)
    return Genome.load(path), path


def read_genome(path: str | Path) -> tuple[Genome, dict[str, Any]]:
    """A genome file: the genome, and what stands beside it (name, notes, published figures)."""
    path = Path(path)
    data = read_json(path)
    genome = _from_file(data, str(path))
    beside = {key: data[key] for key in BESIDE if key in data}
    beside.setdefault("name", path.stem)
    return genome, beside


def _from_file(data: object, where: str) -> Genome:
    if not isinstance(data, dict) or "genome" not in data:
        raise UserError(f"{where}: not a genome file; expected a mapping with format and genome")
    if data.get("format") != FORMAT:
        raise UserError(
            f"{where}: format {data.get('format')!r} is not understood; "
            f"this version reads {FORMAT!r}"
        )
    unknown = set(data) - {"format", "genome", *BESIDE}
    if unknown:
        raise UserError(f"{where}: unknown key {sorted(unknown)[0]!r} beside the genome")
    genome = Genome.from_dict(data["genome"], f"{where}: genome")
    if data.get("id") not in (None, genome.id):
        raise UserError(f"{where}: id {data['id']!r} does not fit the genome, which is {genome.id}")
    return genome
