"""Pictures by content, folders with all kinds of files in them."""

import os

import cv2
import numpy as np
import pytest

from nas.common.errors import UserError
from nas.realtime.sources import open_source

LEVEL = 100


def encoded(suffix):
    ok, raw = cv2.imencode(suffix, np.full((48, 64, 3), LEVEL, np.uint8))
    assert ok
    return raw.tobytes()


FILES = {  # what OpenCV writes, under names that say so, say nothing or mislead
    "a.jfif": ".jpg", "b.gif": ".gif", "c.avif": ".avif", "d.jp2": ".jp2", "e.webp": ".webp",
    "f.bmp": ".bmp", "g.tif": ".tiff", "h": ".png", "i.mp4": ".jpg", "j.ppm": ".ppm",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_known_by_its_content(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(encoded(FILES[name]))
    source = open_source(str(path))
    (frame,) = source.frames
    assert source.fps is None
    assert frame.pixels.shape == (48, 64, 3)
    assert abs(int(frame.pixels.mean()) - LEVEL) <= 3


def test_a_moving_gif_is_a_video(tmp_path):
    path = tmp_path / "moving.gif"
    animation = cv2.Animation()
    animation.frames = [np.full((48, 64, 4), 60 * k, np.uint8) for k in range(4)]
    animation.durations = np.array([100, 100, 300, 100])
    assert cv2.imwriteanimation(str(path), animation)
    source = open_source(str(path))
    assert source.fps
    assert [round(frame.seconds, 2) for frame in source.frames] == [0, 0.1, 0.2, 0.5]


def test_a_folder_goes_on_past_a_broken_picture(tmp_path, caplog):
    for name in ("a.jpg", "b.png", "d.webp"):
        (tmp_path / name).write_bytes(encoded(".png"))
    (tmp_path / "c.jpg").write_bytes(encoded(".jpg")[:200])
    (tmp_path / "e.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(encoded(".png"))
    (tmp_path / "deeper").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with caplog.at_level("INFO", "nas"):
        source = open_source(str(tmp_path))
        assert [frame.source for frame in source.frames] == ["a.jpg", "b.png", "d.webp"]
    assert len(source.problems) == 2
    assert "c.jpg: a broken JPEG" in source.problems[0]
    assert "e.heic: found HEIC; expected one of JPEG" in source.problems[1]
    assert "5 pictures; left out: deeper, notes.txt, pipe" in caplog.text
    assert all(problem in caplog.text for problem in source.problems)


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsencode(tmp_path) + b"/f\xe9te.jpg"
    with open(name, "wb") as file:
        file.write(encoded(".jpg"))
    (frame,) = open_source(os.fsdecode(name)).frames
    assert frame.pixels.shape == (48, 64, 3)
    (frame,) = open_source(str(tmp_path)).frames
    assert os.fsencode(frame.source) == b"f\xe9te.jpg"


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(UserError, match="no pictures in this folder; it is empty"):
        open_source(str(tmp_path))
    (tmp_path / "clip.mp4").write_text("text")
    with pytest.raises(UserError, match=r"no pictures in this folder; .*clip\.mp4"):
        open_source(str(tmp_path))
