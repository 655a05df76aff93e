"""Which metric is drawn against which, whatever a search's objectives are, and in what words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Metrics = Mapping[str, float]

COSTS = ("params", "macs", "activations", "fps")  # what follows from the genome alone
LABELS = {
    "accuracy": "search accuracy, held-out images",
    "balanced_accuracy": "balanced search accuracy, held-out images",
    "macro_f1": "macro F1 in the search, held-out images",
    "loss": "cross entropy in the search, held-out images",
    "params": "parameters",
    "macs": "multiply-accumulates an image",
    "activations": "activations an image",
    "peak_memory": "bytes of float32 maps at once, an image",
    "int8_size": "bytes of an int8 file",
    "fps": "predicted frames a second (batch 1, one thread)",
}
SHARES = ("accuracy", "balanced_accuracy", "macro_f1")  # of 1, drawn as percentages
CONTEXT = {"params": False, "macs": False, "fps": True}  # beside the objectives; more is better?
PANELS = 3
LOG_FROM = 10.0  # times as much at most as at least: then an axis is logarithmic


def axes_of(
    objectives: Sequence[tuple[str, bool]],
    networks: Sequence[Metrics],
    static: Sequence[str] = COSTS,
) -> tuple[Row, list[Row]]:
    """The measure that is drawn upwards, and the axes that it is drawn against, as plain rows.

    objectives: names, and whether more is better. static: what the genome alone tells. The measure
    is the accuracy, else the first objective that is not static; the costs of `CONTEXT` fill up
    what is left of the panels.
    """
    wanted = dict(objectives)
    told = [name for name in wanted if name not in static] or list(wanted)
    first = "accuracy" if "accuracy" in wanted else told[0]
    others = {name: more for name, more in wanted.items() if name != first}
    for name, more in CONTEXT.items():
        if len(others) < PANELS and name != first and any(name in m for m in networks):
            others.setdefault(name, more)
    names = sorted(others, key=lambda name: COSTS.index(name) if name in COSTS else -1)
    measure = axis(first, wanted[first], [m[first] for m in networks if first in m])
    return {**measure, "log": False}, [
        axis(name, others[name], [m[name] for m in networks if name in m]) for name in names
    ]


def scale_of(axis: Row) -> int:
    """What its values are drawn times: shares are drawn as percentages."""
    return 100 if axis["share"] else 1


def axis(name: str, maximize: bool, values: Iterable[float] = ()) -> Row:
    """share: drawn as a percentage. log: drawn by its logarithm."""
    known, share = list(values), name in SHARES
    positive = min(known, default=1.0) > 0
    wide = name in COSTS or max(known, default=1.0) >= LOG_FROM * min(known, default=1.0)
    return {
        "name": name, "label": LABELS.get(name, name) + (" (%)" if share else ""),
        "maximize": maximize, "share": share, "log": positive and wide,
    }  # fmt: skip
