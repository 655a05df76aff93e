"""Where to look for faces in a stream, so that a frame costs milliseconds.

The detector is the budget. A known face is searched in a small window round its expected place,
shrunk until the face is twice the detector's own window. New faces come from a scan of the whole
frame, shrunk until the smallest wanted face hardly fits. The scan is cut into parts (large faces;
small faces, left and right half), one for a frame in turn, so that no frame pays for all; the first
frame and one after a cut do pay, because there everything is new.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from nas.realtime.boxes import Box, iou
from nas.realtime.detector import Detector, Look
from nas.realtime.frames import Pixels
from nas.realtime.tracker import Track, Tracker

FIT = 1.5  # side of the smallest wanted face in the shrunk frame over the detector's window
WINDOWS = 3  # at most so many faces are searched in one frame; the others are followed
AROUND = 1.8  # side of the search window over the face's
SHRUNK = 2.0  # side of the face in the shrunk window over the detector's
PERIOD = 5  # frames between two parts of the scan while a face is known
SHARE = 12  # the smallest face is a twelfth of the frame's height, or MINIMUM
MINIMUM = 40
CUT = 25.0  # mean grey difference of two thumbnails from which the scene has changed
THUMBNAIL = (32, 24)


class StreamDetector:
    """`detector(grey, dt)` -> the confirmed tracks of this frame."""

    def __init__(self, detector: Detector, smallest: int | None = None) -> None:
        self.detector, self.smallest = detector, smallest
        self.tracker = Tracker()
        self._frame = 0
        self._part = 0
        self._thumbnail: npt.NDArray[np.float32] | None = None

    def __call__(self, grey: Pixels, seconds: float) -> list[Track]:
        """grey: uint8 (H, W). seconds: since the frame before."""
        cut = self._is_cut(grey)
        self.tracker.predict(seconds)
        boxes: list[Box] = []
        for track in sorted(self.tracker.tracks, key=lambda t: -t.unseen)[:WINDOWS]:
            boxes += self._search(grey, track)
        for part in self._due(cut):
            boxes += self._scan(grey, part)
        self.tracker.update(grey, boxes, cut)
        for track in [t for t in self.tracker.tracks if t.detections == 1][:WINDOWS]:
            # A second look at once: a face shows in the first frame, and most false boxes never.
            if any(iou(box, track.box) > 0.4 for box in self._search(grey, track)):
                track.detections += 1
        self._frame += 1
        return self.tracker.faces()

    def _is_cut(self, grey: Pixels) -> bool:
        thumbnail = cv2.resize(grey, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._thumbnail = self._thumbnail, thumbnail
        return before is None or float(np.abs(thumbnail - before).mean()) > CUT

    def _due(self, cut: bool) -> list[int]:
        if cut:
            return [0, 1, 2]
        if self.tracker.tracks and self._frame % PERIOD:
            return []
        self._part = (self._part + 1) % 3
        return [self._part]

    def _search(self, grey: Pixels, track: Track) -> list[Box]:
        """The window round one known face."""
        side = track.side * AROUND
        left, top = np.maximum(track.centre - side / 2, 0).astype(int)
        right, bottom = (track.centre + side / 2).astype(int)
        window = grey[top : max(bottom, 0), left : max(right, 0)]
        if min(window.shape) < track.side / 2:
            return []
        target = self.detector.window * SHRUNK
        sides = 0.75 * track.side, 1.35 * track.side
        found = self._detect(window, min(target / track.side, 1), sides, "near")
        return [(x + int(left), y + int(top), w, h) for x, y, w, h in found]

    def _scan(self, grey: Pixels, part: int) -> list[Box]:
        """0: large faces. 1, 2: small ones in the left and right part, which overlap."""
        height, width = grey.shape
        smallest = smallest_face(height, self.smallest)
        scale = min(FIT * self.detector.window / smallest, 1)
        if part == 0:
            return self._detect(grey, scale / 2, (2 * smallest, 0), "quick")
        left = max(0, width // 2 - smallest) if part == 2 else 0
        right = min(width, width // 2 + smallest) if part == 1 else width
        found = self._detect(grey[:, left:right], scale, (smallest, 2.2 * smallest), "quick")
        return [(x + left, y, w, h) for x, y, w, h in found]

    def _detect(
        self, grey: Pixels, scale: float, sides: tuple[float, float], look: Look
    ) -> list[Box]:
        """Boxes of the shrunk picture, in pixels of the one given."""
        if scale < 1:
            size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
            grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
        found = self.detector(grey, int(sides[0] * scale), int(sides[1] * scale), look)
        return [
            (round(x / scale), round(y / scale), round(w / scale), round(h / scale))
            for x, y, w, h in found
        ]


def smallest_face(height: int, wanted: int | None) -> int:
    """The side of the smallest face to look for in a frame of this height, pixels."""
    return wanted or max(MINIMUM, height // SHARE)
