"""What most demos do: Haar over the full frame, each face through torch on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nas.bench.loop import MINIMUM, run_loop
from nas.deploy.checkpoint import open_trained
from nas.realtime.annotate import annotate
from nas.realtime.crop import crop_face
from nas.realtime.detector import HaarDetector
from nas.realtime.frames import Pixels
from nas.realtime.recognizer import Face, as_grey
from nas.realtime.timing import StageTimer


def run(clip: Path, network: Path) -> dict[str, Any]:
    trained, detector = open_trained(network / "model.safetensors"), HaarDetector("haar")
    p, model = trained.info, trained.model.eval()

    def step(frame: Pixels, steps: StageTimer) -> int:
        with steps("detect"):
            grey = as_grey(frame)
            boxes = detector(grey, MINIMUM)
        faces = []
        with steps("classify"), torch.no_grad():
            for box in boxes:
                crop = crop_face(grey, box, p.margin, p.height, p.width)
                pixels = torch.from_numpy(p.normalise(crop))[None, None]
                row = torch.softmax(model(pixels)[0], 0)
                faces.append(Face(box, p.classes[int(row.argmax())], tuple(row.tolist())))
        with steps("draw"):
            annotate(frame, faces, p.classes)
        return len(faces)

    return {**run_loop(clip, step), "model": "model.safetensors"}
