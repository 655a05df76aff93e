"""A finished retraining in TensorBoard; imported only where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from nas.common.schema import flatten
from nas.report.plots import split_figure
from nas.training.history import read_history


def log_retraining(folder: Path, report: dict[str, Any]) -> Path:
    """Event files in folder/tensorboard; returns that folder.

    Each seed's curves, the confusion matrices, the recipe as hyperparameters beside the results.
    """
    out = folder / "tensorboard"
    for seed in report["seeds"]["list"]:
        writer = SummaryWriter(str(out / f"seed{seed}"))
        for row in read_history(folder / f"seed{seed}"):
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))
        writer.close()
    writer = SummaryWriter(str(out))
    for split in ("validation", "test"):
        writer.add_figure(f"confusion/{split}", split_figure(report, split))
    writer.add_hparams(_flat(report["recipe"]), _results(report), run_name="recipe")
    writer.close()
    return out


def _flat(recipe: dict[str, Any]) -> dict[str, Any]:
    """What the HParams page takes: numbers, words and switches by dotted names."""
    known = bool | int | float | str
    return {k: v if isinstance(v, known) else str(v) for k, v in flatten(recipe).items()}


def _results(report: dict[str, Any]) -> dict[str, float]:
    names = ("accuracy", "macro_f1", "weighted_f1")
    return {f"{split}/{name}": report[split][name] for split in ("validation", "test")
            for name in names}  # fmt: skip
