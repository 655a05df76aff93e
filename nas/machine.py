"""What is measured on a machine before its search: the fps model and the fastest training mode."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import UserError, read_json
from nas.latency import FEATURES, Calibration, FpsModel, calibrate
from nas.run import RunDirectory, Settings
from nas.space import SearchSpace

Note = Callable[[str], None]
MODE_GENOMES = 6  # sampled genomes that decide the training mode


@dataclass(frozen=True)
class Machine:
    """What was measured on this machine before the search; stored, so that a resume agrees."""

    calibration: Calibration
    bf16: bool
    channels_last: bool
    device: str

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)


def measure_machine(
    run: RunDirectory, settings: Settings, space: SearchSpace, note: Note
) -> Machine:
    """Fps model, fastest training mode and device; read back from the run where it has them."""
    path = run.file("machine.json")
    if path.exists():
        return load_machine(path)
    note("calibrating frames per second: timing sampled networks in ONNX Runtime, one thread")
    calibration = calibrate(space, settings.seed, settings.calibration_genomes)
    device, bf16, channels_last = training_mode(settings, space)
    machine = Machine(calibration, bf16, channels_last, device)
    run.write("machine.json", machine.to_json())
    note(
        f"fps model: held-out error {calibration.held_out_error:.1%} (median), rank correlation "
        f"{calibration.rank_correlation:.2f}, {calibration.genomes} networks in "
        f"{calibration.seconds:.0f} s; training mode on {device}: "
        f"{'bf16' if bf16 else 'float32'}"
        f"{', channels-last' if channels_last else ''}"
    )
    return machine


def training_mode(settings: Settings, space: SearchSpace) -> tuple[str, bool, bool]:
    """Device, and whether bfloat16 and channels-last are the fastest there."""
    import torch

    from nas.train import fastest_mode

    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    # As each worker will have.
    torch.set_num_threads(1 if settings.deterministic else max(1, threads // settings.workers))
    rng = np.random.default_rng(settings.seed)
    sampled = [space.sample(rng) for _ in range(MODE_GENOMES)]
    mode = fastest_mode(torch.device(device), sampled, settings.recipe.batch)
    torch.set_num_threads(threads)
    return device, mode.bf16, mode.channels_last


def load_machine(path: Path) -> Machine:
    """A machine.json. UserError when it is none."""
    data, where = read_json(path), str(path)
    try:
        fields = dict(data["calibration"])
        fields["model"] = FpsModel(tuple(float(c) for c in fields["model"]["coefficients"]))
        found = fields["model"].coefficients
        if len(found) != len(FEATURES) or not all(0 <= c < math.inf for c in found):
            raise ValueError(f"expected {len(FEATURES)} coefficients of at least 0")
        return Machine(
            Calibration(**fields),
            bool(data["bf16"]),
            bool(data["channels_last"]),
            str(data["device"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: not a machine file: {error}") from None
