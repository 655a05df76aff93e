"""Faces from frame to frame: stable ids by overlap, motion and appearance.

The tracker knows boxes and grey pixels, no detector: stream_detector.py tells it what was found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nas.realtime.boxes import Box, iou, shared_area
from nas.realtime.frames import Pixels

Floats = npt.NDArray[np.float64]

POSITION, SIZE, VELOCITY = 0.6, 0.3, 0.25  # gains of the filter on centre, side and velocity
DAMPING = 0.25  # seconds in which an unseen face's velocity falls to 1/e
MAX_AGE = 1.0  # seconds that a face may go unseen, and never longer than it was seen
MIN_HITS = 2  # detections before a face is shown
TENTATIVE = 0.15  # seconds in which they must come
SIDE = 24  # of the patch that remembers a face
ALIKE = 0.55  # correlation from which the patch counts as the same face
MAX_COST = 1.2


@dataclass
class Track:
    """One face. centre, velocity: pixels and pixels a second. seen, unseen: seconds.

    id: from 1, never used again; 0 before the face is confirmed.
    """

    centre: Floats
    side: float
    patch: Pixels
    id: int = 0
    velocity: Floats = field(default_factory=lambda: np.zeros(2))
    detections: int = 1
    seen: float = 0.0
    unseen: float = 0.0

    @property
    def box(self) -> Box:
        left, top = self.centre - self.side / 2
        return round(left), round(top), round(self.side), round(self.side)

    @property
    def confirmed(self) -> bool:
        return self.detections >= MIN_HITS


class Tracker:
    """`predict(seconds)`, then `update(grey, boxes)`, then `faces()`, once a frame."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self._last_id = 0
        self._dt = 0.0

    def predict(self, seconds: float) -> None:
        """Move every face on by its velocity."""
        self._dt = max(seconds, 1e-3)
        for track in self.tracks:
            track.centre = track.centre + track.velocity * self._dt

    def update(self, grey: Pixels, boxes: list[Box], cut: bool = False) -> None:
        """boxes: what was detected in this frame. cut: it does not continue the one before."""
        boxes = merged(boxes)
        pairs = self._match(grey, boxes)
        for row, track in enumerate(self.tracks):
            if row in pairs:
                self._seen(track, grey, boxes[pairs[row]])
            else:
                self._unseen(track, grey)
        self.tracks = [t for t in self.tracks if not self._lost(t, cut)]
        for column, box in enumerate(boxes):
            if column not in pairs.values() and not any(_part(box, t.box) for t in self.tracks):
                self._begin(grey, box)
        self.tracks = [t for t in self.tracks if not self._part_of_another(t)]

    def faces(self) -> list[Track]:
        """The confirmed tracks; a face gets its id when it is first shown."""
        confirmed = [t for t in self.tracks if t.confirmed]
        for track in confirmed:
            if not track.id:
                self._last_id += 1
                track.id = self._last_id
        return confirmed

    def _match(self, grey: Pixels, boxes: list[Box]) -> dict[int, int]:
        """Row of a track -> column of its box, at the least total cost."""
        if not self.tracks or not boxes:
            return {}
        cost = np.array([[self._cost(grey, t, box) for box in boxes] for t in self.tracks])
        rows, columns = linear_sum_assignment(cost)
        return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if cost[r, c] < MAX_COST}

    def _cost(self, grey: Pixels, track: Track, box: Box) -> float:
        """0 where place, size and looks agree; MAX_COST or more where it cannot be this face."""
        x, y, w, h = box
        away = float(np.hypot(*(track.centre - (x + w / 2, y + h / 2)))) / max(track.side, w)
        if away > 0.6 or not 0.6 < w / track.side < 1.7:
            return 2 * MAX_COST
        looks = (1 - correlation(track.patch, patch_of(grey, box))) / 2
        return (1 - iou(track.box, box)) * 0.8 + 0.8 * looks

    def _seen(self, track: Track, grey: Pixels, box: Box) -> None:
        x, y, w, h = box
        error = np.array([x + w / 2, y + h / 2]) - track.centre
        track.centre = track.centre + POSITION * error
        track.velocity = track.velocity + VELOCITY * error / self._dt
        track.side += SIZE * ((w + h) / 2 - track.side)
        track.detections += 1
        track.seen += self._dt
        track.unseen = 0.0
        if not self._crossing(track):  # else the patch would be of the other face
            track.patch = patch_of(grey, box)

    def _unseen(self, track: Track, grey: Pixels) -> None:
        """Follow the looks of a face that the detector missed; in a crossing, its motion alone."""
        track.unseen += self._dt
        if self._crossing(track):
            return
        track.velocity = track.velocity * np.exp(-self._dt / DAMPING)
        shift, score = look_for(grey, track)
        if score >= ALIKE:
            track.centre = track.centre + POSITION * shift
        else:
            track.unseen += self._dt  # neither detected nor recognised: wait half as long

    def _crossing(self, track: Track) -> bool:
        return any(t is not track and t.confirmed and iou(t.box, track.box) > 0.1
                   for t in self.tracks)  # fmt: skip

    def _lost(self, track: Track, cut: bool) -> bool:
        if not track.unseen:
            return False
        if not track.confirmed:
            return cut or track.unseen > TENTATIVE
        return cut or track.unseen > min(MAX_AGE, track.seen)

    def _begin(self, grey: Pixels, box: Box) -> None:
        x, y, w, h = box
        centre = np.array([x + w / 2, y + h / 2])
        self.tracks.append(Track(centre, (w + h) / 2, patch_of(grey, box)))

    def _part_of_another(self, track: Track) -> bool:
        """A mouth or an ear taken for a face; a face hidden behind another is not detected."""
        return track.unseen == 0 and any(
            t is not track and t.confirmed and t.unseen == 0 and _part(track.box, t.box)
            and t.side > track.side
            for t in self.tracks
        )  # fmt: skip


def merged(boxes: list[Box]) -> list[Box]:
    """Without those that show the same face again or a part of it; larger ones first."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda b: -b[2] * b[3]):
        if not any(iou(box, k) > 0.5 or _part(box, k) for k in kept):
            kept.append(box)
    return kept


def _part(box: Box, whole: Box) -> bool:
    """Most of `box` lies in `whole`, which is not much smaller."""
    return shared_area(box, whole) > 0.6 * box[2] * box[3] and whole[2] > 0.8 * box[2]


def patch_of(grey: Pixels, box: Box) -> Pixels:
    """What is in the box, uint8 (SIDE, SIDE)."""
    return _resized(grey, box[0] + box[2] / 2, box[1] + box[3] / 2, box[2], SIDE)


def look_for(grey: Pixels, track: Track) -> tuple[Floats, float]:
    """How far the track's patch moved, in pixels (2,), and how well it fits, in [-1, 1]."""
    around = _resized(grey, track.centre[0], track.centre[1], track.side * 2, SIDE * 2)
    scores = cv2.matchTemplate(around, track.patch, cv2.TM_CCOEFF_NORMED)
    _, score, _, (column, row) = cv2.minMaxLoc(scores)
    shift = (np.array([column, row]) - SIDE / 2) * track.side / SIDE
    return shift, score if np.isfinite(score) else 0.0


def correlation(a: Pixels, b: Pixels) -> float:
    """Of two patches, in [-1, 1]; 0 where one is flat."""
    score = float(cv2.matchTemplate(a, b, cv2.TM_CCOEFF_NORMED)[0, 0])
    return score if np.isfinite(score) else 0.0


def _resized(grey: Pixels, x: float, y: float, side: float, out: int) -> Pixels:
    """The square round (x, y) as uint8 (out, out); the border is repeated outside the picture."""
    step = side / out
    matrix = np.array([[step, 0, x - side / 2 + step / 2 - 0.5],
                       [0, step, y - side / 2 + step / 2 - 0.5]])  # fmt: skip
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(grey, matrix, (out, out), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.uint8)
