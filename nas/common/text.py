"""Text on a picture, in a font that has more than ASCII."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]  # BGR
NO_GLYPH = "\uffff"  # what no font has
Font = ImageFont.FreeTypeFont


def put_text(picture: Pixels, text: str, x: int, y: int, size: int, colour: Colour) -> None:
    """Draw a line of text with its top left corner at (x, y), cut at the picture's edge."""
    mask = text_mask(text, size)
    mask = mask[max(0, -y) : picture.shape[0] - y, max(0, -x) : picture.shape[1] - x]
    x, y = max(x, 0), max(y, 0)
    place = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
    if place.size:
        share = mask[..., None].astype(np.uint16)
        place[:] = (share * np.array(colour, np.uint16) + (255 - share) * place) // 255


@lru_cache(1024)
def label(text: str, size: int, ink: Colour, paper: Colour) -> Pixels:
    """BGR pixels of a line of text on its own ground, with a margin left and right."""
    width, height = text_size(text, size)
    picture = np.full((height, width + size // 2, 3), paper, np.uint8)
    put_text(picture, text, size // 4, 0, size, ink)
    return picture


@lru_cache(256)
def column(texts: tuple[str, ...], size: int, width: int) -> Pixels:
    """BGR pixels, white on black, of lines of text, each shortened to the width."""
    row = text_size("Ag", size)[1]
    picture = np.zeros((row * len(texts), width, 3), np.uint8)
    for line, text in enumerate(texts):
        put_text(picture, shortened(text, size, width), 0, line * row, size, (255, 255, 255))
    return picture


def text_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels of what `put_text` draws."""
    height, width = text_mask(text, size).shape
    return width, height


def shortened(text: str, size: int, width: int) -> str:
    """The text, cut with an ellipsis to be no wider than `width` pixels."""
    kept = text
    while len(kept) > 1 and text_size(kept, size)[0] > width:
        kept = kept[:-2].rstrip() + "\u2026"
    return kept


def unknown_letters(texts: tuple[str, ...]) -> str:
    """The letters that the font does not have: they are drawn as empty boxes."""
    letters = dict.fromkeys("".join(texts))
    return "".join(c for c in letters if not c.isspace() and _looks(c) == _looks(NO_GLYPH))


def text_mask(text: str, size: int) -> npt.NDArray[np.uint8]:
    """How much ink each pixel of the line gets, 0..255. size: of the font, in pixels."""
    words = [_word(word, size) for word in text.split(" ")]
    space = np.zeros((words[0].shape[0], max(1, size // 3)), np.uint8)
    return np.hstack([part for word in words for part in (word, space)][:-1])


@lru_cache(4096)
def _word(word: str, size: int) -> npt.NDArray[np.uint8]:
    """Kept, since a frame's words are nearly all of the frame before."""
    font = _font(size)
    ascent, descent = font.getmetrics()
    width = max(1, round(font.getlength(word)) + 1)
    image = Image.new("L", (width, ascent + descent))
    ImageDraw.Draw(image).text((0, 0), word, fill=255, font=font)
    return np.array(image)


@lru_cache(64)
def _font(size: int) -> Font:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic, Arabic and more."""
    found = importlib.util.find_spec("matplotlib")  # found, not imported: it takes a while
    for folder in (found and found.submodule_search_locations) or []:
        path = Path(folder) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    font = ImageFont.load_default(size)
    assert isinstance(font, Font)
    return font


def _looks(letter: str) -> bytes:
    return text_mask(letter, 24).tobytes()
