"""What a search measures on machines: the fps model, the fastest training mode, the front's fps.

Frames per second are those of one target machine, whichever machines train: this one, or the one
whose calibration (`python -m nas.fps`) the settings name.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.common.errors import UserError
from nas.common.files import read_json
from nas.deploy.latency import FEATURES, Calibration, FpsModel, calibrate, measure_fps
from nas.search.archive import Evaluation
from nas.search.store import RunDirectory, Settings
from nas.space.space import SearchSpace

Note = Callable[[str], None]
MODE_GENOMES = 6  # sampled genomes that decide the training mode


@dataclass(frozen=True)
class HardwareProfile:
    """What was measured on this machine before the search; stored, so that a resume agrees."""

    calibration: Calibration
    bf16: bool
    channels_last: bool
    device: str

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)


def measure_machine(
    run: RunDirectory, settings: Settings, space: SearchSpace, note: Note
) -> HardwareProfile:
    """Fps model, fastest training mode and device; read back from the run where it has them."""
    path = run.file("machine.json")
    if path.exists():
        return load_machine(path)
    if settings.fps_model is None:
        calibration = calibrate_here(space, settings.seed, settings.calibration_genomes, note)
    else:
        calibration = read_calibration(Path(settings.fps_model))
    device, bf16, channels_last = training_mode(settings, space)
    machine = HardwareProfile(calibration, bf16, channels_last, device)
    run.write("machine.json", machine.to_json())
    note(
        f"training mode on {device}: {'bf16' if bf16 else 'float32'}"
        f"{', channels-last' if channels_last else ''}"
    )
    return machine


def training_mode(settings: Settings, space: SearchSpace) -> tuple[str, bool, bool]:
    """Device, and whether bfloat16 and channels-last are the fastest there."""
    import torch

    from nas.training.precision import fastest_mode

    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    # As each worker will have.
    torch.set_num_threads(1 if settings.deterministic else max(1, threads // settings.workers))
    rng = np.random.default_rng(settings.seed)
    sampled = [space.sample(rng).genome for _ in range(MODE_GENOMES)]
    mode = fastest_mode(torch.device(device), sampled, settings.recipe.batch_size)
    torch.set_num_threads(threads)
    return device, mode.bf16, mode.channels_last


def calibrate_here(space: SearchSpace, seed: int, genomes: int, note: Note) -> Calibration:
    """The fps model of this machine."""
    note("calibrating frames per second: timing sampled networks in ONNX Runtime, one thread")
    found = calibrate(space, seed, genomes)
    note(
        f"fps model: held-out error {found.held_out_error:.1%} (median), rank correlation "
        f"{found.rank_correlation:.2f}, {found.genomes} networks in {found.seconds:.0f} s"
    )
    return found


def read_calibration(path: Path) -> Calibration:
    """What `python -m nas.fps` wrote on the target machine; a run's machine.json has it too."""
    return _read_calibration(read_json(path), str(path))


def measure_front(run: RunDirectory, front: list[Evaluation], note: Note) -> dict[str, float]:
    """Time the front's networks on this machine, as measured_fps.json. {id: fps}."""
    if not front:
        return {}
    note(f"measuring the frame rate of the {len(front)} networks on the front")
    measured = dict(zip([e.id for e in front], measure_fps([e.genome for e in front]), strict=True))
    run.write("measured_fps.json", json.dumps(measured, indent=1))
    return measured


def load_machine(path: Path) -> HardwareProfile:
    """A machine.json. UserError when it is none."""
    data, where = read_json(path), str(path)
    calibration = _read_calibration(data, where)
    try:
        return HardwareProfile(
            calibration, bool(data["bf16"]), bool(data["channels_last"]), str(data["device"])
        )
    except KeyError as error:
        raise UserError(f"{where}: not a machine file: {error}") from None


def _read_calibration(data: Any, where: str) -> Calibration:
    try:
        fields = dict(data["calibration"])
        fields["model"] = FpsModel(tuple(float(c) for c in fields["model"]["coefficients"]))
        found = fields["model"].coefficients
        if len(found) != len(FEATURES) or not all(0 <= c < math.inf for c in found):
            raise ValueError(f"expected {len(FEATURES)} coefficients of at least 0")
        return Calibration(**fields)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: not a machine file: {error}") from None
