"""A real ONNX model, and a video and a picture with squares that stand for faces."""

import cv2
import pytest
from clips import write_clip
from conftest import TINY, SquareDetector, draw_squares, shaken

from nas.data import Dataset
from nas.deploy.export import export_onnx
from nas.realtime.detector import HaarDetector
from nas.training.predict import Subset

SQUARES = [(20, 30, 60), (100, 10, 50)]


@pytest.fixture(scope="module")
def model(tmp_path_factory, faces: Dataset):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export_onnx(TINY, shaken(TINY), faces, Subset.of(faces, "validation"), path)
    return path


@pytest.fixture
def squares(monkeypatch):
    """Drawn faces do not set off the cascade; bright squares stand for them."""
    monkeypatch.setattr(HaarDetector, "__call__", SquareDetector.__call__)


@pytest.fixture
def video(tmp_path):
    return write_clip(tmp_path / "in.mp4", [draw_squares(SQUARES, (160, 120))] * 12, fps=10)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in.png"
    cv2.imwrite(str(path), draw_squares(SQUARES, (160, 120)))
    return path
