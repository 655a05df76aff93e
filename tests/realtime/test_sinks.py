"""Tables: every line at once, whatever the source is called; what a disk does not take."""

import csv
import json
import resource
import signal

import numpy as np
import pytest

from nas.common.errors import UserError
from nas.common.images import write_picture
from nas.realtime.frames import Frame
from nas.realtime.recognizer import Face
from nas.realtime.sinks import Csv, JsonLines, Pictures

PIXELS = np.zeros((48, 64, 3), np.uint8)
FACE = Face((1, 2, 30, 30), "=b", (0.25, 0.75), 3)


@pytest.mark.parametrize("sink", [Csv, JsonLines])
def test_a_line_is_there_before_the_file_is_closed(tmp_path, sink):
    table = sink(tmp_path / "new" / "faces", ("a", "=b"))
    table.write(Frame("clip", 7, 0.5, PIXELS), [FACE], PIXELS)
    text = (tmp_path / "new" / "faces").read_text()
    assert text.endswith("\n")
    assert "0.75" in text
    table.close()


def test_names_of_others_do_no_harm(tmp_path):
    """Not UTF-8, and what a spreadsheet would run."""
    name = b"f\xe9te.jpg".decode(errors="surrogateescape")
    table, lines = (
        Csv(tmp_path / "a.csv", ("a", "=b")),
        JsonLines(tmp_path / "a.jsonl", ("a", "=b")),
    )
    for source in (name, "=cmd|x"):
        for sink in (table, lines):
            sink.write(Frame(source, 0, 0.0, PIXELS), [FACE], PIXELS)
    table.close()
    lines.close()
    header, first, second = csv.reader((tmp_path / "a.csv").read_text().splitlines())
    assert header[-2:] == ["a", "'=b"]
    assert (first[0], first[8]) == ("f\\udce9te.jpg", "'=b")
    assert second[0] == "'=cmd|x"
    objects = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [each["source"] for each in objects] == [name, "=cmd|x"]
    assert objects[0]["faces"][0]["label"] == "=b"


def test_a_full_disk_is_an_error(tmp_path):
    lines = JsonLines(tmp_path / "a.jsonl", ("a", "=b"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(UserError, match=r"a\.jsonl: cannot write: File too large"):
            lines.write(Frame("x", 0, 0.0, PIXELS), [FACE], PIXELS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    lines.close()


def test_pictures_go_where_they_should(tmp_path):
    folder = tmp_path / "v1.2"  # a folder with a suffix
    folder.mkdir()
    sink = Pictures(folder, frozenset())
    for source in ("a.jpg", "a.png", "a.png.jpg", "日本.jpg"):
        sink.write(Frame(source, 0, 0.0, PIXELS), [], PIXELS)
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.png", "a.png.jpg.png", "a.png.png", "日本.png",
    ]  # fmt: skip
    with pytest.raises(UserError, match="cannot write"):
        write_picture(folder / "too.jpg", np.zeros((1, 70_000, 3), np.uint8))
