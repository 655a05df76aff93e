"""The demo on real files: videos, pictures and a real ONNX model; what it must refuse."""

import csv
import json

import cv2
import numpy as np
import pytest
from clips import FakeCamera, index_first, numbered, write_clip
from conftest import draw_squares

from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.arch.onnx import to_onnx
from nas.common.cli import exit_code
from nas.common.resources import SHIPPED_MODEL
from nas.data import CLASSES
from nas.deploy.preprocessing import ModelInfo
from nas.realtime import __main__ as command
from nas.realtime import live
from nas.realtime.recognizer import Recognizer
from nas.realtime.sinks import JsonLines

pytestmark = pytest.mark.slow


def run(*argv):
    return exit_code(command.main, [str(a) for a in argv])


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def frames_of(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames
        frames.append(frame)


def test_a_video_becomes_a_video_and_tables(model, video, tmp_path, squares, capsys):
    out, table, lines = tmp_path / "out.mp4", tmp_path / "faces.csv", tmp_path / "faces.jsonl"
    to = ["--headless", "--out", out, "--csv", table, "--jsonl", lines, "--threshold", "0"]
    assert run("--model", model, "--source", video, *to) == 0
    frames = frames_of(out)
    assert len(frames) == 12
    assert frames[0].shape == (120, 160, 3)
    greenish = (frames[0][..., 1].astype(int) - frames[0][..., 2]) > 60
    assert greenish[20:55, 148:153].any(1).mean() > 0.9  # the right edge of the second box
    rows = read_csv(table)
    assert len(rows) == 24
    for row in rows:
        p = [float(row[name]) for name in CLASSES]
        assert sum(p) == pytest.approx(1, abs=1e-4)
        assert row["label"] in CLASSES
    last = rows[-1]
    assert last["frame"] == "11"
    assert {row["track"] for row in rows} == {"1", "2"}
    assert float(last["timestamp_s"]) == pytest.approx(1.1)
    objects = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [o["frame"] for o in objects] == list(range(12))
    assert [o["timestamp_s"] for o in objects] == pytest.approx([k / 10 for k in range(12)])
    for face, row in zip(objects[-1]["faces"], rows[-2:], strict=True):
        assert (str(face["track"]), face["label"]) == (row["track"], row["label"])
        assert face["box"] == [int(row[side]) for side in "xywh"]
        assert face["probabilities"] == {name: float(row[name]) for name in CLASSES}
    printed = capsys.readouterr().out
    assert "12 frames, 24 faces, 2 tracks" in printed
    assert all(step in printed for step in ("decode", "detect", "classify", "smooth", "draw"))
    assert "label changes a second of a face" in printed


def test_where_there_is_nobody_json_lines_say_so(model, video, tmp_path):
    lines = tmp_path / "faces.jsonl"
    assert run("--model", model, "--source", video, "--headless", "--jsonl", lines) == 0
    assert [json.loads(x)["faces"] for x in lines.read_text().splitlines()] == [[]] * 12


def test_turned_and_shrunk(model, video, tmp_path, squares):
    def boxes(*options):
        table = tmp_path / "faces.csv"
        options = [*options, "--headless", "--csv", table, "--min-face", "15"]
        assert run("--model", model, "--source", video, "--max-frames", "1", *options) == 0
        return sorted([int(row[side]) for side in "xywh"] for row in read_csv(table))

    as_is = boxes()
    mirrored = sorted([160 - x - w, y, w, h] for x, y, w, h in as_is)
    np.testing.assert_allclose(boxes("--mirror"), mirrored, atol=3)
    flipped = sorted([x, 120 - y - h, w, h] for x, y, w, h in as_is)
    np.testing.assert_allclose(boxes("--flip"), flipped, atol=3)
    np.testing.assert_allclose(boxes("--downscale", "2"), np.array(as_is) / 2, atol=3)


def test_a_vanished_camera_leaves_readable_files(model, tmp_path, squares, monkeypatch, capsys):
    """Six frames, then the cable is pulled."""

    pictures = [draw_squares([(20, 30, 60)], (160, 120))] * 6
    camera = FakeCamera(pictures, pause=0.05)  # a camera's pace; nothing gets stale
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(live, "open_camera", lambda where: camera)
    out, table = tmp_path / "out.mp4", tmp_path / "faces.csv"
    assert run("--model", model, "--headless", "--out", out, "--csv", table) == 0
    assert "camera 0: gave no more frames; ended" in capsys.readouterr().err
    rows = read_csv(table)
    assert {row["source"] for row in rows} == {"camera 0"}
    assert len(frames_of(out)) >= 6
    seconds = [float(row["timestamp_s"]) for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[-1] > seconds[0] + 0.1


def test_ctrl_c_leaves_readable_files(model, video, tmp_path, squares, monkeypatch):
    written = []

    def interrupt(self, frame, faces, picture):
        written.append(frame.index)
        if len(written) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(JsonLines, "write", interrupt)
    out, table = tmp_path / "out.mp4", tmp_path / "faces.csv"
    to = ["--headless", "--out", out, "--csv", table, "--jsonl", tmp_path / "faces.jsonl"]
    assert run("--model", model, "--source", video, *to) == 130
    assert len(frames_of(out)) == 4
    assert len(read_csv(table)) == 8


def test_summary_as_json(model, video, squares, capsys):
    argv = ["--model", model, "--source", video, "--headless", "--json", "--max-frames", "5"]
    assert run(*argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["faces"]) == (5, 10)
    steps = found["ms_per_frame"]
    assert set(steps) == {"decode", "detect", "classify", "smooth", "write"}
    assert steps["classify"] > 0
    assert sum(steps.values()) <= 2 * 1000 / found["fps"]  # decoding overlaps the rest


def test_a_picture_and_a_folder(model, picture, tmp_path, squares):
    out = tmp_path / "out.png"
    assert run("--model", model, "--source", picture, "--headless", "--out", out) == 0
    assert not np.array_equal(cv2.imread(str(out)), cv2.imread(str(picture)))
    folder, labelled = tmp_path / "many", tmp_path / "labelled"
    folder.mkdir()
    for name in ("a.jpg", "a.png", "b.png"):  # OpenCV looks at the contents
        (folder / name).write_bytes(picture.read_bytes())
    table = tmp_path / "faces.csv"
    assert (
        run("--model", model, "--source", folder, "--headless", "--out", labelled, "--csv", table)
        == 0
    )
    assert sorted(p.name for p in labelled.iterdir()) == ["a.png", "a.png.png", "b.png"]
    assert [row["source"] for row in read_csv(table)] == [
        "a.jpg", "a.jpg", "a.png", "a.png", "b.png", "b.png",
    ]  # fmt: skip


def test_nobody_there(model, tmp_path, capsys):
    """The real cascade on an empty picture."""
    path, table = tmp_path / "empty.png", tmp_path / "faces.csv"
    cv2.imwrite(str(path), np.full((240, 320, 3), 128, np.uint8))
    assert run("--model", model, "--source", path, "--headless", "--csv", table) == 0
    assert read_csv(table) == []
    assert "empty.png: no faces\n" in capsys.readouterr().out


def test_without_a_model_the_shipped_one_answers(video, squares, tmp_path, monkeypatch, capsys):
    """From any folder: the file is found beside the package."""
    monkeypatch.chdir(tmp_path)
    assert run("--source", video, "--headless", "--json", "--max-frames", "2") == 0
    assert json.loads(capsys.readouterr().out)["faces"] == 4
    card = (SHIPPED_MODEL.parent / "MODEL_CARD.md").read_text()
    assert Recognizer().preprocessing.genome_id in card
    assert Recognizer().classes == CLASSES


def test_a_picture_says_what_it_shows(model, picture, squares, capsys):
    """Printed and as JSON, without a frame rate; --headless alone is enough."""
    assert run("--model", model, "--source", picture, "--headless", "--threshold", "0") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "in.png: 2 faces"
    assert lines[1].startswith("  ")
    assert lines[1].split()[0] in CLASSES
    assert "60x60 pixels at 20, 30" in lines[1]
    assert run("--model", model, "--source", picture, "--headless", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ms_per_frame"]["decode"] > 0.02  # it was 0.0: read when opened
    assert not {"fps", "median_fps", "p99_ms", "tracks"} & set(found)
    ((source, faces),) = [(p["source"], p["faces"]) for p in found["pictures"]]
    assert source == "in.png"
    assert [face["box"] for face in faces] == [[20, 30, 60, 60], [100, 10, 50, 50]]
    assert sum(faces[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_a_model_of_other_data_works_and_says_what_it_is_shown(tmp_path, picture, squares, capsys):
    """Two classes, colour, not square."""
    genome = Genome(Input(3, 32, 24), 2, (Stage((Conv(4, 3, 2),)),), Head())
    metadata = ModelInfo(3, 32, 24, ("cat", "dog"), training_data="pets").to_metadata()
    path = tmp_path / "pets.onnx"
    path.write_bytes(to_onnx(genome, metadata=metadata).SerializeToString())
    argv = ["--model", path, "--source", picture, "--headless", "--json"]
    assert run(*argv) == 0
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert "tells apart cat, dog (data: pets); this demo finds faces" in line
    (found,) = json.loads(printed.out)["pictures"]
    assert set(found["faces"][0]["probabilities"]) == {"cat", "dog"}


def test_uncertain_stands_in_every_output(model, picture, tmp_path, squares, capsys):
    table, lines = tmp_path / "faces.csv", tmp_path / "faces.jsonl"
    to = ["--headless", "--csv", table, "--jsonl", lines, "--threshold", "1"]
    assert run("--model", model, "--source", picture, *to) == 0
    first = capsys.readouterr().out.splitlines()[1]
    assert first.startswith("  uncertain ")
    assert "leads)" in first
    assert [row["label"] for row in read_csv(table)] == ["uncertain"] * 2
    (line,) = [json.loads(text) for text in lines.read_text().splitlines()]
    assert [face["label"] for face in line["faces"]] == ["uncertain"] * 2


def test_one_file_for_many_pictures_is_refused(model, picture, tmp_path, capsys):
    (tmp_path / "b.png").write_bytes(picture.read_bytes())
    argv = ["--model", model, "--source", tmp_path, "--headless", "--out", tmp_path / "one.png"]
    assert run(*argv) == 2
    assert "one.png: one file for 2 pictures; expected a folder" in capsys.readouterr().err
    assert not (tmp_path / "one.png").exists()


def test_a_broken_picture_among_others_ends_with_1(model, picture, tmp_path, squares, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "z.png"):
        (folder / name).write_bytes(picture.read_bytes())
    (folder / "m.png").write_bytes(picture.read_bytes()[:100])
    argv = ["--model", model, "--source", folder, "--headless", "--out", out, "--json"]
    assert run(*argv) == 1
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert [p["source"] for p in found["pictures"]] == ["a.png", "z.png"]
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "z.png"]
    (line,) = printed.err.splitlines()
    assert "m.png: a broken PNG" in line
    assert [line] == found["problems"]


def test_a_cut_video_ends_with_1(model, video, tmp_path, squares, capsys):
    video.write_bytes(index_first(video.read_bytes())[:-1200])
    argv = ["--model", model, "--source", video, "--headless", "--out", tmp_path / "out.mkv"]
    assert run(*argv) == 1
    printed = capsys.readouterr()
    assert "in.mp4: the file is cut short, 1,200 bytes are missing" in printed.err
    count = len(frames_of(tmp_path / "out.mkv"))
    assert 0 < count < 12
    assert f"{count} frames" in printed.out


def test_an_odd_frame_rate_is_annotated(model, tmp_path, squares):
    """119.953 is 119953 / 1000, more than MPEG-4 counts."""
    clip = write_clip(tmp_path / "fast.avi", numbered(24), 119.953, "MJPG")
    for suffix in (".mp4", ".mkv", ".avi"):
        out = tmp_path / f"out{suffix}"
        assert run("--model", model, "--source", clip, "--headless", "--out", out) == 0
        assert len(frames_of(out)) == 24


def test_what_is_refused(model, video, picture, tmp_path, monkeypatch, capsys):
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:60])
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    ours = ["--model", model, "--headless", "--json"]
    cases = [
        ([*ours, "--model", tmp_path / "no.onnx", "--source", video], "no such file"),
        ([*ours, "--model", text, "--source", video], "not a readable ONNX model"),
        ([*ours, "--source", "63"], "camera 63: cannot be opened"),
        ([*ours, "--source", tmp_path / "no.mp4"], "no such file or folder"),
        ([*ours, "--source", text], "not a readable video"),
        ([*ours, "--source", broken], "broken.png: a broken PNG"),
        ([*ours, "--source", empty], "no pictures in this folder"),
        ([*ours, "--source", video, "--out", tmp_path / "out.gif"], "expected a video ending in"),
        ([*ours, "--source", video, "--out", video], "is the input"),
        ([*ours, "--source", video, "--csv", empty], "cannot write"),
        ([*ours, "--source", video, "--margin", "9"], "--margin: must be in"),
        ([*ours, "--source", video, "--threshold", "nan"], "--threshold: must be finite"),
        ([*ours, "--source", video, "--downscale", "0"], "--downscale: must be in"),
        ([*ours, "--source", video, "--min-face", "-4"], "--min-face: must be in"),
        ([*ours, "--source", video, "--detector", "har"], "unknown detector 'har'"),
        ([*ours, "--source", video, "--detector", "yunet"], "--detector-model: missing"),
        ([*ours, "--source", video, "--detector-model", text], "haar-alt2 takes none"),
        ([*ours, "--source", video, "--detector", "yunet", "--detector-model", text],
         "not a YuNet model"),
        ([*ours, "--source", video, "--precision", "int8"], "no such model file"),
        ([*ours, "--source", "http://127.0.0.1:9/a"], "http://127.0.0.1:9/a: cannot be opened"),
        (["--model", model, "--source", video, "--headless"], "nothing would be left"),
        (["--model", model, "--source", video], "no display"),
        (["--model", model, "--source", "nope.jpg"], "no such file or folder as 'nope.jpg'"),
        (["--model", tmp_path / "no.onnx", "--source", "nope.jpg"], "no.onnx': no such file"),
    ]  # fmt: skip
    for argv, message in cases:
        assert run(*argv) == 2, argv
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert message in lines[0], (message, lines)


def test_the_page_refuses_what_it_does_not_use(tmp_path, capsys):
    for option in (("--csv", tmp_path / "x.csv"), ("--source", "clip.mp4")):
        assert run("--web", "0", *option) == 2
        assert f"{option[0]}: not with --web, which takes --model" in capsys.readouterr().err
