"""A face cut out of its picture, as the model saw faces in training. page/face.js is its twin."""

from __future__ import annotations

import cv2
import numpy as np

from nas.realtime.boxes import Box
from nas.realtime.frames import Pixels


def crop_face(grey: Pixels, box: Box, margin: float, height: int, width: int) -> Pixels:
    """The box, grown by `margin` of its size on every side, as uint8 (height, width).

    Where it leaves the picture the border pixels are repeated, so that a face at the edge keeps
    its place and scale.
    """
    x, y, w, h = box
    half_w, half_h = w * (0.5 + margin), h * (0.5 + margin)
    centre_x, centre_y = x + w / 2, y + h / 2
    left, right = round(centre_x - half_w), round(centre_x + half_w)
    top, bottom = round(centre_y - half_h), round(centre_y + half_h)
    rows = np.clip(np.arange(top, max(bottom, top + 1)), 0, grey.shape[0] - 1)
    columns = np.clip(np.arange(left, max(right, left + 1)), 0, grey.shape[1] - 1)
    patch = np.ascontiguousarray(grey[np.ix_(rows, columns)])
    shrinks = patch.shape[0] >= height and patch.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR_EXACT  # to the bit, on every machine
    return np.asarray(cv2.resize(patch, (width, height), interpolation=how), np.uint8)
