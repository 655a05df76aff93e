"""The demo as its options ask for it: the parts put together, and run."""

from __future__ import annotations

import logging
from pathlib import Path

from nas.common.errors import UserError
from nas.common.expressions import are_expressions
from nas.common.resources import ONNX, find_model
from nas.common.text import unknown_letters
from nas.deploy.preprocessing import ModelInfo
from nas.realtime.detector import make_detector
from nas.realtime.frames import transformed
from nas.realtime.options import Options
from nas.realtime.pipeline import run
from nas.realtime.recognizer import Recognizer
from nas.realtime.sinks import open_sinks
from nas.realtime.smoothing import UNCERTAIN
from nas.realtime.sources import open_source
from nas.realtime.summary import Summary
from nas.realtime.window import Window

log = logging.getLogger(__name__)
SHOWN = 7  # classes of a list in a message


def label_source(options: Options) -> tuple[Summary, Path]:
    """What was done and found, and the model file that did it."""
    recognizer = Recognizer(
        find_model(options.model, "--model", ONNX), margin=options.margin,
        detector=make_detector(options.detector, options.detector_model),
        smallest=options.min_face, threshold=options.threshold, precision=options.precision,
    )  # fmt: skip
    source = open_source(options.source)
    if source.fps and options.headless and not (options.outputs or options.json):
        raise UserError(
            "--headless: nothing would be left; expected --out, --csv, --jsonl or --json too"
        )
    window = None if options.headless else Window(Path(options.snapshots))
    for line in cautions(recognizer.preprocessing, drawn=bool(window or options.out)):
        log.warning("%s", line)
    source = transformed(source, options.mirror, options.flip, options.downscale)
    sinks = open_sinks(source, recognizer.classes, options.out, options.csv, options.jsonl)
    summary = run(
        source, recognizer, sinks=sinks, window=window, recording=bool(options.out),
        max_frames=options.max_frames,
    )  # fmt: skip
    return summary, recognizer.model


def cautions(model: ModelInfo, drawn: bool) -> list[str]:
    """What a user should know of a model before it labels faces. drawn: into pictures, too."""
    found = []
    if not are_expressions(model.classes):
        more = ", ..." if len(model.classes) > SHOWN else ""
        found.append(
            f"the model tells apart {', '.join(model.classes[:SHOWN])}{more} (data: "
            f"{model.training_data}); this demo finds faces, and shows it nothing else; from "
            "Python: nas.Recognizer(model).whole(picture)"
        )
    if UNCERTAIN in model.classes:
        found.append(
            f"the model has a class {UNCERTAIN!r}, as faces are called whose strongest class is "
            "below --threshold; the probabilities tell them apart"
        )
    if drawn and (letters := unknown_letters(model.classes)):
        found.append(
            f"the font has no {letters!r}: class names with them have boxes in pictures; CSV and "
            "JSON have them whole"
        )
    return found
