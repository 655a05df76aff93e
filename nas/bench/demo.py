"""The demo as it is, but for its output: everything is drawn, nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.realtime.frames import Frame, Pixels
from nas.realtime.pipeline import run as label
from nas.realtime.recognizer import Face, Recognizer
from nas.realtime.sources import open_source


class Discard:
    """The sink of a measurement."""

    pictured = True

    def write(self, frame: Frame, faces: list[Face], picture: Pixels) -> None:
        pass

    def close(self) -> None:
        pass


def run(clip: Path, network: Path) -> dict[str, Any]:
    recognizer = Recognizer(network / "model.onnx")
    summary = label(open_source(str(clip)), recognizer, sinks=[Discard()])
    return {"intervals": summary.intervals, "steps": summary.steps.means(),
            "faces": summary.faces, "model": recognizer.model.name}  # fmt: skip
