"""Splits that stay fixed, keep class shares and never tear a group apart; duplicate images."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.common.errors import UserError
from nas.data.dataset import SPLITS, Bytes, Dataset, Indices


@dataclass(frozen=True)
class SearchData:
    """The train split alone, parted for a search: what its workers train and score on.

    images uint8 (N, C, H, W), labels uint8 (N,); fit, held_out: rows of these. origin: the data
    set's own rows of the N images.
    """

    images: Bytes
    labels: Bytes
    fit: Indices
    held_out: Indices
    origin: Indices


def search_data(dataset: Dataset) -> SearchData:
    """The train split, parted by `search_split`."""
    fit, held_out = search_split(dataset)
    rows = np.concatenate([fit, held_out])
    first, last = np.split(np.arange(len(rows)), [len(fit)])
    return SearchData(dataset.images[rows], dataset.labels[rows], first, last, rows)


def duplicate_groups(images: Bytes) -> Indices:
    """A number for each image, (N,); images of the same bytes share it."""
    numbers: dict[bytes, int] = {}
    digests = (hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images)
    return np.array([numbers.setdefault(d, len(numbers)) for d in digests], dtype=np.int64)


def stratified_parts(
    labels: npt.ArrayLike, groups: npt.ArrayLike, shares: Sequence[float]
) -> Indices:
    """A part for each row, (N,): close to `shares` in every class, each group in one part.

    Groups are dealt out in random order, large ones first, each to the part that lacks most of
    that group's classes relative to what it should get.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    totals = Counter(labels.tolist())
    missing = [{c: share * n for c, n in totals.items()} for share in shares]
    contents: dict[int, Counter[int]] = {}
    for group, label in zip(groups.tolist(), labels.tolist(), strict=True):
        contents.setdefault(group, Counter())[label] += 1
    order = list(contents)
    np.random.default_rng(0).shuffle(order)
    order.sort(key=lambda g: -contents[g].total())  # stable: random among equals
    part_of: dict[int, int] = {}
    for group in order:
        content = contents[group]
        lacks = [
            sum(n * lack[c] / totals[c] for c, n in content.items()) / share
            for lack, share in zip(missing, shares, strict=True)
        ]
        best = max(range(len(shares)), key=lambda p: (lacks[p], shares[p]))
        part_of[group] = best
        for label, n in content.items():
            missing[best][label] -= n
    return np.array([part_of[g] for g in groups.tolist()], dtype=np.int64)


def search_split(dataset: Dataset) -> tuple[Indices, Indices]:
    """Rows of the train split: (to fit on, held out for the search's scores), both ascending.

    The search must not see the official validation and test splits. Copies of one image stay on
    the same side, or the held-out score would reward memorising. A tenth is held out, of a small
    data set up to a quarter, so that scores have a standard error of about 2 points.
    """
    train = dataset.indices("train")
    share = min(0.25, max(0.1, 600 / max(1, len(train))))
    groups = duplicate_groups(dataset.images[train])
    part = stratified_parts(dataset.labels[train], groups, (1.0 - share, share))
    fit, held_out = train[part == 0], train[part == 1]
    if not len(fit) or not len(held_out):
        raise UserError(
            f"{dataset.name}: train split has {len(train)} images, too few different ones to hold "
            f"out a share of {share:.2g}"
        )
    return fit, held_out


def copies_of_train(dataset: Dataset, trained_on: Indices | None = None) -> npt.NDArray[np.bool_]:
    """Which images (N,) have the very bytes of one that was trained on; these are among them.

    trained_on: rows; None: the train split.
    """
    groups = duplicate_groups(dataset.images)
    rows = dataset.indices("train") if trained_on is None else trained_on
    return np.isin(groups, groups[rows])


def rows_without_copies(dataset: Dataset, split: str, trained_on: Indices | None = None) -> Indices:
    """Rows of a split without those that are exact copies of an image that was trained on.

    Of FER2013's PublicTest and PrivateTest, what a model has not seen in training. trained_on:
    rows; None: the train split.
    """
    rows = dataset.indices(split)
    return rows[~copies_of_train(dataset, trained_on)[rows]]


def duplicate_report(dataset: Dataset) -> dict[str, Any]:
    """How many images are exact copies, constant, or copies under different labels."""
    groups = duplicate_groups(dataset.images)
    in_train = np.isin(groups, groups[dataset.indices("train")])
    flat = dataset.images.reshape(len(dataset), -1)
    seen = np.unique(np.stack([groups, dataset.labels.astype(np.int64)]), axis=1)
    labels_of = np.bincount(seen[0])
    return {
        "images": len(dataset),
        "distinct": len(labels_of),
        "copies_in_train": {
            name: int(in_train[dataset.indices(name)].sum()) for name in SPLITS if name != "train"
        },
        "constant": int((flat.max(axis=1) == flat.min(axis=1)).sum()),
        "conflicting_labels": int((labels_of > 1).sum()),
    }
