"""The report.json of a retrained network, read back. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.common.errors import UserError
from nas.common.files import MAX_REPORT, read_json
from nas.report.card import validation_trained_on
from nas.report.metrics import interval_of

REPORT = "report.json"


@contextmanager
def retrained(path: Path) -> Iterator[dict[str, Any]]:
    """The report, for a block that takes what it wants from it. UserError where that is missing."""
    report = read_json(path, MAX_REPORT)
    try:
        yield report
    except UserError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path}: not a report of nas.retrain") from None


def accuracy_over_seeds(report: dict[str, Any], figure: str) -> dict[str, Any]:
    """mean and std, and low and high of the mean's 95 % interval (None for one seed).

    figure: validation or test; with _flip the mirrored one, of which earlier reports have nothing.
    None of validation where it was trained on, since that says nothing of new images.
    """
    seeds, (split, _, flip) = report["seeds"], figure.partition("_")
    if split == "validation" and validation_trained_on(report):
        return dict.fromkeys(("mean", "std", "low", "high"))
    found = seeds[split].get("accuracy_flip" if flip else "accuracy", {})
    mean, std = (None if found.get(k) is None else float(found[k]) for k in ("mean", "std"))
    if mean is None and not flip:
        raise KeyError(f"{figure}: no mean")
    low, high = interval_of(len(seeds["list"]), mean, std, share=True)
    return {"mean": mean, "std": std, "low": low, "high": high}
