"""What a kind of block is, and the one register of kinds. No torch here.

A kind is one class: fields with their ranges, `lower` to primitive layers, and the fields that a
search varies. Reading and writing genomes, costs, torch modules, ONNX graphs, search space files
and genotypes follow from it. Own kinds: examples/own_block.py.
"""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform

from nas.arch.chain import ATTENTIONS, Chain
from nas.arch.layers import Unit
from nas.common.errors import UserError, one_of
from nas.common.schema import Choice, Float, Int, hints, read

ACTIVATIONS = ("none", "relu", "leaky_relu", "elu", "gelu", "silu", "hardswish")

# Rules of fields; the text goes into docs/search-space.md.
Activation = Annotated[str, Choice(ACTIVATIONS, "activation"), "the nonlinearity"]
Attention = Annotated[str, Choice(ATTENTIONS, "attention"), "a gate; may stand beside SE"]
Channels = Annotated[int, Int(1, 4096)]
Expansion = Annotated[int, Int(1, 16), "inner width, as a multiple of the input's"]
Kernel = Annotated[int, Int(1, 11, odd=True), "side of the convolution that sees neighbours"]
Stride = Annotated[int, Int(1, 4)]
Padding = Annotated[str, Choice(("same", "valid"), "padding")]
Rate = Annotated[float, Float(0.0, 0.9)]
Ratio = Annotated[float, Float(0.0, 1.0)]
SqueezeRatio = Annotated[Ratio, "squeezed width of squeeze-excite, as a share; 0: no SE"]

T = TypeVar("T", bound="type[Block]")


class Block(ABC):
    """A member of a stage. Fields are annotated with their rule: `kernel: Kernel = 3`."""

    kind: ClassVar[str]
    kernel: int
    stride: int

    @abstractmethod
    def lower(self, main: Chain) -> Unit:
        """The block's layers, added to a chain that begins with its input: `main.unit(...)`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the kind and every field, but for later ones at their default."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # `register` makes it one
        values = {f.name: getattr(self, f.name) for f in fields}
        later = {f.name: f.default for f in fields if "later" in f.metadata}
        kept = {k: v for k, v in values.items() if k not in later or v != later[k]}
        return {"kind": self.kind, **kept}


@dataclass(frozen=True)
class SearchableBlock(Block):
    """A block that gives `channels` channels: a search space fills its stages with such.

    `searchable` names the fields that a space may vary; by default all but width and stride,
    which are the stage's. They need defaults.
    """

    searchable: ClassVar[tuple[str, ...]]
    channels: Channels
    kernel: Kernel = 3
    stride: Stride = 1

    @classmethod
    @cache
    def genes(cls) -> dict[str, tuple[Any, Any]]:
        """{searchable field: (the rule of its values, its default)}."""
        rules, defaults = hints(cls), {f.name: f.default for f in dataclasses.fields(cls)}
        return {name: (rules[name], defaults[name]) for name in cls.searchable}


def later(*, default: Any) -> Any:
    """A field that came after genomes were stored: at its default it is not written.

    So the ids of those genomes, which are hashes of what is written, stay.
    """
    return field(default=default, metadata={"later": True})


_KINDS: dict[str, type[Block]] = {}


@dataclass_transform(frozen_default=True, field_specifiers=(field, later))
def register(cls: T) -> T:
    """Class decorator: make it a frozen dataclass and its `kind` known everywhere.

    Raises TypeError where the class is no block, has no `lower`, or its kind is another class's.
    """
    dataclass(frozen=True)(cls)
    kind = getattr(cls, "kind", None)
    if not issubclass(cls, Block) or not isinstance(kind, str) or not kind.isidentifier():
        raise TypeError(f"{cls.__name__}: a block derives from Block and has a `kind`, a word")
    known = _KINDS.get(kind, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(f"block {kind!r} is already {known.__module__}.{known.__qualname__}")
    if issubclass(cls, SearchableBlock):
        if "searchable" not in vars(cls):
            names = (f.name for f in dataclasses.fields(cls))
            cls.searchable = tuple(name for name in names if name not in ("channels", "stride"))
        for name, (rule, default) in cls.genes().items():
            if default is MISSING or read(rule, default, name) != default:
                raise TypeError(f"block {kind!r}: {name} is searchable and needs a default")
    if inspect.isabstract(cls):
        raise TypeError(f"block {kind!r}: lower is missing")
    _KINDS[kind] = cls
    return cls


def kinds() -> Mapping[str, type[Block]]:
    """{name: class} of every kind that is registered."""
    return _KINDS


def searchable_kinds() -> dict[str, type[SearchableBlock]]:
    """{name: class} of those that a search space may use."""
    return {name: cls for name, cls in _KINDS.items() if issubclass(cls, SearchableBlock)}


def unknown_kind(where: str, name: object, known: Mapping[str, type[Block]]) -> UserError:
    """The error for a kind that is not among `known`."""
    error = one_of(where, name, known, "block")
    return UserError(f"{error}; an own block needs --plugin and its module")


class BlockRule:
    """Reads a block from a mapping with a `kind` and its fields."""

    def read(self, value: object, where: str) -> Block:
        if not isinstance(value, dict) or "kind" not in value:
            raise UserError(f"{where}: must be a mapping with a kind, one of {', '.join(_KINDS)}")
        kind = value["kind"]
        if not isinstance(kind, str) or kind not in _KINDS:
            raise unknown_kind(f"{where}.kind", kind, _KINDS)
        block = read(_KINDS[kind], {k: v for k, v in value.items() if k != "kind"}, where)
        assert isinstance(block, Block)
        return block
