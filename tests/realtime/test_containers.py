"""Files that end before their contents do."""

import pytest
from clips import index_first, numbered, write_clip

from nas.realtime.containers import missing_bytes


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.webm", "VP80")]
)
def test_a_cut_file_says_how_much_is_missing(tmp_path, name, codec):
    path = write_clip(tmp_path / name, numbered(30), codec=codec)
    assert missing_bytes(path) == 0
    raw = path.read_bytes()
    raw = index_first(raw) if name == "a.mp4" else raw
    path.write_bytes(raw)
    assert missing_bytes(path) == 0
    path.write_bytes(raw[:-1000])
    assert missing_bytes(path) == 1000
    path.write_bytes(raw + b"\0" * 8 if name != "a.mp4" else raw)  # something behind it
    assert missing_bytes(path) == 0


def test_other_files_lack_nothing(tmp_path):
    path = tmp_path / "x"
    for raw in (b"", b"RIFF", b"RIFF\0\0\0\0AVI ", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80",
                b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7, b"\0\0\0\1ftyp",
                b"\0\0\0\0ftyp", b"text" * 100):  # fmt: skip
        path.write_bytes(raw)
        assert missing_bytes(path) == 0, raw
