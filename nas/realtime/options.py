"""What can be asked of the demo: the command line's options, their bounds and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from nas.common.options import setting
from nas.common.schema import Choice, Flag, Float, Int, Text

PRECISIONS = ("auto", "fp32", "int8")
PRECISION = Choice(PRECISIONS, "precision")
THRESHOLD = 0.4  # of the strongest class, from which a face has a label
MIN_FACE, MARGIN, SHARE = Int(8, 4096), Float(0, 2), Float(0, 1)
DETECTORS = ("haar", "haar-alt2", "yunet")


@dataclass(frozen=True)
class Options:
    """An empty text or None: not asked for."""

    source: Annotated[str, Text()] = setting(
        "0", "camera number or device, rtsp:// or http:// stream, video, picture(s)",
        metavar="0|URL|FILE|FOLDER",
    )  # fmt: skip
    model: Annotated[str, Text()] = setting(
        "model", "a model.onnx of nas.retrain, its folder, or the name of a shipped one",
        metavar="NAME|FOLDER|ONNX",
    )  # fmt: skip
    precision: Annotated[Literal["auto", "fp32", "int8"], PRECISION] = setting(
        "auto", "auto: the faster here of MODEL.onnx and MODEL.int8.onnx that is right here"
    )
    headless: Annotated[bool, Flag()] = setting(
        False, "open no window; of a video or camera it needs --out, --csv, --jsonl or --json"
    )
    out: Annotated[str, Text()] = setting(
        "", "annotated video (.mkv survives a cut; .mp4, .avi) or picture(s)", metavar="FILE|FOLDER"
    )
    csv: Annotated[str, Text()] = setting("", "one row for every face of every frame",
                                          metavar="FILE")  # fmt: skip
    jsonl: Annotated[str, Text()] = setting(
        "", "JSON Lines: one object for every frame", metavar="FILE"
    )
    snapshots: Annotated[str, Text()] = setting(
        ".", "where the key s saves pictures", metavar="FOLDER"
    )
    detector: Annotated[str, Choice(DETECTORS, "detector")] = setting(
        "haar-alt2", "of faces: two cascades of OpenCV's, or a network"
    )
    detector_model: Annotated[str, Text()] = setting(
        "", "the YuNet model, which does not come with us", metavar="FILE"
    )
    min_face: Annotated[int, MIN_FACE] | None = setting(
        None, "smallest face to look for, pixels; none: 40, or a twelfth of the height"
    )
    margin: Annotated[float, MARGIN] | None = setting(
        None, "round the box, as a share of it; none: the model's own"
    )
    threshold: Annotated[float, SHARE] = setting(
        THRESHOLD, "probability below which a face is 'uncertain'"
    )
    mirror: Annotated[bool, Flag()] = setting(False, "swap left and right, as in a mirror")
    flip: Annotated[bool, Flag()] = setting(
        False, "turn upside down; with --mirror: by 180 degrees"
    )
    downscale: Annotated[float, Float(1, 16)] = setting(1.0, "divide the frame's size by X")
    max_frames: Annotated[int, Int(1, 2**62)] | None = setting(None, "stop after N frames")
    json: Annotated[bool, Flag()] = setting(False, "print what was found as JSON")

    @property
    def outputs(self) -> list[str]:
        """The files and folders that results go into."""
        return [path for path in (self.out, self.csv, self.jsonl) if path]
