"""Text in a font that has more than ASCII."""

import numpy as np
import pytest

from nas.common.text import put_text, shortened, text_size, unknown_letters


@pytest.mark.parametrize(("x", "y"), [(-30, -5), (90, 50), (500, 5), (5, 500), (5, 5)])
def test_text_is_cut_at_the_edge(x, y):
    picture = np.zeros((60, 100, 3), np.uint8)
    put_text(picture, "happy 91%", x, y, 16, (10, 200, 30))
    inside = x < 100 and y < 60
    assert picture.any() == inside
    if inside:
        assert picture.reshape(-1, 3).max(0).tolist()[1] > 100


def test_ink_covers_and_paper_stays():
    picture = np.full((40, 120, 3), 77, np.uint8)
    put_text(picture, "\u2588\u2588", 10, 5, 16, (1, 2, 3))  # full blocks
    width, height = text_size("\u2588\u2588", 16)
    assert (picture[5 + height // 2, 10 + width // 2] == (1, 2, 3)).all()
    assert (picture[:4] == 77).all()
    assert (picture[:, :9] == 77).all()


def test_long_names_are_shortened():
    assert shortened("happy", 12, 200) == "happy"
    cut = shortened("flabbergasted and delighted", 12, 80)
    assert cut.startswith("flabb")
    assert cut.endswith("\u2026")
    assert text_size(cut, 12)[0] <= 80


def test_letters_without_a_glyph_are_known():
    assert unknown_letters(("happy", "grün", "счастье", "سعيد")) == ""
    assert unknown_letters(("happy", "嬉しい")) == "嬉しい"
