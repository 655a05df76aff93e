"""Rectangles: where a face is, and how much two of them share."""

from __future__ import annotations

Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the frame


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    shared = shared_area(a, b)
    return shared / max(a[2] * a[3] + b[2] * b[3] - shared, 1)


def shared_area(a: Box, b: Box) -> int:
    """Pixels that are in both."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return w * h if w > 0 and h > 0 else 0
