"""What a search measures on machines: the fps model, the fastest training mode, the front's fps.

Frames per second are those of one target machine, whichever machines train: this one, or the one
whose calibration (`python -m nas.fps`) the settings name.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.arch.genome import Genome
from nas.common.deadline import OutOfTime, ending_after
from nas.common.errors import UserError
from nas.common.files import check_writable, replace_file
from nas.deploy.latency import Calibration, calibrate, measure_fps, read_calibration
from nas.search.archive import Evaluation
from nas.search.profile import HardwareProfile, load_machine
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.space.space import SearchSpace
from nas.training.precision import fastest_precision, torch_device
from nas.training.predict import Precision

CANDIDATES = 4  # sampled genomes for each one timed
MODE_GENOMES = 6  # sampled genomes that decide the training mode
# Of a search's time: at most this much for the fps model, at about so many seconds a network, and
# for a choice of the training mode only where it is longer than that.
CALIBRATION_SHARE, CALIBRATION_SECONDS = 0.2, 0.5
LEAST_CALIBRATED = 10
SHORT_BUDGET = 300.0
FRONT_RUNS = 7 * 21  # classifications that measure_fps makes of a network

log = logging.getLogger(__name__)


def measure_machine(run: RunDirectory, settings: Settings, space: SearchSpace) -> HardwareProfile:
    """Fps model, fastest training mode and device; read back from the run where it has them."""
    path = run.file("machine.json")
    if path.exists():
        return load_machine(path)
    if settings.fps_model is None:
        budget = settings.time_budget
        genomes = settings.calibration_genomes
        if budget is not None:
            fitting = int(CALIBRATION_SHARE * budget / CALIBRATION_SECONDS)
            genomes = min(genomes, max(LEAST_CALIBRATED, fitting))
        calibration = calibrate_here(space, settings.seed, genomes)
    else:
        calibration = read_calibration(Path(settings.fps_model))
    device, fastest = training_precision(settings, space)
    machine = HardwareProfile(calibration, fastest.bf16, fastest.channels_last, device)
    run.write("machine.json", machine.to_json())
    log.info(
        "training mode on %s: %s%s", device, "bf16" if fastest.bf16 else "float32",
        ", channels-last" if fastest.channels_last else "",
    )  # fmt: skip
    return machine


def training_precision(settings: Settings, space: SearchSpace) -> tuple[str, Precision]:
    """Device, and the precision that is the fastest there."""
    device = torch_device(settings.device)
    threads = torch.get_num_threads()
    # As each worker will have.
    shared = max(1, threads // settings.main_workers)
    torch.set_num_threads(1 if settings.deterministic else shared)
    rng = np.random.default_rng(settings.seed)
    short = settings.time_budget is not None and settings.time_budget < SHORT_BUDGET
    sampled = [space.sample(rng).genome for _ in range(1 if short else MODE_GENOMES)]
    try:
        fastest = fastest_precision(device, sampled, settings.recipe.batch_size)
    finally:
        torch.set_num_threads(threads)
    return str(device), fastest


def calibrate_here(space: SearchSpace, seed: int, genomes: int) -> Calibration:
    """The fps model of this machine."""
    log.info("calibrating frames per second: timing sampled networks in ONNX Runtime, one thread")
    found = calibrate(sampled(space, seed, CANDIDATES * genomes), genomes)
    log.info(
        "fps model: held-out error %.1f %% (median), rank correlation %.2f, %d networks in %.0f s",
        100 * found.held_out_error, found.rank_correlation, found.genomes, found.seconds,
    )  # fmt: skip
    return found


def write_fps_model(path: Path, space: SearchSpace, genomes: int) -> dict[str, Any]:
    """The fps model of this machine as a file, for `fps_model` of a search elsewhere."""
    check_writable(path)
    plain = {
        "host": platform.node(),
        "platform": platform.platform(),
        "calibration": dataclasses.asdict(calibrate_here(space, 0, genomes)),
    }
    replace_file(path, json.dumps(plain, indent=1) + "\n")
    return plain


def sampled(space: SearchSpace, seed: int, count: int) -> list[Genome]:
    """Genomes of the space for `calibrate` to choose from."""
    rng = np.random.default_rng([seed, 0xF95])
    return [space.sample(rng).genome for _ in range(count)]


def measure_front(
    run: RunDirectory, front: Sequence[Evaluation], deadline: float | None = None
) -> dict[str, float]:
    """Time the front's networks on this machine, as measured_fps.json. {id: fps}.

    Not where it takes longer, or would, than until `deadline` (of time.monotonic).
    """
    if not front:
        return {}
    seconds = sum(FRONT_RUNS / e.metrics.get("fps", 100.0) + 0.05 for e in front)
    left = None if deadline is None else deadline - time.monotonic()
    try:
        if left is not None and seconds > left:
            raise OutOfTime
        log.info("measuring the frame rate of the %d networks on the front", len(front))
        with ending_after(left):
            rates = measure_fps([e.genome for e in front])
    except OutOfTime:
        log.info(
            "no time left to measure the front's frame rates; measure them with: "
            "python -m nas.fps --run %s", run.path,
        )  # fmt: skip
        return {}
    measured = dict(zip([e.id for e in front], rates, strict=True))
    run.write("measured_fps.json", json.dumps(measured, indent=1))
    return measured


def measure_run(run: RunDirectory) -> dict[str, float]:
    """`measure_front` of a finished run. UserError where it has none."""
    with run:
        archive = run.archive(run.space().contains)
        measured = measure_front(run, [member.measured for member in run.front(archive)])
    if not measured:
        raise UserError(f"{run.path}: no front: {archive.why_no_front()}")
    return measured
