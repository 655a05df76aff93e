"""Keys of version 0.1 that have other names now: files of others stay readable.

One table for every file that schema.py reads. Written are only the new names.
"""

from __future__ import annotations

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
    "Evaluation": {"readings": "learning_curve"},
}


def current_names(kind: str, data: dict[Any, Any]) -> dict[Any, Any]:
    """`data` of a `kind` (a dataclass's name) under today's keys.

    A file that has a key under both names keeps both: the old one is refused as unknown.
    """
    names = ALIASES.get(kind, {})
    return {
        names[key] if key in names and names[key] not in data else key: value
        for key, value in data.items()
    }
