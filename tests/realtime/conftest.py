"""A real ONNX model, and a video and a picture with squares that stand for faces."""

import cv2
import numpy as np
import pytest
import torch
from conftest import SquareDetector, draw_squares

from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.arch.module import build
from nas.data import Dataset
from nas.deploy.export import export_onnx
from nas.realtime.detector import HaarDetector
from nas.training.predict import Subset

TINY = Genome(Input(), 7, (Stage((Conv(6, 5, 4),)), Stage((Conv(12, 3, 2),))), Head())
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
