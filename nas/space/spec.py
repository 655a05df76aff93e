"""What a search space file says, key by key: a list is a choice, a scalar is fixed. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, floor, inf
from pathlib import Path
from typing import Annotated, Any, Self

import yaml

from nas.arch.block import (
    Activation,
    Channels,
    Kernel,
    Rate,
    SearchableBlock,
    Stride,
    searchable_kinds,
    unknown_kind,
)
from nas.arch.footprint import static_metric
from nas.arch.genome import Classes, Genome, ImageChannels, Input, Resize, Side, Units
from nas.arch.layers import Shape
from nas.arch.lowering import cost
from nas.common.errors import UserError, one_of, shown
from nas.common.files import read_yaml
from nas.common.resources import SEARCH_SPACES
from nas.common.schema import Choice, Choices, Flag, Int, Text, read

CLASSES = 7  # of FER2013: for a space that states none, without data
MOST = 10**15  # of any cost
DOWNSAMPLES = ("none", "max", "avg", "stride")
Widths = Annotated[tuple[int, ...], Choices(Channels)]


class _Kind:
    """A kind of block that has a width."""

    about = "kind of block"

    def read(self, value: object, where: str) -> str:
        known = searchable_kinds()
        if not isinstance(value, str) or value not in known:
            raise unknown_kind(where, value, known)
        return value


class _Hidden:
    """Widths of the head's hidden layers: [512, 128], one width, or 0 for none."""

    about = "width, list of widths, or 0"

    def read(self, value: object, where: str) -> tuple[int, ...]:
        if value == 0 and not isinstance(value, bool):
            return ()
        widths = value if isinstance(value, list) else [value]
        return tuple(read(Units, w, f"{where}[{i}]") for i, w in enumerate(widths))


@dataclass(frozen=True)
class InputSpec:
    """The images."""

    channels: Annotated[ImageChannels | None, "1 grey, 3 colour; else those of the data"] = None
    height: Annotated[Side | None, "pixels; else those of the data"] = None
    width: Annotated[Side | None, "pixels; else those of the data"] = None
    resize: Annotated[
        tuple[int, ...], Choices(Resize), "side of the square they are scaled to first; 0: not"
    ] = (0,)


@dataclass(frozen=True)
class StemSpec:
    """The first convolution, with batch norm."""

    channels: Annotated[Widths, "its width"]
    kernel: Annotated[tuple[int, ...], Choices(Kernel), "its side"] = (3,)
    stride: Annotated[tuple[int, ...], Choices(Stride), "above 1 it gives smaller maps"] = (1,)
    activation: Annotated[tuple[str, ...], Choices(Activation), "behind the norm"] = ("relu",)


@dataclass(frozen=True)
class StageSpec:
    """Blocks of one resolution and one width. What downsamples comes first."""

    channels: Annotated[Widths, "width of every block"]
    depth: Annotated[tuple[int, ...], Choices(Int(0, 32)), "how many blocks"]
    blocks: Annotated[tuple[str, ...], Choices(_Kind()), "of which kinds, each by itself"]
    downsample: Annotated[
        tuple[str, ...],
        Choices(Choice(DOWNSAMPLES, "downsample")),
        "2x2 pooling, a stride of 2 in the first block, or none",
    ] = ("none",)


class _BlockChoices:
    """{kind: {searchable field: its choices}}."""

    about = "mapping of kinds"

    def read(self, value: object, where: str) -> dict[str, dict[str, tuple[Any, ...]]]:
        if not isinstance(value, dict):
            raise UserError(f"{where}: must be a mapping of kinds of block, got {shown(value)}")
        found: dict[str, dict[str, tuple[Any, ...]]] = {}
        for kind, fields in value.items():
            genes = searchable_kinds()[_Kind().read(kind, where)].genes()
            if not isinstance(fields, dict):
                raise UserError(f"{where}.{kind}: must be a mapping, got {shown(fields)}")
            for name in fields:
                if name not in genes:
                    raise one_of(f"{where}.{kind}", name, genes, "key")
            found[kind] = {
                name: Choices(genes[name][0]).read(choices, f"{where}.{kind}.{name}")
                for name, choices in fields.items()
            }
        return found


@dataclass(frozen=True)
class HeadSpec:
    """From the last map to the classes. The linear classifier is implied."""

    pool: Annotated[
        tuple[str, ...],
        Choices(Choice(("flatten", "avg", "max"), "head pool")),
        "global pooling, or every pixel",
    ]
    hidden: Annotated[
        tuple[tuple[int, ...], ...],
        Choices(_Hidden()),
        "widths of dense layers before the classifier; 0: none",
    ] = ((),)
    dropout: Annotated[
        tuple[float, ...],
        Choices(Rate),
        "behind every hidden layer, or before the classifier where there is none",
    ] = (0.0,)
    norm: Annotated[bool, Flag(), "batch norm in the hidden layers"] = False
    activation: Annotated[Activation, "of the hidden layers"] = "relu"


class _Bounds:
    """[lowest, highest] of a cost, both allowed."""

    about = "[lowest, highest]"

    def read(self, value: object, where: str) -> tuple[int, int]:
        if not isinstance(value, list) or len(value) != 2:
            raise UserError(f"{where}: must be [lowest, highest], got {value!r}")
        low, high = (Int(0, MOST).read(v, f"{where}[{i}]") for i, v in enumerate(value))
        if low > high:
            raise UserError(f"{where}: lowest must not exceed highest, got {value!r}")
        return low, high


Bounds = Annotated[tuple[int, int] | None, _Bounds()]


@dataclass(frozen=True)
class Constraints:
    """Costs that every network of the space keeps, exact and for one image."""

    params: Annotated[Bounds, "trained numbers"] = None
    macs: Annotated[Bounds, "multiply-accumulates"] = None
    activations: Annotated[Bounds, "elements in the outputs of all layers"] = None
    peak_memory: Annotated[Bounds, "bytes of float32 maps held at once"] = None
    int8_size: Annotated[Bounds, "bytes of weights and scales in the int8 export"] = None

    def bounds(self) -> dict[str, tuple[int, int]]:
        return {k: v for k, v in vars(self).items() if v is not None}


@dataclass(frozen=True)
class SpaceSpec:
    """A search space file; the field names are its keys.

    `num_classes` and the input's size that are not stated come from the data, see `for_data`.
    """

    version: Annotated[int, Int(1, 1), "of this format"]
    name: Annotated[str, Text(64), "letters, digits, - and _"]
    stem: Annotated[StemSpec, "the first convolution"]
    stages: Annotated[tuple[StageSpec, ...], "from the largest map to the smallest"]
    head: Annotated[HeadSpec, "from the last map to the classes"]
    input: Annotated[InputSpec, "the images"] = InputSpec()
    num_classes: Annotated[Classes | None, "else those of the data"] = None
    blocks: Annotated[
        Mapping[str, Mapping[str, tuple[Any, ...]]],
        _BlockChoices(),
        "what the fields of each kind of block may be; else their defaults",
    ] = field(default_factory=dict)
    bias: Annotated[
        tuple[bool, ...], Choices(Flag()), "of convolutions before a batch norm as well"
    ] = (False,)
    constraints: Annotated[Constraints, "limits on costs"] = Constraints()

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """A search space by name (`fer`) or path. UserError names the key that does not fit."""
        path = SEARCH_SPACES.find(name)
        spec = read(cls, read_yaml(path), str(path))
        spec._check(str(path))
        return spec

    @property
    def classes(self) -> int:
        """Stated, from the data, or else those of FER2013."""
        return self.num_classes or CLASSES

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of the images: stated, from the data, or FER2013's."""
        size = self.input
        return (
            size.channels or Input.channels,
            size.height or Input.height,
            size.width or Input.width,
        )

    def for_data(self, classes: int, channels: int, height: int, width: int) -> Self:
        """The space with all that it does not state taken from the data.

        UserError where something stated disagrees. A stated size may be smaller than the images:
        training then takes parts of them.
        """
        size, where = self.input, f"space {self.name}"
        for key, stated, found in (
            ("num_classes", self.num_classes, classes), ("input.channels", size.channels, channels)
        ):  # fmt: skip
            if stated not in (None, found):
                raise UserError(f"{where}: {key}: {stated} is stated, the data has {found}")
        for key, stated, found in (("height", size.height, height), ("width", size.width, width)):
            if stated is not None and stated > found:
                raise UserError(
                    f"{where}: input.{key}: {stated} is stated, the data's images have {found}"
                )
        size = dataclasses.replace(
            size, channels=channels, height=size.height or height, width=size.width or width
        )
        completed = dataclasses.replace(self, input=size, num_classes=classes)
        completed._check(where)
        return completed

    def within(self, bounds: Mapping[str, tuple[float | None, float | None]]) -> Self:
        """The space with further limits (lowest, highest; None: none) on what it can limit.

        Names that are no key of `constraints` are left out. UserError where nothing is left.
        """
        limits = dict(vars(self.constraints))
        for name, (low, high) in bounds.items():
            if name not in limits:
                continue
            least, most = limits[name] or (0, MOST)
            least = max(least, ceil(low or 0))
            most = most if high is None else min(most, floor(high))
            if least > most:
                raise UserError(f"space {self.name}: {name}: nothing is within [{least}, {most}]")
            limits[name] = (least, most)
        return dataclasses.replace(self, constraints=Constraints(**limits))

    def violation(self, genome: Genome) -> float:
        """Sum of relative excesses over the constraints; 0 is feasible, inf cannot be built."""
        try:
            cost(genome)  # whether it can be built at all
            bounds = [(static_metric(genome, name), limits)
                      for name, limits in self.constraints.bounds().items()]  # fmt: skip
        except UserError:
            return inf
        return sum(
            max(0.0, value / high - 1 if high else float(value), 1 - value / low if low else 0.0)
            for value, (low, high) in bounds
        )

    def to_yaml(self) -> str:
        """A search space file that says the same, every choice spelled out."""
        used = dict.fromkeys(kind for stage in self.stages for kind in stage.blocks)
        full = dataclasses.replace(self, blocks={kind: self.block_choices(kind) for kind in used})
        return yaml.safe_dump(_plain(full), sort_keys=False, default_flow_style=None, width=100)

    def block(self, kind: str, genes: dict[str, Any]) -> SearchableBlock:
        """A block of a stage; its width and stride are the stage's."""
        return searchable_kinds()[kind](channels=1, **genes)

    def block_choices(self, kind: str) -> dict[str, tuple[Any, ...]]:
        """What each searchable field of a kind of block may be."""
        given = self.blocks.get(kind, {})
        genes = searchable_kinds()[kind].genes()
        return {name: given.get(name, (default,)) for name, (_, default) in genes.items()}

    def _check(self, where: str) -> None:
        if not self.name.replace("_", "").replace("-", "").isalnum():
            raise UserError(f"{where}: name: letters, digits, - and _ only, got {self.name!r}")
        if not self.stages:
            raise UserError(f"{where}: stages: expected one or more")
        _, height, width = self.shape
        if {0, height} <= {*self.input.resize} and height == width:
            raise UserError(f"{where}: input.resize: 0 and {height} mean the same here; drop one")
        for i, stage in enumerate(self.stages):
            if 0 in stage.depth and not {"max", "avg"} & set(stage.downsample):
                raise UserError(
                    f"{where}: stages[{i}]: depth 0 leaves an empty stage; "
                    "it needs max or avg among downsample"
                )


def _plain(value: Any) -> Any:
    """Plain data for YAML; what is None is not stated."""
    if dataclasses.is_dataclass(value):
        found = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {name: _plain(v) for name, v in found.items() if v is not None}
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
