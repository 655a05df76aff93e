"""The demo on real files: videos, pictures and a real ONNX model; what it must refuse."""

import csv
import json
import time

import cv2
import numpy as np
import pytest
import torch
from conftest import SquareDetector, draw_squares
from onnx import TensorProto, helper, numpy_helper

from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.arch.module import build
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.resources import SHIPPED_MODEL
from nas.data import CLASSES, Dataset
from nas.deploy.export import export_onnx
from nas.realtime import __main__ as command
from nas.realtime import pipeline, sources
from nas.realtime import recognizer as recognizer_module
from nas.realtime.crop import crop_face
from nas.realtime.detector import HaarDetector, make_detector
from nas.realtime.draw import annotate
from nas.realtime.recognizer import Face, Recognizer, softmax
from nas.realtime.sinks import JsonLines
from nas.realtime.smoothing import UNCERTAIN
from nas.realtime.window import Window
from nas.training.predict import Subset

TINY = Genome(Input(), 7, (Stage((Conv(6, 5, 4),)), Stage((Conv(12, 3, 2),))), Head())
BOXES = [(20, 30, 60, 60), (100, 10, 50, 50)]
SQUARES = [(20, 30, 60), (100, 10, 50)]


@pytest.fixture(scope="module")
def model(tmp_path_factory, faces: Dataset):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    images, labels = torch.tensor(faces.images), torch.tensor(faces.labels.astype(np.int64))
    export_onnx(TINY, build(TINY).eval(), faces, Subset(images, labels, torch.arange(8)), path)
    return path


@pytest.fixture
def squares(monkeypatch):
    """Drawn faces do not set off the cascade; bright squares stand for them."""
    monkeypatch.setattr(HaarDetector, "__call__", SquareDetector.__call__)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "in.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 120))
    for _ in range(12):
        writer.write(draw_squares(SQUARES, (160, 120)))
    writer.release()
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in.png"
    cv2.imwrite(str(path), draw_squares(SQUARES, (160, 120)))
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


def test_a_video_becomes_a_video_and_tables(model, video, tmp_path, squares, capsys):
    out, table, lines = tmp_path / "out.mp4", tmp_path / "faces.csv", tmp_path / "faces.jsonl"
    to = ["--headless", "--out", out, "--csv", table, "--jsonl", lines, "--threshold", "0"]
    assert run("--model", model, "--source", video, *to) == 0
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
        assert row["label"] in CLASSES
    last = rows[-1]
    assert last["frame"] == "11"
    assert {row["track"] for row in rows} == {"1", "2"}
    assert float(last["timestamp_s"]) == pytest.approx(1.1)
    objects = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [o["frame"] for o in objects] == list(range(12))
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

    class Camera:
        frames = 6

        def isOpened(self):  # noqa: N802 - OpenCV's name
            return self.frames > 0

        def get(self, what):
            return {cv2.CAP_PROP_FRAME_WIDTH: 160.0, cv2.CAP_PROP_FRAME_HEIGHT: 120.0}.get(what, 0)

        def read(self):
            time.sleep(0.05)  # a camera's pace; nothing gets stale
            self.frames -= 1
            return self.frames >= 0, draw_squares(SQUARES, (160, 120))

        def release(self):
            pass

    camera = Camera()
    monkeypatch.setattr(sources, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(sources, "_capture", lambda where: camera)
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
    assert found["ms_per_frame"]["detect"] >= 0
    assert found["ms_per_frame"]["classify"] > 0


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
    assert "0 faces" in capsys.readouterr().out


def test_a_face_is_what_the_model_says_of_its_crop(model, picture):
    frame = cv2.imread(str(picture))
    recognizer = Recognizer(model, detector=lambda grey, smallest: list(BOXES), threshold=0.0)
    together = recognizer(frame)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    p = recognizer.preprocessing
    for box, face in zip(BOXES, together, strict=True):
        crop = p.normalise(crop_face(grey, box, 0.0, 48, 48)[None, None])
        row = softmax(recognizer.session.run(None, {"image": crop})[0])[0]
        np.testing.assert_allclose(face.probabilities, row, atol=1e-6)
        (alone,) = Recognizer(model, detector=lambda grey, smallest, box=box: [box])(frame)
        assert alone.label == CLASSES[int(row.argmax())] or alone.label == UNCERTAIN
        assert face.label == CLASSES[int(row.argmax())]
        assert face.track is None
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


def test_without_a_model_the_shipped_one_answers(video, squares, tmp_path, monkeypatch, capsys):
    """From any folder: the file is found beside the package."""
    monkeypatch.chdir(tmp_path)
    assert run("--source", video, "--headless", "--json", "--max-frames", "2") == 0
    assert json.loads(capsys.readouterr().out)["faces"] == 4
    card = (SHIPPED_MODEL.parent / "MODEL_CARD.md").read_text()
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
        ([*ours, "--source", video, "--threshold", "nan"], "--threshold: must be in"),
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
    ]  # fmt: skip
    for argv, message in cases:
        assert run(*argv) == 2, argv
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert message in lines[0], (message, lines)


def test_a_stream_through_python(model):
    """Ids, smoothing, a grey frame; two streams of one recognizer know nothing of each other."""
    recognizer = Recognizer(model, detector=SquareDetector())
    stream, other = recognizer.stream(), recognizer.stream()
    for k in range(5):
        faces = stream(draw_squares([(20 + 3 * k, 30, 60)], (160, 120)), seconds=k / 30)
        assert [face.track for face in faces] == [1]
    grey = cv2.cvtColor(draw_squares(SQUARES, (160, 120)), cv2.COLOR_BGR2GRAY)
    assert [face.track for face in other(grey)] == [1, 2]
    assert sum(other(grey)[0].probabilities) == pytest.approx(1)
    with pytest.raises(ValueError, match="expected uint8"):
        stream(np.zeros((4, 4, 3), np.float32))


def test_a_faster_int8_file_beside_is_used_and_a_foreign_one_refused(model, tmp_path, monkeypatch):
    """Speed is decided by a clock; here the clock is given."""
    fp32, int8 = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    fp32.write_bytes(model.read_bytes())
    assert Recognizer(fp32).model == fp32
    int8.write_bytes(model.read_bytes())
    for times, chosen in (((1.0, 2.0), int8), ((2.0, 1.0), fp32)):
        given = iter(times)
        monkeypatch.setattr(recognizer_module, "_milliseconds", lambda *_: next(given))  # noqa: B023
        assert Recognizer(fp32).model == chosen
    assert Recognizer(fp32, precision="fp32").model == fp32
    assert Recognizer(fp32, precision="int8").model == int8
    int8.write_bytes(SHIPPED_MODEL.read_bytes())
    with pytest.raises(UserError, match="is of another network"):
        Recognizer(fp32)


def test_a_window_shows_marks_and_saves_snapshots(model, video, tmp_path, squares, monkeypatch):
    """OpenCV's window is the one part that a machine without a display cannot have."""
    shown, keys = [], iter(["", "s", "", "q"])

    class Preselection(Window):
        def __init__(self):
            self.snapshots = tmp_path / "shots"

        def show(self, picture, wait_ms):
            shown.append((picture, wait_ms))
            return next(keys)

        def close(self):
            shown.append("closed")

    source = sources.open_source(str(video))
    recognizer = Recognizer(model)
    summary = pipeline.run(source, recognizer, sinks=[], window=Preselection(), recording=True)
    assert summary.frames == 4
    assert shown[-1] == "closed"
    picture, wait_ms = shown[2]
    red = (picture[..., 2].astype(int) - picture[..., 1]) > 100
    assert red[30:50, 70:160].sum() > 50  # the recording mark
    assert 1 <= wait_ms <= 100  # a file plays at its own pace
    assert [path.name for path in (tmp_path / "shots").iterdir()] == ["in_000001.png"]


def test_yunet_from_a_file_of_the_users(tmp_path):
    """A network with YuNet's outputs that sees one face, always at the same place."""
    path = tmp_path / "yunet.onnx"
    path.write_bytes(_yunet(x=10, y=6, size=np.log(6)).SerializeToString())
    detector = make_detector("yunet", str(path))
    (box,) = detector(np.zeros((160, 160), np.uint8), 20)
    assert box == (8 * 10 - 24, 8 * 6 - 24, 48, 48)
    assert detector(np.zeros((160, 160), np.uint8), 60) == []


def _yunet(x, y, size, side=160):
    """Strides 8, 16, 32: class and object scores, box as centre offset and log size, landmarks."""
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    outputs, values = [], [zero]
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            cells = (side // stride) ** 2
            value = np.zeros((1, cells, width), np.float32)
            if stride == 8:
                value[0, y * (side // 8) + x] = [0, 0, size, size] if kind == "bbox" else 1.0
            name = f"{kind}_{stride}"
            values.append(numpy_helper.from_array(value, name + "_value"))
            nodes.append(helper.make_node("Add", [name + "_value", "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])
    graph = helper.make_graph(nodes, "yunet", [image], outputs, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
