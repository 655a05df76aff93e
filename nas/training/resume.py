"""Checkpoints of a training: everything that a later process needs to go on, and nothing else."""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.common.errors import UserError, first_line
from nas.common.files import check_file, replace_file
from nas.common.schema import LARGEST, Float, Int
from nas.training.state import Training

VERSION = 4
MAX_FILE = 4 << 30  # bytes; weights, their averages, the best and the optimizer's
RULES: dict[str, Int | Float] = {
    "epoch": Int(0, 10_000),
    "step": Int(0, LARGEST),
    "lr": Float(0.0, 10.0),
    "plateau_factor": Float(0.0, 1.0),
    "plateau_wait": Int(0, 10_000),
    "best_accuracy": Float(-1.0, 1.0),
    "best_epoch": Int(0, 10_000),
}


def save_checkpoint(run: Training, path: Path) -> None:
    """Replaced atomically: a crash leaves the last one."""
    state = {
        **_identity(run),
        "model": run.model.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "generator": run.generator.get_state(),
        "global": _global_state(run.device),
        **{name: getattr(run, name) for name in run.SCALARS},
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    replace_file(path, buffer.getvalue())


def load_checkpoint(run: Training, path: Path) -> None:
    """Bring a new training to where the file's was. UserError where it is another one's."""
    check_file(path, MAX_FILE, "a checkpoint of nas.retrain")
    try:
        with zipfile.ZipFile(path) as archive:  # torch packs nothing; what is packed can blow up
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise ValueError("its parts are compressed")
        state: object = torch.load(path, weights_only=True, map_location=run.device)
    except Exception as error:  # torch raises many kinds for a broken file
        raise UserError(f"{path}: not a readable checkpoint: {first_line(error)}") from None
    if not isinstance(state, dict):
        raise UserError(f"{path}: not a checkpoint; remove it")
    for name, value in _identity(run).items():
        found = state.get(name)
        if type(found) is not type(value) or found != value:
            raise UserError(
                f"{path}: a checkpoint of another {name}; remove it, or train as it was trained"
            )
    for name, rule in RULES.items():
        rule.read(state.get(name), f"{path}: {name}")
    _check_history(state.get("history"), path)
    try:
        _restore(run, state)
    except Exception as error:  # torch raises many kinds where a part does not fit
        raise UserError(f"{path}: a damaged checkpoint: {first_line(error)}") from None


def _identity(run: Training) -> dict[str, Any]:
    """What a training is; `start` is a checksum of seed, data, initial weights and teacher."""
    return {
        "version": VERSION,
        "genome": run.genome.id,
        "recipe": run.recipe.to_dict(),
        "precision": asdict(run.precision),
        "start (data, seed, teacher or initial weights)": run.start,
    }


def _check_history(history: object, path: Path) -> None:
    rows: list[Any] = history if isinstance(history, list) else [history]
    for row in rows:
        plain = isinstance(row, dict) and all(
            isinstance(k, str) and type(v) in (int, float) for k, v in row.items()
        )
        if not plain or not {"epoch", "train_loss", "seconds"} <= set(row):
            raise UserError(f"{path}: history: expected a row of numbers an epoch; remove the file")


def _restore(run: Training, state: dict[str, Any]) -> None:
    best = state["best_state"]
    if best is not None:
        expected = {k: v.shape for k, v in run.averaged.state_dict().items()}
        if {k: v.shape for k, v in best.items()} != expected:
            raise ValueError("best_state does not fit the network")
    run.model.load_state_dict(state["model"])
    run.averaged.load_state_dict(state["averaged"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.generator.set_state(state["generator"].cpu())
    _set_global_state(run.device, state["global"])
    for name in run.SCALARS:
        setattr(run, name, state[name])


def _global_state(device: torch.device) -> Tensor:
    """Of the generator that dropout draws from on this device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_global_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state.cpu(), device)
    else:
        torch.set_rng_state(state.cpu())
