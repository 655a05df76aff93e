"""Steady labels: each face's probabilities averaged over time, no flicker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.realtime.options import THRESHOLD

Floats = npt.NDArray[np.float64]

UNCERTAIN = "uncertain"
MEMORY = 0.3  # seconds in which an old frame's weight falls to 1/e
MARGIN = 0.1  # by which another class must lead, or the label's own class fall below the threshold


@dataclass
class _Face:
    probabilities: Floats
    label: str
    raw: int  # strongest class of the last frame alone
    seconds: float


class Smoother:
    """One memory for every face, never one for all.

    `before` and `after` count label changes of the single frames and of the smoothed labels,
    `seconds` the time over which faces were watched.
    """

    def __init__(self, classes: tuple[str, ...], threshold: float = THRESHOLD) -> None:
        self.classes, self.threshold = classes, threshold
        self.before = self.after = 0
        self.seconds = 0.0
        self._faces: dict[int, _Face] = {}

    def __call__(self, track: int, probabilities: Floats, seconds: float) -> tuple[str, Floats]:
        """This frame's probabilities (classes,) at this time -> label, smoothed probabilities."""
        raw = int(probabilities.argmax())
        face = self._faces.get(track)
        if face is None:
            label = label_of(probabilities, self.classes, self.threshold)
            self._faces[track] = _Face(probabilities, label, raw, seconds)
            return label, probabilities
        passed = max(seconds - face.seconds, 0.0)
        new = 1 - np.exp(-passed / MEMORY)
        face.probabilities = face.probabilities + new * (probabilities - face.probabilities)
        label = self._next_label(face)
        self.before += raw != face.raw
        self.after += label != face.label
        self.seconds += passed
        face.label, face.raw, face.seconds = label, raw, seconds
        return label, face.probabilities

    def forget_all_but(self, tracks: set[int]) -> None:
        """Drop the memory of faces that are gone."""
        self._faces = {track: face for track, face in self._faces.items() if track in tracks}

    @property
    def changes(self) -> tuple[float, float] | None:
        """Of labels, a second of a watched face: single frames', smoothed; None: nobody's."""
        if not self.seconds:
            return None
        return self.before / self.seconds, self.after / self.seconds

    def _next_label(self, face: _Face) -> str:
        p = face.probabilities
        if face.label != UNCERTAIN:
            own = p[self.classes.index(face.label)]
            if own >= self.threshold - MARGIN and own >= p.max() - MARGIN:
                return face.label
        return label_of(p, self.classes, self.threshold)


def label_of(probabilities: Floats, classes: tuple[str, ...], threshold: float) -> str:
    """The strongest class, or UNCERTAIN below the threshold."""
    best = int(probabilities.argmax())
    return classes[best] if probabilities[best] >= threshold else UNCERTAIN
