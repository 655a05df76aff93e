"""A labelled set of face images in memory, and the one file format it is stored in. No torch."""

from __future__ import annotations

import hashlib
import json
import math
import re
import zipfile
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nas.arch.genome import Genome
from nas.common.errors import UserError, first_line, one_of, quoted
from nas.common.files import make_folder, open_regular, replacing
from nas.common.schema import Name

Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

DATA = Path("data")  # where prepared data sets live, by name
SYNTHETIC = "synthetic"  # the name of the one that code draws
SPLITS = ("train", "validation", "test")
ALL = "all"  # images, whatever their split
USAGES = {"Training": 0, "PublicTest": 1, "PrivateTest": 2}  # of FER2013 -> index into SPLITS
MAX_SIDE = 1024
MAX_CLASSES = 256  # labels are uint8
MAX_BYTES = 2 << 30  # of all images; FER2013 has 83 MB
MAX_META = 1 << 20
MAX_DEPTH = 8  # of the provenance
MAX_RATIO = 100  # of unpacked to packed bytes beyond FREE_BYTES; pictures of faces reach about 3
FREE_BYTES = 64 << 20
ARRAYS = {"images": 4, "labels": 1, "split": 1, "meta": 1}  # name -> dimensions, all uint8
VOTES = {"votes": 2}  # an array that a file may have


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images uint8 (N, C, H, W), labels and split uint8 (N,); split indexes `SPLITS`.

    Three channels are blue, green and red, as OpenCV and the demo have them.

    `provenance` is JSON: where the images come from, counts, duplicates, `synthetic`. votes uint8
    (N, classes): how many annotators chose each class, where that is known (FERPlus).
    """

    name: str
    images: Bytes
    labels: Bytes
    split: Bytes
    classes: tuple[str, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    votes: Bytes | None = None

    def __len__(self) -> int:
        return len(self.images)

    def indices(self, split_name: str) -> Indices:
        """Rows of one split, or of ALL, ascending, int64."""
        if split_name == ALL:
            return np.arange(len(self), dtype=np.int64)
        if split_name not in SPLITS:
            raise one_of(self.name, split_name, SPLITS, "split")
        return np.flatnonzero(self.split == SPLITS.index(split_name)).astype(np.int64)

    def in_order(self, classes: tuple[str, ...]) -> Dataset:
        """With the same classes in this order; of others it is left as it is."""
        if classes == self.classes or sorted(classes) != sorted(self.classes):
            return self
        places = np.array([classes.index(name) for name in self.classes], self.labels.dtype)
        votes = self.votes if self.votes is None else self.votes[:, np.argsort(places)]
        return replace(self, classes=classes, labels=places[self.labels], votes=votes)

    def soft_labels(self) -> npt.NDArray[np.float32]:
        """Shares of the votes (N, classes); the hard label where no vote is for any class."""
        if self.votes is None:
            raise UserError(
                f"{self.name}: has no votes; expected one prepared with --votes fer2013new.csv"
            )
        hard = np.eye(len(self.classes), dtype=np.float32)[self.labels]
        total = self.votes.sum(1, keepdims=True, dtype=np.float32)
        return np.where(total > 0, self.votes / np.maximum(total, 1), hard).astype(np.float32)

    @property
    def form(self) -> tuple[int, int, int, int]:
        """Classes, channels, height and width: what a network must fit."""
        return len(self.classes), *self.shape

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width of every image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that name the contents: pixels, labels, splits and classes."""
        digest = hashlib.sha256(json.dumps([self.images.shape, self.classes]).encode())
        arrays = [self.images, self.labels, self.split]
        for array in [*arrays, self.votes] if self.votes is not None else arrays:
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def counts(self) -> dict[str, dict[str, int]]:
        """split -> class -> number of images."""
        found = {}
        for name in SPLITS:
            counts = np.bincount(self.labels[self.indices(name)], minlength=len(self.classes))
            found[name] = dict(zip(self.classes, counts.tolist(), strict=True))
        return found


def check_input(
    dataset: Dataset, who: str, classes: int, channels: int, height: int, width: int
) -> None:
    """UserError when a network of so many classes and of such an input cannot take the images.

    who: the space or genome that asks, for the message. Of larger images training takes parts.
    """
    own_channels, own_height, own_width = dataset.shape
    if classes != len(dataset.classes):
        raise UserError(
            f"{who}: {classes} classes: does not fit data set {dataset.name}, which has "
            f"{len(dataset.classes)} ({quoted(dataset.classes[:10])})"
        )
    if channels != own_channels or height > own_height or width > own_width:
        raise UserError(
            f"{who}: input {channels}x{height}x{width} does not fit data set {dataset.name} of "
            f"{own_channels}x{own_height}x{own_width} (channels x height x width); "
            "python -m nas.data prepare has --colour and --size"
        )


def check_fit(genome: Genome, dataset: Dataset) -> None:
    """UserError when the data set's images or classes are not the genome's."""
    check_input(dataset, f"genome {genome.id}", genome.num_classes, *genome.input.shape)


def check_name(name: str) -> str:
    """The same name. UserError when it could not be the name of a file in data/."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,63}", name):
        raise UserError(f"data set: name: expected letters, digits, _, + and -, got {name!r}")
    return name


def check(dataset: Dataset, where: str) -> Dataset:
    """The same data set. UserError names the first thing that is wrong with it."""
    for name, dimensions in ARRAYS.items():
        if name != "meta":
            array = getattr(dataset, name)
            _check_array(f"{where}: {name}", array.dtype, array.shape, dimensions)
    n, channels, height, width = dataset.images.shape
    if n < 1:
        raise UserError(f"{where}: images: found none; expected at least 1")
    if channels not in (1, 3):
        raise UserError(f"{where}: images: found {channels} channels; expected 1 or 3")
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise UserError(f"{where}: images: found {height}x{width}; allowed sides 1 to {MAX_SIDE}")
    for name in ("labels", "split"):
        found = len(getattr(dataset, name))
        if found != n:
            raise UserError(f"{where}: {name}: found {found} entries; expected {n}, one an image")
    Name().read(dataset.name, f"{where}: name")
    _check_classes(dataset.classes, where)
    _check_depth(dataset.provenance, where)
    if dataset.votes is not None:
        shape, expected = dataset.votes.shape, (n, len(dataset.classes))
        if dataset.votes.dtype != np.uint8 or shape != expected:
            raise UserError(f"{where}: votes: found {shape}; expected uint8 {expected}")
    for name, limit in (("labels", len(dataset.classes)), ("split", len(SPLITS))):
        top = int(getattr(dataset, name).max())
        if top >= limit:
            raise UserError(f"{where}: {name}: found {top}; allowed 0 to {limit - 1}")
    return dataset


def _check_classes(classes: tuple[str, ...], where: str) -> None:
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise UserError(f"{where}: classes: found {len(classes)}; allowed 2 to {MAX_CLASSES}")
    for name in classes:
        Name().read(name, f"{where}: classes")
    if len(set(classes)) < len(classes):
        raise UserError(f"{where}: classes: found a name twice in {list(classes)}; expected once")


def _check_depth(provenance: dict[str, Any], where: str) -> None:
    """It is printed, and what prints it calls itself."""
    level: list[Any] = [provenance]
    for _ in range(MAX_DEPTH):
        held = [item.values() if isinstance(item, dict) else item for item in level]
        level = [value for item in held for value in item if isinstance(value, dict | list)]
    if level:
        raise UserError(f"{where}: provenance: nested deeper than {MAX_DEPTH}")


def _check_array(where: str, dtype: Any, shape: tuple[int, ...], dimensions: int) -> None:
    if dtype != np.uint8:
        raise UserError(f"{where}: found dtype {dtype}; expected uint8")
    if len(shape) != dimensions:
        raise UserError(f"{where}: found shape {shape}; expected {dimensions} dimensions")
    size = math.prod(shape)  # Python integers do not overflow
    if size > MAX_BYTES:
        raise UserError(f"{where}: found {size} bytes; allowed at most {MAX_BYTES}")


def save(dataset: Dataset, path: Path | str) -> Path:
    """Write a compressed .npz that holds no pickle; replaces an existing file at once or not."""
    path = Path(path)
    check(dataset, dataset.name)
    meta = {key: getattr(dataset, key) for key in ("name", "classes", "provenance")}
    raw = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    if len(raw) > MAX_META:
        raise UserError(f"{path}: provenance has {len(raw)} bytes; allowed at most {MAX_META}")
    held = {name: getattr(dataset, name, None) for name in (*ARRAYS, *VOTES)} | {"meta": raw}
    arrays: dict[str, Any] = {name: array for name, array in held.items() if array is not None}
    make_folder(path.parent)
    with replacing(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def load(path: Path | str) -> Dataset:
    """Read what `save` wrote. UserError when it is missing, broken, too big or something else."""
    try:
        with open_regular(Path(path)) as file:
            _check_headers(file, str(path))
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            meta = json.loads(arrays.pop("meta").tobytes())
        dataset = Dataset(
            name=str(meta["name"]),
            classes=tuple(meta["classes"]),
            provenance=dict(meta["provenance"]),
            **arrays,
        )
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror or error}") from None
    except Exception as error:  # zipfile, zlib, numpy's header and JSON have many kinds
        raise UserError(
            f"{path}: not an intact .npz file ({first_line(error)}); expected one written by "
            "python -m nas.data prepare"
        ) from None
    return check(dataset, str(path))


def _check_headers(file: IO[bytes], where: str) -> None:
    """Refuse pickles and zip bombs before anything is unpacked."""
    with zipfile.ZipFile(file) as archive:
        found = sorted(archive.namelist())
        known = {**ARRAYS, **VOTES} if "votes.npy" in found else ARRAYS
        expected = sorted(f"{name}.npy" for name in known)
        if found != expected:
            raise UserError(f"{where}: found arrays {found[:8]}; expected {expected}")
        for name, dimensions in known.items():
            here = f"{where}: {name}"
            with archive.open(f"{name}.npy") as member:
                if np.lib.format.read_magic(member) != (1, 0):
                    raise UserError(f"{here}: found another .npy version; expected 1.0")
                shape, _, dtype = np.lib.format.read_array_header_1_0(member)
                header = member.tell()
            _check_array(here, dtype, shape, dimensions)
            if name == "meta" and shape[0] > MAX_META:
                raise UserError(f"{here}: found {shape[0]} bytes; allowed at most {MAX_META}")
            stored = archive.getinfo(f"{name}.npy")
            size, stated = header + math.prod(shape), stored.file_size
            if size != stated:
                raise UserError(f"{here}: found {stated} bytes; its header says {size}")
            if stated > max(FREE_BYTES, MAX_RATIO * stored.compress_size):
                raise UserError(
                    f"{here}: {stored.compress_size} bytes unpack to {stated}; expected at most "
                    f"{MAX_RATIO} times as many"
                )
