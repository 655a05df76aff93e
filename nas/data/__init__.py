"""Data sets: what they are, where they are found, how they are split.

No torch here. What decodes pictures is imported, with OpenCV, when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.common.expressions import CLASSES
from nas.common.lazy import lazy_names
from nas.data.dataset import DATA, SPLITS, Dataset, check_fit, check_input, check_name, load, save
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
    from nas.data.pictures import write_contact_sheet
    from nas.data.sources import form_of, open_dataset

__all__ = [
    "CLASSES", "DATA", "SPLITS", "Dataset", "SearchData", "check_fit", "check_input", "check_name",
    "copies_of_train", "duplicate_report", "form_of", "load", "open_dataset", "prepare_fer2013",
    "prepare_ferplus", "prepare_folder", "rows_without_copies", "save", "search_data",
    "search_split", "with_votes", "write_contact_sheet",
]  # fmt: skip

__getattr__ = lazy_names(
    __name__,
    {
        "form_of": "nas.data.sources",
        "open_dataset": "nas.data.sources",
        "prepare_fer2013": "nas.data.fer2013",
        "prepare_folder": "nas.data.folder",
        "write_contact_sheet": "nas.data.pictures",
    },
)
