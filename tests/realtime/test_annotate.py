"""What is drawn, and where: sizes that follow the picture's, labels that cover nothing."""

import cv2
import numpy as np
import pytest

from nas.common.text import label
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
        own = place(picture, box, (110, 20), taken)
        assert not any(shared_area(own, other) for other in taken)
        taken.append(own)


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


def test_a_frame_is_as_wide_and_high_as_its_face():
    out = annotate(
        np.zeros((480, 640, 3), np.uint8), [Face((200, 150, 60, 90), "happy", HAPPY)], CLASSES
    )
    edges = coloured(out, GREEN)
    for x, y in ((200, 150), (260, 150), (200, 240), (260, 240)):
        assert edges[y, x]
    assert edges[150:241, 260].all()
    assert edges[240, 200:261].all()


def bars(out, right):
    """From top to bottom right of a column: length of each bar, and whether it is green."""
    green, grey = (coloured(out[:, right:], colour) for colour in (GREEN, GREY))
    start = int(green.any(0).argmax())
    found = []
    for row in range(len(out)):
        line = (green | grey)[row, start:]
        if line[0]:
            length = int(line.argmin())
            if not (green | grey)[row - 1, start]:
                found.append((length, bool(green[row, start])))
    return found


@pytest.mark.parametrize(
    ("probabilities", "shown"),
    [
        ((0.05, 0.15, 0.1, 0.5, 0.2), [0, 1, 2, 3, 4]),
        ((0.01, 0.3, 0.02, 0.2, 0.03, 0.15, 0.12, 0.08, 0.05, 0.04), [1, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_bars_are_as_long_as_their_classes_are_probable(probabilities, shown):
    """Eight at most, in the order of the classes; the strongest is green."""
    classes = tuple(f"c{k}" for k in range(len(probabilities)))
    strongest = int(np.argmax(probabilities))
    face = Face((100, 100, 120, 120), classes[strongest], probabilities)
    found = bars(annotate(np.zeros((960, 1280, 3), np.uint8), [face], classes), 230)
    longest = max(length for length, _ in found)
    share = [probabilities[k] / max(probabilities) for k in shown]
    assert [length / longest for length, _ in found] == pytest.approx(share, abs=0.08)
    assert [green for _, green in found] == [k == strongest for k in shown]


def test_a_label_names_the_class_and_its_percent():
    picture, box = np.zeros((480, 640, 3), np.uint8), (200, 150, 80, 80)
    out = annotate(picture, [Face(box, "happy", HAPPY, track=7)], CLASSES)
    text = label("7 happy 82%", font_size(picture), (30, 30, 30), GREEN)
    height, width, _ = text.shape
    x, y, _, _ = place(picture, box, (width, height), [box])
    np.testing.assert_array_equal(out[y : y + height, x : x + width], text)
