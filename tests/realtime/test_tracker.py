"""Faces keep their ids: drawn squares for every case, a photographed face for the real cascade."""

import cv2
import numpy as np
import pytest
from conftest import ROOT, SquareDetector, draw_squares

from nas.realtime.boxes import iou
from nas.realtime.detector import HaarDetector
from nas.realtime.stream_detector import StreamDetector, smallest_face
from nas.realtime.tracker import Track, Tracker, look_for, merged, patch_of

STEP = 1 / 30
SIDE = 50


def grey(boxes):
    return cv2.cvtColor(draw_squares(boxes), cv2.COLOR_BGR2GRAY)


def follow(frames, detector=None):
    """Ids and boxes in every frame."""
    detect = StreamDetector(detector or SquareDetector())
    return [{t.id: t.box for t in detect(frame, STEP)} for frame in frames]


def nearest(found, x):
    return min(found, key=lambda i: abs(found[i][0] - x))


def test_a_face_shows_at_once_and_keeps_its_id():
    found = follow([grey([(30 + 4 * k, 60 + k, SIDE)]) for k in range(40)])
    assert [list(f) for f in found] == [[1]] * 40
    for k in (0, 20, 39):
        assert iou(found[k][1], (30 + 4 * k, 60 + k, SIDE, SIDE)) > 0.75


@pytest.mark.parametrize("lower", [0, 12])
@pytest.mark.parametrize("frames", [25, 60])
def test_two_faces_that_cross_keep_their_ids(frames, lower):
    pictures = []
    for k in range(frames + 1):
        way = round(k * 220 / frames)
        pictures.append(grey([(20 + way, 60, SIDE), (240 - way, 60 + lower, SIDE)]))
    found = follow(pictures)
    assert set().union(*found) == {1, 2}
    assert len(found[0]) == len(found[-1]) == 2
    assert nearest(found[0], 20) == nearest(found[-1], 240)
    assert nearest(found[0], 240) == nearest(found[-1], 20)


@pytest.mark.parametrize("side", [24, 48, 96])
def test_a_patch_is_found_where_it_moved_in_pixels(side):
    """Also of a face larger or smaller than the patch that remembers it."""
    texture = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
    scene = cv2.resize(texture, None, fx=side / 12, fy=side / 12)
    x, y = 2 * side, side
    patch = patch_of(scene, (x, y, side, side))
    moved = np.roll(scene, (side // 4, -side // 6), (0, 1))
    shift, score = look_for(moved, Track(np.array([x + side / 2, y + side / 2]), side, patch))
    np.testing.assert_allclose(shift, (-side // 6, side // 4), atol=side / 24)
    assert score > 0.9


def test_a_photographed_face_crosses_its_mirror_image():
    """The real cascade on a face of a frame in this repository, and on its mirror image."""
    frame = cv2.imread(str(ROOT / "experiments/fer2013/frame.png"), cv2.IMREAD_GRAYSCALE)
    face = frame[66:172, 145:249]
    other = cv2.convertScaleAbs(cv2.flip(face, 1), alpha=0.8, beta=50)
    height, width = face.shape
    background = np.tile(np.linspace(60, 120, 480).astype(np.uint8), (240, 1))
    pictures = []
    for k in range(46):
        way = 8 * k
        picture = background.copy()
        picture[68 : 68 + height, 366 - way : 366 - way + width] = other
        picture[60 : 60 + height, 10 + way : 10 + way + width] = face
        pictures.append(picture)
    found = follow(pictures, HaarDetector())
    assert set().union(*found) == {1, 2}
    assert nearest(found[2], 26) == nearest(found[-1], 370)
    assert len(found[2]) == len(found[-1]) == 2


def test_a_face_that_the_detector_loses_is_followed_for_a_while():
    """Seen for 20 frames, then too dark for the detector; it moves on and is still followed."""
    bright = [grey([(30 + 2 * k, 60, SIDE)]) for k in range(20)]
    dark = [(grey([(30 + 2 * k, 60, SIDE)]) * 0.72).astype(np.uint8) for k in range(20, 60)]
    found = follow(bright + dark)
    assert all(found[:35])
    assert iou(found[35][1], (100, 60, SIDE, SIDE)) > 0.6
    assert not any(found[45:])  # never longer than it was seen


def test_a_flash_is_no_face():
    """What only one scan sees, and no second look, is never shown."""

    class Flash(SquareDetector):
        def __call__(self, grey, smallest, largest=0, look="careful"):
            return super().__call__(grey, smallest, largest) if grey.shape[1] > 150 else []

    pictures = [grey([(100, 60, SIDE)] if k == 3 else []) for k in range(20)]
    assert not any(follow(pictures, Flash()))


def test_a_cut_ends_every_track():
    first = [grey([(40, 60, SIDE)])] * 10
    second = [np.full((240, 320), 160, np.uint8)] * 5
    found = follow(first + second)
    assert all(found[:10])
    assert not any(found[10:])


def test_an_id_is_never_used_again():
    gone = [grey([])] * 40
    found = follow([grey([(40, 60, SIDE)])] * 10 + gone + [grey([(40, 60, SIDE)])] * 10)
    assert list(found[9]) == [1]
    assert not found[45]
    assert list(found[-1]) == [2]


def test_a_mouth_is_a_part_of_its_face():
    tracker, picture = Tracker(), grey([(40, 40, 100)])
    for boxes in ([(70, 100, 30, 30)],) * 3 + ([(40, 40, 100, 100), (70, 100, 30, 30)],) * 3:
        tracker.predict(STEP)
        tracker.update(picture, list(boxes))
    assert [t.box[2] for t in tracker.faces()] == [100]


def test_boxes():
    assert iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (10, 10, 5, 5)) == 0
    assert merged([(10, 10, 5, 5), (0, 0, 20, 20), (1, 1, 20, 20), (50, 50, 9, 9)]) == [
        (0, 0, 20, 20),
        (50, 50, 9, 9),
    ]


def test_the_smallest_face():
    assert [smallest_face(h, None) for h in (240, 480, 1080)] == [40, 40, 90]
    assert smallest_face(1080, 30) == 30
    small = [grey([(40, 60, 30)])] * 6
    assert not any(follow(small))
    detect = StreamDetector(SquareDetector(), smallest=25)
    assert [len(detect(frame, STEP)) for frame in small][-1] == 1


def test_strange_frames():
    """Smaller than a window, changing size, a face beyond the border."""
    sizes = [(1, 1), (320, 240), (8, 300), (640, 480)]
    detect = StreamDetector(SquareDetector())
    for size in sizes:
        detect(cv2.cvtColor(draw_squares([(-20, -20, 60)], size), cv2.COLOR_BGR2GRAY), STEP)
    detect(np.zeros((240, 320), np.uint8), 0.0)
