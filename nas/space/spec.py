"""What a search space file says, key by key: a list is a choice, a scalar is fixed. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from nas.arch.block import (
    ACTIVATIONS,
    SearchableBlock,
    searchable_kinds,
    unknown_kind,
)
from nas.common.errors import UserError, one_of, shown
from nas.common.files import read_yaml
from nas.common.schema import Choice, Choices, Flag, Float, Int, Text, read

DOWNSAMPLES = ("none", "max", "avg", "stride")
Channels = Annotated[tuple[int, ...], Choices(Int(1, 4096))]
Kernels = Annotated[tuple[int, ...], Choices(Int(1, 11, odd=True))]
Activations = Annotated[tuple[str, ...], Choices(Choice(ACTIVATIONS, "activation"))]


class _Kind:
    """A kind of block that has a width."""

    def read(self, value: Any, where: str) -> str:
        return _searchable(value, where).kind


def _searchable(kind: object, where: str) -> type[SearchableBlock]:
    known = searchable_kinds()
    if not isinstance(kind, str) or kind not in known:
        raise unknown_kind(where, kind, known)
    return known[kind]


class _Hidden:
    """Widths of the head's hidden layers: [512, 128], one width, or 0 for none."""

    def read(self, value: Any, where: str) -> tuple[int, ...]:
        if value == 0 and not isinstance(value, bool):
            return ()
        widths = value if isinstance(value, list) else [value]
        return tuple(Int(1, 8192).read(w, f"{where}[{i}]") for i, w in enumerate(widths))


@dataclass(frozen=True)
class InputSpec:
    channels: Annotated[int, Int(1, 4)] = 1
    height: Annotated[int, Int(8, 512)] = 48
    width: Annotated[int, Int(8, 512)] = 48
    resize: Annotated[tuple[int, ...], Choices(Int(0, 512))] = (0,)


@dataclass(frozen=True)
class StemSpec:
    channels: Channels
    kernel: Kernels = (3,)
    stride: Annotated[tuple[int, ...], Choices(Int(1, 4))] = (1,)
    activation: Activations = ("relu",)


@dataclass(frozen=True)
class StageSpec:
    channels: Channels
    depth: Annotated[tuple[int, ...], Choices(Int(0, 32))]
    blocks: Annotated[tuple[str, ...], Choices(_Kind())]
    downsample: Annotated[tuple[str, ...], Choices(Choice(DOWNSAMPLES, "downsample"))] = ("none",)


class _BlockChoices:
    """{kind: {searchable field: its choices}}."""

    def read(self, value: Any, where: str) -> dict[str, dict[str, tuple[Any, ...]]]:
        if not isinstance(value, dict):
            raise UserError(f"{where}: must be a mapping of kinds of block, got {shown(value)}")
        found: dict[str, dict[str, tuple[Any, ...]]] = {}
        for kind, fields in value.items():
            genes = _searchable(kind, where).genes()
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
    pool: Annotated[tuple[str, ...], Choices(Choice(("flatten", "avg", "max"), "head pool"))]
    hidden: Annotated[tuple[tuple[int, ...], ...], Choices(_Hidden())] = ((),)
    dropout: Annotated[tuple[float, ...], Choices(Float(0.0, 0.9))] = (0.0,)
    norm: Annotated[bool, Flag()] = False
    activation: Annotated[str, Choice(ACTIVATIONS, "activation")] = "relu"


class _Bounds:
    """[lowest, highest] of a cost, both allowed."""

    def read(self, value: Any, where: str) -> tuple[int, int]:
        if not isinstance(value, list) or len(value) != 2:
            raise UserError(f"{where}: must be [lowest, highest], got {value!r}")
        low, high = (Int(0, 10**15).read(v, f"{where}[{i}]") for i, v in enumerate(value))
        if low > high:
            raise UserError(f"{where}: lowest must not exceed highest, got {value!r}")
        return low, high


@dataclass(frozen=True)
class Constraints:
    params: Annotated[tuple[int, int] | None, _Bounds()] = None
    macs: Annotated[tuple[int, int] | None, _Bounds()] = None
    activations: Annotated[tuple[int, int] | None, _Bounds()] = None

    def bounds(self) -> dict[str, tuple[int, int]]:
        return {k: v for k, v in vars(self).items() if v is not None}


@dataclass(frozen=True)
class SpaceSpec:
    """A search space file; the field names are its keys."""

    version: Annotated[int, Int(1, 1)]
    name: Annotated[str, Text(64)]
    input: InputSpec
    num_classes: Annotated[int, Int(2, 1000)]
    stem: StemSpec
    stages: tuple[StageSpec, ...]
    head: HeadSpec
    blocks: Annotated[Mapping[str, Mapping[str, tuple[Any, ...]]], _BlockChoices()] = field(
        default_factory=dict
    )
    bias: Annotated[tuple[bool, ...], Choices(Flag())] = (False,)
    constraints: Constraints = Constraints()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read and check a search space file. UserError names the key that does not fit."""
        spec = read(cls, read_yaml(Path(path)), str(path))
        assert isinstance(spec, cls)
        spec._check(str(path))
        return spec

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
        size = self.input
        if {0, size.height} <= {*size.resize} and size.height == size.width:
            raise UserError(
                f"{where}: input.resize: 0 and {size.height} mean the same here; drop one"
            )
        for i, stage in enumerate(self.stages):
            if 0 in stage.depth and not {"max", "avg"} & set(stage.downsample):
                raise UserError(
                    f"{where}: stages[{i}]: depth 0 leaves an empty stage; "
                    "it needs max or avg among downsample"
                )
