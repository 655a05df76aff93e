from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import pytest
from drawn import ROWS, csv_text, make, pack, write_images

import nas.data.__main__ as command
from nas.common.cli import exit_code
from nas.data import open_dataset


def run(*argv):
    return exit_code(command.main, [str(a) for a in argv])


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pack(tmp_path / "a.csv", csv_text(ROWS))
    assert run("prepare", "fer2013", "--from", "a.csv", "--allow-counts", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["path"] == "data/fer2013.npz"
    assert printed["duplicates"]["constant"] == 3
    assert printed["counts"]["train"]["angry"] == 1
    assert open_dataset("fer2013").counts() == printed["counts"]

    assert run("info", "fer2013") == 0
    shown = capsys.readouterr().out
    assert printed["fingerprint"] in shown
    assert "PublicTest" not in shown

    assert run("preview", "fer2013", "--out", "sheets/a.png") == 0
    assert cv2.imread("sheets/a.png").shape == (7 * (16 + 48), 16 * 48, 3)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("prepare", "fer2013", "--from", "missing.csv"), "missing.csv: no such file"),
        (("prepare", "synthetic", "--from", "x"), "choose another name"),
        (("prepare", "../x", "--from", "x"), "expected letters"),
        (("prepare", "jaffe", "--download"), "only fer2013 and ferplus can be downloaded"),
        (("info", "nothing"), "data 'nothing': no prepared data set of this name in "),
        (("preview", "nothing", "--out", "x.png"), "no folder or .zip "),
    ],
)
def test_user_errors_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    assert run(*argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert message in err


def test_download_without_kagglehub_and_when_it_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert run("prepare", "fer2013", "--download") == 2
    assert "kagglehub is not installed" in capsys.readouterr().err

    class Offline:
        @staticmethod
        def dataset_download(name):
            raise RuntimeError("no network\nat all")

    monkeypatch.setitem(sys.modules, "kagglehub", Offline)
    assert run("prepare", "fer2013", "--download") == 2
    err = capsys.readouterr().err
    assert "no network at all; fetch it" in err
    assert err.count("\n") == 1


def test_prepare_says_what_was_taken_and_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("Ash", "oak"):
        write_images(tmp_path / "leaves" / name, [f"{i}.png" for i in range(20)])
    (tmp_path / "leaves" / "oak" / "broken.jpg").write_bytes(b"")
    (tmp_path / "leaves" / "oak" / "notes.txt").write_text("hello")
    prepare = ("prepare", "leaves", "--from", "leaves")
    assert run(*prepare) == 2
    err = capsys.readouterr().err
    assert "1 of 41 pictures cannot be read" in err
    assert "prepare NAME --from leaves --skip-broken leaves them out; then --data NAME" in err
    assert run(*prepare, "--skip-broken", "--size", "16", "--colour") == 0
    out, err = capsys.readouterr()
    assert "images: 40 of 3x16x16 (channels x height x width)" in out
    assert out.endswith(
        "taken: 40 pictures\nleft out: 1 no picture (oak/notes.txt); 1 broken (oak/broken.jpg)\n"
    )
    assert "left out: oak/broken.jpg: found an empty file" in err
    assert run("info", "leaves", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["classes"], found["channels"], found["height"]) == (["ash", "oak"], 3, 16)
    assert found["provenance"]["intake"]["taken"] == 40


def test_prepare_says_what_it_replaces(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("ash", "oak"):
        write_images(tmp_path / "leaves" / name, [f"{i}.png" for i in range(20)])
    prepare = ("prepare", "leaves", "--from", "leaves", "--size", "16")
    assert run(*prepare, "--colour") == 0
    assert run(*prepare, "--colour") == 0  # the same again
    assert "replaced" not in capsys.readouterr().err
    write_images(tmp_path / "leaves" / "elm", [f"{i}.png" for i in range(20)])
    assert run(*prepare, "--no-colour") == 0
    assert (
        "data/leaves.npz: replaced 40 images of 3x16x16, classes 'ash', 'oak' by 60 images of "
        "1x16x16, classes 'ash', 'elm', 'oak'\n"
    ) in capsys.readouterr().err
    (tmp_path / "data/leaves.npz").write_bytes(b"no data set")
    assert run(*prepare) == 0
    assert "replaced: data/leaves.npz: not an intact .npz file" in capsys.readouterr().err


def test_fer2013_takes_no_size_or_colour(tmp_path, capsys):
    path = pack(tmp_path / "a.csv", csv_text(ROWS))
    assert run("prepare", "fer2013", "--from", path, "--size", "64") == 2
    assert "fer2013: is 48x48 and grey" in capsys.readouterr().err


ESCAPE = "\x1b[2J\u202e"
DEEP = {"a": 1}
for _ in range(400):
    DEEP = {"a": [DEEP]}


@pytest.mark.parametrize(
    ("provenance", "code"),
    [
        ({ESCAPE: ESCAPE, "x": {ESCAPE: [ESCAPE]}}, 0),
        ({"intake": {"taken": 1, "left_out": [], "notes": [ESCAPE]}}, 0),
        ({"intake": {"taken": "1"}}, 2),
        ({"intake": {"taken": 1, "left_out": [{"reason": "x", "files": 1, "first": [7]}]}}, 2),
        ({"intake": []}, 2),
        (DEEP, 2),
    ],
)
def test_a_file_of_others_neither_steers_the_terminal_nor_breaks_info(
    tmp_path, capsys, provenance, code
):
    path = tmp_path / "x.npz"
    data = make()
    meta = {"name": "x", "classes": list(data.classes), "provenance": provenance}
    arrays = {"images": data.images, "labels": data.labels, "split": data.split}
    np.savez(path, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    assert run("info", path) == code
    out, err = capsys.readouterr()
    assert not set("\x1b\u202e") & set(out + err)
    assert err.count("\n") == (code == 2)
