"""Data sets: what they are, where they are found, how they are split.

No torch here; OpenCV is loaded by the first use of a name in `_DECODE`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nas.data.dataset import (
    DATA,
    SPLITS,
    Dataset,
    check_input,
    check_name,
    load,
    save,
)
from nas.data.emotions import CLASSES, SYNONYMS
from nas.data.ferplus import prepare_ferplus, with_votes
from nas.data.splits import (
    SearchData,
    copies_of_train,
    duplicate_report,
    rows_without_copies,
    search_data,
    search_split,
)

if TYPE_CHECKING:
    from nas.data.fer2013 import prepare_fer2013
    from nas.data.folder import prepare_folder
    from nas.data.sources import open_dataset

__all__ = [
    "CLASSES",
    "DATA",
    "SPLITS",
    "SYNONYMS",
    "Dataset",
    "SearchData",
    "check_input",
    "check_name",
    "copies_of_train",
    "duplicate_report",
    "load",
    "open_dataset",
    "prepare_fer2013",
    "prepare_ferplus",
    "prepare_folder",
    "rows_without_copies",
    "save",
    "search_data",
    "search_split",
    "with_votes",
]

_DECODE = {"open_dataset": "sources", "prepare_fer2013": "fer2013", "prepare_folder": "folder"}


def __getattr__(name: str) -> Any:
    if name not in _DECODE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_DECODE[name]}"), name)
