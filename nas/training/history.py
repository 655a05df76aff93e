"""What each epoch of a training gave, as a file of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nas.common.errors import UserError, shown
from nas.common.files import parse_json, read_text, replace_file
from nas.common.schema import LARGEST, Float, Int, Name

FILE = "metrics.jsonl"
EPOCHS = Int(1, 10_000)
FIGURES = Float(-LARGEST, LARGEST)
MAX_FIGURES = 64  # of an epoch

Epoch = dict[str, float]  # "epoch", counted from 1, and figures by name


def write_history(folder: Path, rows: Sequence[Epoch]) -> None:
    """Atomically, into the folder's metrics.jsonl; a loss beyond what is read is cut to that."""
    bounded = [{k: max(-LARGEST, min(v, LARGEST)) for k, v in row.items()} for row in rows]
    replace_file(folder / FILE, "".join(json.dumps(row) + "\n" for row in bounded))


def read_history(folder: Path) -> list[Epoch]:
    """The epochs of the folder's metrics.jsonl. UserError names the line that is none."""
    path = folder / FILE
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        where = f"{path}:{number}"
        if number > EPOCHS.high:
            raise UserError(f"{where}: more than {EPOCHS.high} epochs")
        row = parse_json(line, where)
        if not isinstance(row, dict) or not 1 <= len(row) <= MAX_FIGURES:
            raise UserError(f"{where}: expected an epoch's figures by name, got {shown(row)}")
        for name in row:
            Name().read(name, f"{where}: a figure")
        epoch = EPOCHS.read(row.pop("epoch", None), f"{where}: epoch")
        figures = {name: FIGURES.read(value, f"{where}: {name}") for name, value in row.items()}
        rows.append({"epoch": epoch, **figures})
    return rows
