"""What is drawn, and where: sizes that follow the picture's, labels that cover nothing."""

import cv2
import numpy as np
import pytest

from nas.data import CLASSES
from nas.realtime.annotate import annotate, font_size, place
from nas.realtime.boxes import shared_area
from nas.realtime.recognizer import Face
from nas.realtime.smoothing import UNCERTAIN

HAPPY = (0.02, 0.02, 0.02, 0.82, 0.04, 0.04, 0.04)
GREEN, GREY = (80, 220, 80), (180, 180, 180)


def coloured(picture, colour):
    return (picture == np.array(colour)).all(-1)


def test_drawing_copes_with_the_edges():
    frame = np.zeros((60, 80, 3), np.uint8)
    boxes = ((0, 0, 80, 60), (70, 50, 40, 40), (-5, -5, 9, 9))
    out = annotate(frame, [Face(box, CLASSES[3], HAPPY) for box in boxes], CLASSES)
    assert out.shape == frame.shape
    assert out.any()
    assert not frame.any()
    grey = annotate(frame[..., 0], [], CLASSES)
    assert grey.shape == (60, 80, 3)


def test_nothing_is_drawn_into_a_face():
    """Ten faces, close together and at the edges: only their own frames touch them."""
    frame = np.zeros((480, 640, 3), np.uint8)
    boxes = [(10 + 125 * k, 5 + 40 * (k % 2), 90, 90) for k in range(5)]
    boxes += [(5 + 130 * k, 385 - 60 * (k % 2), 90, 90) for k in range(5)]
    out = annotate(frame, [Face(box, "happy", HAPPY) for box in boxes], CLASSES)
    for x, y, w, h in boxes:
        assert not out[y + 6 : y + h - 6, x + 6 : x + w - 6].any()
    assert coloured(out, GREEN).sum() > 10 * 4 * 90


@pytest.mark.parametrize("top", [0, 200, 420])
def test_labels_do_not_cover_each_other(top):
    """Also at the picture's edges; each label is wider than its face."""
    picture = np.zeros((480, 640, 3), np.uint8)
    boxes = [(100 + 70 * k, top, 60, 60) for k in range(4)]
    taken = list(boxes)
    for box in boxes:
        label = place(picture, box, (110, 20), taken)
        assert not any(shared_area(label, other) for other in taken)
        taken.append(label)


def test_labels_scale_with_the_picture():
    small, large = np.zeros((360, 640, 3), np.uint8), np.zeros((1440, 2560, 3), np.uint8)
    assert font_size(large) == pytest.approx(4 * font_size(small), abs=6)
    heights = []
    for picture, scale in ((small, 1), (large, 4)):
        face = Face((200 * scale, 150 * scale, 80 * scale, 80 * scale), "happy", HAPPY)
        rows = coloured(annotate(picture, [face], CLASSES), GREEN)[:, 200 * scale + 1]
        heights.append(rows[: 150 * scale].sum())  # of the label above the box
    assert heights[1] == pytest.approx(4 * heights[0], rel=0.15)


def test_uncertain_looks_uncertain():
    frame = np.zeros((240, 320, 3), np.uint8)
    weak = (0.2, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2)
    sure = annotate(frame, [Face((60, 80, 100, 100), "happy", HAPPY)], CLASSES)
    unsure = annotate(frame, [Face((60, 80, 100, 100), UNCERTAIN, weak)], CLASSES)
    assert coloured(sure, GREEN).any()
    assert not coloured(unsure, GREEN).any()
    left = slice(90, 170), slice(59, 62)  # the box's left edge: whole, and in dashes
    assert coloured(sure, GREEN)[left].any(1).all()
    assert 0.3 < coloured(unsure, GREY)[left].any(1).mean() < 0.7


def test_class_names_of_any_alphabet_are_drawn():
    """OpenCV's own font makes question marks of them."""
    frame = np.full((240, 400, 3), 30, np.uint8)

    def drawn(name):
        out = annotate(frame, [Face((150, 90, 80, 80), name, (0.9, 0.1))], (name, "b"))
        return cv2.absdiff(out, frame)

    assert (drawn("счастье") != drawn("радость!")).any()
    assert (drawn("fröhlich") != drawn("fr\N{REPLACEMENT CHARACTER}hlich")).any()


def test_labels_of_a_crowd_are_smaller_and_whole():
    """24 faces that stand closer than their labels are wide: each has its own, right below it."""
    frame = np.full((600, 800, 3), 120, np.uint8)
    boxes = [(k % 6 * 130 + 5, k // 6 * 145 + 10, 110, 120) for k in range(24)]
    faces = [Face(box, "surprise", HAPPY, 10 + k) for k, box in enumerate(boxes)]
    out = annotate(frame, faces, CLASSES)
    below = [out[y + h + 2 : y + h + 15, x : x + w] for x, y, w, h in boxes]
    ink = np.array([(part.max(-1) < 60).sum() for part in below])
    assert (abs(ink / np.median(ink) - 1) < 0.25).all()
    alone = annotate(frame, faces[:1], CLASSES)
    assert coloured(alone, GREEN).sum() > 1.5 * coloured(out, GREEN).sum() / 24  # larger
