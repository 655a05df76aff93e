"""The demo on real files: videos, pictures and a real ONNX model; what it must refuse."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from nas.data import CLASSES, Dataset
from nas.errors import exit_code
from nas.exporting import export_onnx
from nas.genome import Conv, Genome, Head, Input, Stage
from nas.model import build
from nas.predict import Part
from nas.realtime import DEFAULT_MODEL
from nas.realtime import __main__ as command
from nas.realtime.detector import HaarDetector, crop_face
from nas.realtime.draw import annotate
from nas.realtime.recognizer import Face, Recognizer, softmax

TINY = Genome(Input(), 7, (Stage((Conv(6, 5, 4),)), Stage((Conv(12, 3, 2),))), Head())
BOXES = [(20, 30, 60, 60), (100, 10, 50, 50)]


@pytest.fixture(scope="module")
def model(tmp_path_factory, faces: Dataset):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    images, labels = torch.tensor(faces.images), torch.tensor(faces.labels.astype(np.int64))
    export_onnx(TINY, build(TINY).eval(), faces, Part(images, labels, torch.arange(8)), path)
    return path


@pytest.fixture
def fixed_boxes(monkeypatch):
    """Drawn faces do not set off the cascade; the boxes are given instead."""
    monkeypatch.setattr(HaarDetector, "__call__", lambda self, grey: list(BOXES))


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "in.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 120))
    rng = np.random.default_rng(0)
    base = cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (160, 120))
    for k in range(12):
        writer.write(np.roll(base, 3 * k, 1))
    writer.release()
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in.png"
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (160, 120)))
    return path


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


def test_a_video_becomes_a_video_and_a_table(model, video, tmp_path, fixed_boxes, capsys):
    out, table = tmp_path / "out.mp4", tmp_path / "faces.csv"
    assert run("--model", model, "--source", video, "--headless", "--out", out, "--csv", table) == 0
    frames = frames_of(out)
    assert len(frames) == 12
    assert frames[0].shape == (120, 160, 3)
    greenish = (frames[0][..., 1].astype(int) - frames[0][..., 2]) > 60
    assert greenish[20:55, 149:152].mean() > 0.5  # the right edge of the second box
    rows = read_csv(table)
    assert len(rows) == 24
    for row in rows:
        p = [float(row[name]) for name in CLASSES]
        assert sum(p) == pytest.approx(1, abs=1e-4)
        assert row["label"] == CLASSES[int(np.argmax(p))]
    last = rows[-1]
    assert (last["frame"], last["face"], last["x"], last["w"]) == ("11", "1", "100", "50")
    assert float(last["timestamp_s"]) == pytest.approx(1.1)
    printed = capsys.readouterr().out
    assert "12 frames, 24 faces" in printed
    assert all(step in printed for step in ("detect", "classify", "draw"))


def test_summary_as_json(model, video, fixed_boxes, capsys):
    argv = ["--model", model, "--source", video, "--headless", "--json", "--max-frames", "5"]
    assert run(*argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["faces"]) == (5, 10)
    assert found["ms_per_frame"]["detect"] >= 0
    assert found["ms_per_frame"]["classify"] > 0


def test_a_picture_and_a_folder(model, picture, tmp_path, fixed_boxes):
    out = tmp_path / "out.png"
    assert run("--model", model, "--source", picture, "--headless", "--out", out) == 0
    assert not np.array_equal(cv2.imread(str(out)), cv2.imread(str(picture)))
    folder, labelled = tmp_path / "many", tmp_path / "labelled"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(picture.read_bytes())
    table = tmp_path / "faces.csv"
    assert (
        run("--model", model, "--source", folder, "--headless", "--out", labelled, "--csv", table)
        == 0
    )
    assert sorted(p.name for p in labelled.iterdir()) == ["a.png", "b.png"]
    assert [row["source"] for row in read_csv(table)] == ["a.png", "a.png", "b.png", "b.png"]


def test_nobody_there(model, tmp_path, capsys):
    """The real cascade on an empty picture."""
    path, table = tmp_path / "empty.png", tmp_path / "faces.csv"
    cv2.imwrite(str(path), np.full((240, 320, 3), 128, np.uint8))
    assert run("--model", model, "--source", path, "--headless", "--csv", table) == 0
    assert read_csv(table) == []
    assert "0 faces" in capsys.readouterr().out


def test_a_face_is_what_the_model_says_of_its_crop(model, picture):
    frame = cv2.imread(str(picture))
    recognizer = Recognizer(model, detector=lambda grey: list(BOXES))
    together = recognizer(frame)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    p = recognizer.preprocessing
    for box, face in zip(BOXES, together, strict=True):
        crop = p.normalise(crop_face(grey, box, 0.0, 48, 48)[None, None])
        row = softmax(recognizer.session.run(None, {"image": crop})[0])[0]
        np.testing.assert_allclose(face.probabilities, row, atol=1e-6)
        (alone,) = Recognizer(model, detector=lambda grey, box=box: [box])(frame)
        np.testing.assert_allclose(alone.probabilities, face.probabilities, atol=1e-5)
    assert together[0].probabilities != together[1].probabilities


def test_crops():
    grey = np.arange(100 * 100, dtype=np.int64).reshape(100, 100) % 251
    grey = grey.astype(np.uint8)
    np.testing.assert_array_equal(crop_face(grey, (10, 20, 48, 48), 0, 48, 48), grey[20:68, 10:58])
    with_margin = crop_face(grey, (20, 30, 40, 40), 0.1, 48, 48)
    np.testing.assert_array_equal(with_margin, grey[26:74, 16:64])
    edge = crop_face(grey, (-10, -10, 48, 48), 0, 48, 48)
    np.testing.assert_array_equal(edge[10:, 10:], grey[:38, :38])
    assert (edge[:10, 10:] == grey[0, :38]).all()  # the border is repeated
    assert crop_face(grey, (99, 99, 1, 1), 0, 48, 48).shape == (48, 48)


def test_drawing_copes_with_the_edges():
    frame = np.zeros((60, 80, 3), np.uint8)
    p = (0.9, *[0.1 / 6] * 6)
    faces = [Face(box, CLASSES[0], p) for box in ((0, 0, 80, 60), (70, 50, 40, 40), (-5, -5, 9, 9))]
    out = annotate(frame, faces, CLASSES)
    assert out.shape == frame.shape
    assert out.any()
    assert not frame.any()


def test_without_a_model_the_shipped_one_answers(video, fixed_boxes, tmp_path, monkeypatch, capsys):
    """From any folder: the file is found beside the package."""
    monkeypatch.chdir(tmp_path)
    assert run("--source", video, "--headless", "--json", "--max-frames", "2") == 0
    assert json.loads(capsys.readouterr().out)["faces"] == 4
    card = (DEFAULT_MODEL.parent / "MODEL_CARD.md").read_text()
    assert Recognizer().preprocessing.genome_id in card
    assert Recognizer().classes == CLASSES


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
        ([*ours, "--model", tmp_path / "no.onnx", "--source", video], "no such model file"),
        ([*ours, "--model", text, "--source", video], "not a readable ONNX model"),
        ([*ours, "--source", "63"], "camera 63: cannot be opened"),
        ([*ours, "--source", tmp_path / "no.mp4"], "no such file or folder"),
        ([*ours, "--source", text], "not a readable video"),
        ([*ours, "--source", broken], "not a readable picture"),
        ([*ours, "--source", empty], "no pictures in this folder"),
        ([*ours, "--source", video, "--out", tmp_path / "out.gif"], "expected a video ending in"),
        ([*ours, "--source", video, "--out", video], "is the input"),
        ([*ours, "--source", video, "--csv", empty], "cannot write"),
        ([*ours, "--source", video, "--margin", "9"], "--margin: must be in"),
        (["--model", model, "--source", video, "--headless"], "nothing would be left"),
        (["--model", model, "--source", video], "no display"),
    ]  # fmt: skip
    for argv, message in cases:
        assert run(*argv) == 2, argv
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert message in lines[0], (message, lines)
