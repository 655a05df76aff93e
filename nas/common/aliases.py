"""Keys of version 0.1 that have other names now: files of others stay readable.

One table for every file that schema.py reads. Written are only the new names.
"""

from __future__ import annotations

import logging
from typing import Any

ALIASES: dict[str, dict[str, str]] = {
    "Recipe": {
        "batch": "batch_size",
        "optimiser": "optimizer",
        "mixup": "mixup_alpha",
        "cutmix": "cutmix_alpha",
        "ema": "ema_decay",
        "clip": "clip_grad_norm",
        "fit_on": "train_on",
    },
}
# Options of version 0.1 that are gone: read over, with a word where they were on.
GONE: dict[str, tuple[str, ...]] = {"Settings": ("inherit", "rungs")}
logger = logging.getLogger(__name__)


def current_names(kind: str, data: dict[Any, Any]) -> dict[Any, Any]:
    """`data` of a `kind` (a dataclass's name) under today's keys.

    A file that has a key under both names keeps both: the old one is refused as unknown.
    """
    names, gone = ALIASES.get(kind, {}), GONE.get(kind, ())
    for key in gone:
        if data.get(key):
            logger.warning("%s: an option of version 0.1 that is gone; ignored", key)
    return {
        names[key] if key in names and names[key] not in data else key: value
        for key, value in data.items()
        if key not in gone
    }
