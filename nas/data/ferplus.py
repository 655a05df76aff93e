"""FERPlus (Barsoum et al., 2016): ten annotators' votes for each image of FER2013."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from pathlib import Path

import numpy as np

from nas.common.errors import UserError, shown
from nas.common.expressions import CLASSES
from nas.common.files import read_text
from nas.data.dataset import SPLITS, USAGES, Bytes, Dataset
from nas.data.intake import Intake, LeftOut

COLUMNS = {  # of fer2013new.csv, by our classes
    "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness",
    "sad": "sadness", "surprise": "surprise", "neutral": "neutral",
}  # fmt: skip
OTHERS = ("contempt", "unknown", "NF")  # columns without a class of ours; NF is no face
MAX_BYTES = 16 << 20  # the published file has 2
VOTES = {str(n) for n in range(101)}


def with_votes(dataset: Dataset, path: Path) -> Dataset:
    """FER2013 from its CSV with the votes of fer2013new.csv (plain or .gz) added.

    The rows match by position. UserError when they do not: another number of rows, another split.
    Where no more than half of the votes are for our classes, they say nothing about which of them
    it is: the image is left without votes, and its label counts.
    """
    votes = _votes(dataset, path)
    ours = votes[:, : len(CLASSES)].copy()
    ours[2 * ours.sum(1) <= votes.sum(1)] = 0
    return dataclasses.replace(dataset, votes=ours)


def prepare_ferplus(dataset: Dataset, path: Path) -> Dataset:
    """FER2013 as its annotators saw it: labels are what most of them chose, votes stand beside.

    As Barsoum et al. take the majority: a single vote for a column is an accident and does not
    count, and the label is what has more than half of the rest. Images without one, and those where
    it is contempt, unknown or no face, are left out. Errors as in `with_votes`.
    """
    votes = _votes(dataset, path)
    counted = np.where(votes > 1, votes, 0)
    label = counted.argmax(1)
    majority = 2 * counted.max(1) > counted.sum(1)
    kept = majority & (label < len(CLASSES))
    if not kept.any():
        raise UserError(f"{path}: no image has a majority for one of {', '.join(CLASSES)}")
    others = majority & (label >= len(CLASSES))
    left_out = (
        LeftOut(f"with a majority for {', '.join(OTHERS)}", int(others.sum())),
        LeftOut("without a majority", int((~majority).sum())),
    )
    provenance = dataset.provenance | Intake(int(kept.sum()), left_out).to_provenance()
    return Dataset(
        "ferplus", dataset.images[kept], label[kept].astype(np.uint8), dataset.split[kept], CLASSES,
        provenance, votes[kept, : len(CLASSES)],
    )  # fmt: skip


def _votes(dataset: Dataset, path: Path) -> Bytes:
    """(N, 10): for each image, its votes for each of CLASSES, then of OTHERS."""
    if dataset.classes != CLASSES or not dataset.provenance.get("official_splits"):
        raise UserError("--votes: only for FER2013 prepared from its CSV, whose order they follow")
    columns = [*(COLUMNS[name] for name in CLASSES), *OTHERS]
    text = read_text(path, MAX_BYTES).removeprefix("\ufeff")  # a mark of its encoding
    reader = csv.DictReader(io.StringIO(text))
    try:
        rows = list(itertools.islice(reader, len(dataset) + 1))
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV: {error}") from None
    missing = {"Usage", *columns} - set(rows[0] if rows else ())
    if missing:
        raise UserError(f"{path}: no column {min(missing)!r}; expected fer2013new.csv")
    if len(rows) != len(dataset):
        found = "more" if len(rows) > len(dataset) else len(rows)
        raise UserError(f"{path}: found {found} rows; the data set has {len(dataset)} images")
    votes = np.zeros((len(rows), len(columns)), np.uint8)
    for i, row in enumerate(rows):
        where = f"{path}:{i + 2}"
        split = SPLITS[dataset.split[i]]
        if USAGES.get(row["Usage"]) != dataset.split[i]:
            raise UserError(f"{where}: Usage: found {row['Usage']!r}; the image is of {split}")
        votes[i] = [_count(row[column], where) for column in columns]
    return votes


def _count(text: str | None, where: str) -> int:
    if text not in VOTES:
        raise UserError(f"{where}: found {shown(text)} votes; expected 0 to 100")
    return int(text)
