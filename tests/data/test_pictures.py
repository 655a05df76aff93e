from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawn import make

from nas.data.files import File
from nas.data.pictures import contact_sheet, is_colour, read_pixels, square, write_contact_sheet


def test_the_contact_sheet_has_a_row_of_each_class_under_its_name(tmp_path):
    data = make(60, side=24)
    sheet = contact_sheet(data, columns=5)
    assert sheet.shape == (3 * (16 + 24), 5 * 24, 1)
    for label in range(3):
        caption, row = sheet[label * 40 :][:16], sheet[label * 40 + 16 :][:24]
        assert caption.min() < 100  # ink
        shown = {row[:, x : x + 24, 0].tobytes() for x in range(0, 120, 24)}
        mine = data.images[(data.labels == label) & (data.split == 0), 0]
        assert len(shown & {image.tobytes() for image in mine}) == 5
    write_contact_sheet(data, tmp_path / "new" / "sheet.png")
    assert cv2.imread(str(tmp_path / "new" / "sheet.png")).shape == (120, 16 * 24, 3)


def test_captions_have_more_letters_than_ascii_and_stay_in_their_row():
    names = ("\u0441\u0447\u0430\u0441\u0442\u044c\u0435", "gr\u00fcn", "x" * 100)
    data = replace(make(60, side=24), classes=names)
    sheet = contact_sheet(data, columns=4)
    plain = contact_sheet(replace(data, classes=("???????", "gr?n", "y")), columns=4)
    assert sheet.shape == plain.shape
    for label in range(3):
        top = label * 40
        assert not np.array_equal(sheet[top : top + 16], plain[top : top + 16])
        np.testing.assert_array_equal(sheet[top + 16 : top + 40], plain[top + 16 : top + 40])


def test_square_takes_the_middle():
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 10:30] = (200, 100, 50)
    found = square(wide, 10)
    assert found.shape == (3, 10, 10)
    assert (found == np.array([200, 100, 50])[:, None, None]).all()


def test_a_smaller_square_is_the_mean_of_its_pixels():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[::4] = 200
    assert (square(stripes, 16) == 50).all()
    assert (square(stripes[:4, :4], 4)[0] == stripes[:4, :4]).all()


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [((3, 1, 4, 2), slice(1, 3), slice(3, 7)), ((-2, -1, 6, 4), slice(0, 3), slice(0, 4)),
     ((7, 4, 9, 9), slice(4, 6), slice(7, 10))],
)  # fmt: skip
def test_of_a_picture_with_a_box_the_box_is_taken(box, rows, columns):
    """x, y, width, height; what lies outside is not there."""
    picture = np.arange(60, dtype=np.uint8).reshape(6, 10)
    raw = cv2.imencode(".png", picture)[1].tobytes()
    found = read_pixels(File(("a.png",), lambda limit: raw[:limit]), False, box)
    np.testing.assert_array_equal(found, picture[rows, columns])


@pytest.mark.parametrize(("saturation", "expected"), [(0, False), (2, False), (40, True)])
def test_grey_pictures_with_a_trace_of_colour_are_grey(saturation, expected):
    picture = np.full((8, 8, 3), 100, np.uint8)
    picture[..., 2] += saturation
    assert is_colour(picture) == expected
