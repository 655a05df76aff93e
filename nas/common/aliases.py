"""Keys of version 0.1, and of drafts since, that have other names now: files stay readable.

One table for every file that schema.py reads. Written are only the new names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
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
FILES = {"precision.json": "mode.json"}  # in a retraining's folder
ATTRIBUTES = {"precision": "mode"}  # of a tuning's study
# Options of version 0.1 that are gone: read over, with a word where they were on.
GONE: dict[str, tuple[str, ...]] = {
    "Settings": ("inherit", "rungs"),
    "Augment": ("vertical_flip", "noise"),
}
# Settings of which version 0.1 wrote 0 for none, and algorithms that it could screen.
NO_LIMIT = ("evaluations", "time_budget", "workers", "candidate_time", "candidate_memory")
SCREENED = ("nsga2", "ga")
logger = logging.getLogger(__name__)


SHORT_FITNESS = {  # a fitness's penalties in short, as version 0.1 had them
    "params_limit": ("params", "at_most"),
    "params_weight": ("params", "weight"),
    "fps_target": ("fps", "at_least"),
    "fps_weight": ("fps", "weight"),
}
PENALTIES = ({"name": "params", "at_most": 500_000, "weight": 0.1},
             {"name": "fps", "at_least": 1000, "weight": 0.1})  # fmt: skip


def _long_fitness(data: dict[Any, Any]) -> dict[Any, Any]:
    """`params_limit` and its like as penalties, over those that are given or the defaults."""
    short = {key: data[key] for key in SHORT_FITNESS if key in data}
    if not short:
        return data
    penalties = [dict(p) for p in data.get("penalties", PENALTIES)]
    for key, value in short.items():
        name, field = SHORT_FITNESS[key]
        penalty = next((p for p in penalties if p.get("name") == name), None)
        if penalty is None:
            penalty = {"name": name}
            penalties.append(penalty)
        penalty[field] = value
    return {**{k: v for k, v in data.items() if k not in short}, "penalties": penalties}


def _direction(data: dict[Any, Any]) -> dict[Any, Any]:
    """`maximise: true` of an objective or a fitness as `direction: maximize`."""
    if not isinstance(data.get("maximise"), bool) or "direction" in data:
        return data
    direction = "maximize" if data["maximise"] else "minimize"
    return {**{k: v for k, v in data.items() if k != "maximise"}, "direction": direction}


def present(path: Path) -> Path:
    """The same; the file under its name of version 0.1 where only that is there."""
    old = path.with_name(FILES.get(path.name, path.name))
    return old if old.exists() and not path.exists() else path


def attribute(name: str, found: Mapping[str, Any]) -> Any:
    """One of a study's attributes, under whichever name it has; None where it has none."""
    return found.get(name, found.get(ATTRIBUTES.get(name, name)))


def current_names(kind: str, data: dict[Any, Any]) -> dict[Any, Any]:
    """`data` of a `kind` (a dataclass's name) under today's keys.

    A file that has a key under both names keeps both: the old one is refused as unknown.
    """
    if kind in ("Fitness", "Objective"):
        data = _direction(data)
    if kind == "Fitness":
        data = _long_fitness(data)
    names, gone = ALIASES.get(kind, {}), GONE.get(kind, ())
    old = kind == "Settings" and "objectives" not in data
    for key in gone:
        if data.get(key):
            logger.warning("%s: an option of version 0.1 that is gone; ignored", key)
    data = {
        names[key] if key in names and names[key] not in data else key: value
        for key, value in data.items()
        if key not in gone
    }
    return _settings(data) if old else data


def _settings(data: dict[Any, Any]) -> dict[Any, Any]:
    """Version 0.1 has a key `surrogate` beside `algorithm`, and 0 for no limit."""
    found = {k: None if k in NO_LIMIT and v == 0 else v for k, v in data.items()}
    if found.get("surrogate") not in (True, False):
        return found
    algorithm = found.get("algorithm", "nsga2")
    screens = found.pop("surrogate") and algorithm in SCREENED
    return {**found, "algorithm": f"{algorithm}+gp" if screens else algorithm}
