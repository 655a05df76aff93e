"""What a search space file says, key by key: a list is a choice, a scalar is fixed. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from nas.arch.genome import ACTIVATIONS, Conv, Inverted, Residual, Separable
from nas.common.errors import UserError
from nas.common.files import read_yaml
from nas.common.schema import Choice, Choices, Flag, Float, Int, Text, read

DOWNSAMPLES = ("none", "max", "avg", "stride")
SearchableBlock = Conv | Residual | Inverted | Separable  # blocks with a width
KINDS: dict[str, type[SearchableBlock]] = {
    "conv": Conv,
    "residual": Residual,
    "inverted": Inverted,
    "separable": Separable,
}
Channels = Annotated[tuple[int, ...], Choices(Int(1, 4096))]
Kernels = Annotated[tuple[int, ...], Choices(Int(1, 11, odd=True))]
Activations = Annotated[tuple[str, ...], Choices(Choice(ACTIVATIONS, "activation"))]
Ratios = Annotated[tuple[float, ...], Choices(Float(0.0, 1.0))]


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
    blocks: Annotated[tuple[str, ...], Choices(Choice(tuple(KINDS), "block"))]
    downsample: Annotated[tuple[str, ...], Choices(Choice(DOWNSAMPLES, "downsample"))] = ("none",)


@dataclass(frozen=True)
class ConvSpec:
    kernel: Kernels = (3,)
    activation: Activations = ("relu",)


@dataclass(frozen=True)
class ResidualSpec:
    kernel: Kernels = (3,)
    se_ratio: Ratios = (0.0,)
    activation: Activations = ("relu",)


@dataclass(frozen=True)
class InvertedSpec:
    kernel: Kernels = (3,)
    expand: Annotated[tuple[int, ...], Choices(Int(1, 16))] = (4,)
    se_ratio: Ratios = (0.0,)
    activation: Activations = ("relu",)


@dataclass(frozen=True)
class SeparableSpec:
    kernel: Kernels = (3,)
    activation: Activations = ("relu",)


@dataclass(frozen=True)
class BlockSpecs:
    conv: ConvSpec = ConvSpec()
    residual: ResidualSpec = ResidualSpec()
    inverted: InvertedSpec = InvertedSpec()
    separable: SeparableSpec = SeparableSpec()


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
    blocks: BlockSpecs = BlockSpecs()
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
        return KINDS[kind](channels=1, **genes)

    def block_choices(self, kind: str) -> dict[str, tuple[Any, ...]]:
        """What each searchable field of a kind of block may be."""
        found: dict[str, tuple[Any, ...]] = vars(getattr(self.blocks, kind))
        return found

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
