from __future__ import annotations

import json
import sys

import cv2
import pytest
from drawn import ROWS, csv_text, pack

import nas.data.__main__ as command
from nas.common.cli import exit_code
from nas.data import (
    open_dataset,
)


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
    assert open_dataset("fer2013").provenance["counts"] == printed["counts"]

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
        (("info", "nothing"), "no data/nothing.npz"),
        (("preview", "nothing", "--out", "x.png"), "no data/nothing.npz"),
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
