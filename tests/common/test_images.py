from __future__ import annotations

import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from nas.common.errors import UserError
from nas.common.images import decode, is_picture, picture_format, read_picture

PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8), (80, 64))


def encoded(suffix):
    ok, raw = cv2.imencode(suffix, PICTURE)
    assert ok
    return raw.tobytes()


@pytest.mark.parametrize(
    ("suffix", "kind", "error"),
    [
        (".jpg", "JPEG", 4), (".png", "PNG", 0), (".gif", "GIF", 25), (".webp", "WebP", 4),
        (".tiff", "TIFF", 0), (".bmp", "BMP", 0), (".avif", "AVIF", 4), (".jp2", "JPEG 2000", 4),
        (".ppm", "PNM", 0), (".pam", "PNM", 0), (".ras", "Sun raster", 0),
    ],
)  # fmt: skip
def test_formats_are_told_by_content_and_decoded(suffix, kind, error):
    raw = encoded(suffix)
    assert picture_format(raw[:16]) == kind
    assert is_picture("no_suffix", raw[:16])
    found = decode(raw, "here")
    assert found.shape == PICTURE.shape
    assert np.abs(found.astype(int) - PICTURE).mean() <= error
    assert decode(raw, "here", colour=False).shape == (64, 80)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".tiff", ".bmp", ".avif"])
def test_a_cut_picture_is_broken_not_half_grey(suffix):
    raw = encoded(suffix)
    with pytest.raises(UserError, match="here: a broken"):
        decode(raw[: len(raw) * 6 // 10], "here")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "found an empty file"),
        (b"<html>", "found no picture's content; expected one of JPEG, PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "found HEIC"),
        (b"#?RADIANCE\n", "found Radiance HDR"),
    ],
)
def test_what_is_no_picture_that_opencv_decodes(raw, message):
    with pytest.raises(UserError, match=message):
        decode(raw, "here")


def test_text_is_no_picture_whatever_it_begins_with():
    for text in (
        b"BMW is a car, and more text",
        b"P5ort is a letter",
        b"GIF is a format",
        b"RIFFs",
    ):
        assert not is_picture("notes.txt", text)
    assert is_picture("notes.JPG", b"text")  # meant as one, so it is a broken one


def test_a_broken_picture_prints_nothing(tmp_path):
    """libjpeg and libpng complain on stderr themselves."""
    (tmp_path / "x.jpg").write_bytes(encoded(".jpg")[:900])
    code = (
        "import sys, pathlib\n"
        "from nas.common.images import read_picture\n"
        "try:\n    read_picture(pathlib.Path(sys.argv[1]))\n"
        "except ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.jpg")], capture_output=True, text=True
    )
    assert "a broken JPEG" in done.stdout
    assert done.stderr == ""


def test_a_chunk_that_claims_gigabytes_costs_none():
    """OpenCV would take 4 GB and 12 seconds for these 300 bytes."""
    code = (
        "import resource, cv2, numpy as np\n"
        "from nas.common.images import decode\n"
        "raw = bytearray(cv2.imencode('.png', np.zeros((64, 64), np.uint8))[1].tobytes())\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for at in (33, 34):\n"
        "    raw[at] = 255\n"
        "    try:\n        decode(bytes(raw), 'here')\n"
        "    except ValueError as error:\n        print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    *errors, megabytes = done.stdout.splitlines()
    assert len(errors) == 2, done.stderr
    assert all("here: a broken PNG" in error for error in errors)
    assert int(megabytes) < 50


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_stands_upright_as_its_exif_says(kind, colour):
    """Of a phone held upright: the sensor's left is the picture's top."""
    lying = np.zeros((40, 60, 3), np.uint8)
    lying[:, 30:] = 250
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = io.BytesIO()
    Image.fromarray(lying).save(raw, kind, exif=exif)
    found = decode(raw.getvalue(), "here", colour)
    assert found.shape[:2] == (60, 40)
    assert found[:25].max() < 10
    assert found[35:].min() > 240


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_become_8(suffix):
    raw = cv2.imencode(suffix, PICTURE.astype(np.uint16) * 257)[1].tobytes()
    np.testing.assert_array_equal(decode(raw, "here"), PICTURE)


def test_bounds(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(encoded(".png"))
    monkeypatch.setattr("nas.common.images.MAX_SIDE", 79)
    with pytest.raises(UserError, match=r"x\.png: 80x64 pixels; allowed at most 79 a side"):
        read_picture(path)
    monkeypatch.setattr("nas.common.images.MAX_FILE", 100)
    with pytest.raises(UserError, match="larger than 100 bytes"):
        read_picture(path)


def test_names_that_are_no_utf8_are_read(tmp_path):
    """OpenCV's own reader crashes on them."""
    path = tmp_path / "gl\udcfcck"
    path.write_bytes(encoded(".png"))
    np.testing.assert_array_equal(read_picture(path), PICTURE)
