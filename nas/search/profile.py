"""What was measured on a machine, read back, and what follows from it for a genome."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from nas.arch.footprint import FOOTPRINT
from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.common.files import read_json
from nas.common.schema import Flag, Text, read
from nas.deploy.latency import Calibration, FpsModel, read_calibration
from nas.search.settings import Settings


@dataclass(frozen=True)
class HardwareProfile:
    """What was measured on this machine before the search; stored, so that a resume agrees."""

    calibration: Calibration
    bf16: Annotated[bool, Flag()]
    channels_last: Annotated[bool, Flag()]
    device: Annotated[str, Text(64)]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)


def load_machine(path: Path) -> HardwareProfile:
    """A machine.json. UserError when it is none."""
    return read(HardwareProfile, read_json(path), str(path))


def given_profile(settings: Settings, machine: Path | None = None) -> HardwareProfile | None:
    """What `machine` holds, where it is given. UserError where it, or the fps model, is none: both
    are read before a folder is made.
    """
    if settings.fps_model is not None:
        read_calibration(Path(settings.fps_model).absolute())
    return load_machine(machine) if machine else None


def static_metrics(
    genome: Genome, fps_model: FpsModel | None, more: Collection[str] = ()
) -> dict[str, float]:
    """The metrics that need no measurement; without a model of a machine no fps.

    more: which of FOOTPRINT are wanted. The surrogate sees all that is here, so it learns from no
    more than what the search is about.
    """
    found: dict[str, float] = dataclasses.asdict(cost(genome))
    found |= {name: FOOTPRINT[name](genome) for name in more}
    return found if fps_model is None else {**found, "fps": fps_model.predict(genome)}
