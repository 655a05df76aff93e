from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawn import make

from nas.data.pictures import contact_sheet, is_colour, square, write_contact_sheet


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


@pytest.mark.parametrize(("saturation", "expected"), [(0, False), (2, False), (40, True)])
def test_grey_pictures_with_a_trace_of_colour_are_grey(saturation, expected):
    picture = np.full((8, 8, 3), 100, np.uint8)
    picture[..., 2] += saturation
    assert is_colour(picture) == expected
