"""Frame in, faces out: what the model says of its crops, ids and steady labels in a stream."""

import dataclasses

import cv2
import numpy as np
import pytest
from conftest import TINY, SquareDetector, draw_squares, shaken
from scipy.special import softmax

from nas.common.errors import UserError
from nas.common.resources import SHIPPED_MODEL
from nas.data import CLASSES
from nas.deploy.checkpoint import TrainedModel
from nas.deploy.export import write_onnx
from nas.realtime.crop import crop_face
from nas.realtime.recognizer import Recognizer
from nas.realtime.smoothing import UNCERTAIN

BOXES = [(20, 30, 60, 60), (100, 10, 50, 50)]
SQUARES = [(20, 30, 60), (100, 10, 50)]


def test_a_face_is_what_the_model_says_of_its_crop(model, picture):
    frame = cv2.imread(str(picture))
    recognizer = Recognizer(model, detector=lambda grey, smallest: list(BOXES), threshold=0.0)
    together = recognizer(frame)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    p = recognizer.preprocessing
    for box, face in zip(BOXES, together, strict=True):
        crop = p.normalise(crop_face(grey, box, 0.0, 48, 48)[None, None])
        row = softmax(recognizer.network.run(crop)[0])
        np.testing.assert_allclose(face.probabilities, row, atol=1e-6)
        (alone,) = Recognizer(model, detector=lambda grey, smallest, box=box: [box])(frame)
        assert alone.label == CLASSES[int(row.argmax())] or alone.label == UNCERTAIN
        assert face.label == CLASSES[int(row.argmax())]
        assert face.track is None
        np.testing.assert_allclose(alone.probabilities, face.probabilities, atol=1e-5)
    assert together[0].probabilities != together[1].probabilities


def test_a_colour_model_sees_blue_green_and_red_of_the_crop(faces, tmp_path):
    """As the data sets have them; of a grey frame each is the grey."""
    genome = dataclasses.replace(TINY, input=dataclasses.replace(TINY.input, channels=3))
    colour = dataclasses.replace(faces, images=faces.images.repeat(3, 1))
    write_onnx(TrainedModel.on(colour, genome, shaken(genome)), tmp_path / "model.onnx")
    recognizer = Recognizer(tmp_path / "model.onnx", detector=lambda *_: [(10, 5, 48, 48)])
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    for picture, planes in ((frame, cv2.split(frame)), (grey, [grey] * 3)):
        crop = np.stack([plane[5:53, 10:58] for plane in planes])
        (face,) = recognizer(picture)
        expected = softmax(recognizer.network(crop[None])[0])
        np.testing.assert_allclose(face.probabilities, expected, atol=1e-6)


@pytest.mark.parametrize(("given", "margin"), [(None, 0.1), (0.0, 0.0), (0.5, 0.5)])
def test_the_margin_is_the_models_own_unless_given(faces, tmp_path, given, margin):
    cut = dataclasses.replace(faces, provenance={"margin": 0.1})
    write_onnx(TrainedModel.on(cut, TINY, shaken(TINY)), tmp_path / "model.onnx")
    box = (40, 30, 60, 60)
    recognizer = Recognizer(tmp_path / "model.onnx", margin=given, detector=lambda *_: [box])
    grey = np.random.default_rng(0).integers(0, 256, (120, 160), dtype=np.uint8)
    expected = softmax(recognizer.network(crop_face(grey, box, margin, 48, 48)[None, None])[0])
    np.testing.assert_allclose(recognizer(grey)[0].probabilities, expected, atol=1e-6)


def test_the_smallest_face_is_asked_of_the_detector(model):
    """In pictures and in streams, where a smaller one is scaled up for the detector."""
    frame = draw_squares([(20, 30, 60), (100, 10, 24)], (320, 240))
    for smallest, count in ((None, 1), (20, 2)):
        recognizer = Recognizer(model, detector=SquareDetector(), smallest=smallest)
        stream = recognizer.stream()
        for _ in range(6):
            found = stream(frame, seconds=0.0)
        assert len(recognizer(frame)) == len(found) == count


def test_a_whole_picture_is_its_central_square(model):
    """Of whatever the network tells apart; the detector is not asked."""
    recognizer = Recognizer(model, detector=None, threshold=0.0)
    picture = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    found = recognizer.whole(picture)
    assert found.box == (20, 0, 60, 60)
    alone = recognizer.whole(picture[:, 20:80])
    assert (alone.label, alone.probabilities) == (found.label, found.probabilities)
    assert sum(found.probabilities) == pytest.approx(1)


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


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), r"expected uint8 .* got float32 \(4, 4, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), r"got uint8 \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        ("nope.jpg", "expected uint8 pixels .* got 'nope.jpg'; .*read_picture reads a file"),
        (None, "got None"),
    ],
)
def test_what_is_no_frame_is_named(model, frame, message):
    recognizer = Recognizer(model)
    for see in (recognizer, recognizer.stream()):
        with pytest.raises(UserError, match=message):
            see(frame)


def test_a_shipped_model_is_found_by_its_name():
    assert Recognizer("model", precision="fp32").model == SHIPPED_MODEL
    small, best = Recognizer("model", precision="fp32"), Recognizer("best", precision="fp32")
    assert small.network.path.stat().st_size < best.network.path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match=r"no model 'modl': .*did you mean 'model'"):
        Recognizer("modl")
