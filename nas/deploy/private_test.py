"""The test split of a retraining: read once. How often it was is written first, its figures after.

Both stand in one file, which is written whole or not at all, and synced.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from nas.common.errors import UserError
from nas.common.files import MAX_REPORT, parse_json, read_text, replace_file
from nas.common.schema import Int

FILE = "test_reads.json"
MOST = 1_000_000  # reads
Figures = list[dict[str, Any]]  # of each network

log = logging.getLogger(__name__)


def read_once(out: Path, key: str, read: Callable[[], Figures]) -> tuple[Figures, int]:
    """What `read` makes of the test split, and how often it was read, this time included.

    key: of the networks and what is asked of them. Where the folder has their figures, they are
    taken, and nothing is read: a call that is killed later is repeated without a second look. Only
    whoever is killed amid the reading, or asks for other networks, reads again, and is told so.
    """
    path = out / FILE
    reads, stored_key, figures = _load(path) if path.exists() else (0, "", None)
    if figures is not None and stored_key == key:
        log.info("the test split was read before: its figures are taken from %s", path)
        return figures, reads
    if reads:
        log.info("the test split was read %d time(s) before: the report will say so", reads)
    replace_file(path, json.dumps({"reads": reads + 1}))
    figures = read()
    found: dict[str, Any] = {"reads": reads + 1, "key": key, "figures": figures}
    replace_file(path, json.dumps({**found, "sha256": _digest(figures)}))
    return figures, reads + 1


def key_of(networks: Sequence[Mapping[str, Tensor]], about: Mapping[str, Any]) -> str:
    """A checksum of trained weights, in order, and of plain data about them."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for state in networks:
        for name in sorted(state):
            digest.update(name.encode())
            digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load(path: Path) -> tuple[int, str, Figures | None]:
    """Reads, key, figures; a number alone is of version 0.1, figures are missing amid a reading."""
    data = parse_json(read_text(path, MAX_REPORT), str(path))
    data = data if isinstance(data, dict) else {"reads": data}
    reads = Int(0, MOST).read(data.get("reads"), f"{path}: reads")
    figures = data.get("figures")
    if figures is None:
        return reads, "", None
    if data.get("sha256") != _digest(figures):
        raise UserError(
            f"{path}: its figures are not those that were written; expected the file as "
            "nas.retrain left it, or a new --out"
        )
    return reads, str(data.get("key")), figures


def _digest(figures: Any) -> str:
    return hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()
