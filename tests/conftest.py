"""Shared parts: the reference network, the small space, a small data set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from nas.arch import genome
from nas.arch.module import build
from nas.data import Dataset, save
from nas.data.synthetic import synthetic_faces
from nas.space import space

ROOT = Path(__file__).parents[1]
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
REFERENCES = sorted((ROOT / "search_spaces/references").glob("*.json"))
TINY = genome.Genome(  # of seven classes
    genome.Input(), 7,
    (genome.Stage((genome.Conv(6, 5, 4),)), genome.Stage((genome.Conv(12, 3, 2),))), genome.Head(),
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever takes a browser is marked so."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def proposed() -> genome.Genome:
    return genome.Genome.load("proposed")


@pytest.fixture(scope="session")
def quick() -> space.SearchSpace:
    return space.SearchSpace.load(ROOT / "search_spaces/quick.yaml")


@pytest.fixture(scope="session")
def faces() -> Dataset:
    return synthetic_faces(210, 70, 70)


@pytest.fixture(scope="session")
def faces_file(faces: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "faces.npz"
    save(faces, path)
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def shaken(genome: genome.Genome, seed: int = 0) -> nn.Module:
    """An untrained model whose batch norm statistics are off their start."""
    torch.manual_seed(seed)
    model = build(genome).train()
    size = genome.input
    with torch.no_grad():
        model(torch.randn(16, size.channels, size.height, size.width))
    return model.eval()


class SquareDetector:
    """Bright squares stand for faces; of two that cross, one hides the other."""

    window = 20

    def __call__(self, grey, smallest, largest=0, look="careful"):
        _, bright = cv2.threshold(grey, 190, 255, cv2.THRESH_BINARY)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        return sorted(
            (int(x), int(y), int(max(w, h)), int(max(w, h)))
            for x, y, w, h, _ in stats[1:]
            if max(w, h) < 1.3 * min(w, h)
            and max(w, h) >= smallest
            and (not largest or max(w, h) <= largest)
        )


def draw_squares(boxes, size=(320, 240), seed=0):
    """A dark BGR frame with a bright textured square in each box (x, y, side)."""
    rng = np.random.default_rng(seed)
    frame = cv2.resize(rng.integers(0, 120, (6, 8, 3), dtype=np.uint8), size)
    for number, (x, y, side) in enumerate(boxes):
        texture = np.random.default_rng(number).integers(205, 256, (6, 6, 1), dtype=np.uint8)
        square = cv2.resize(texture, (side, side), interpolation=cv2.INTER_NEAREST)
        top, left = max(y, 0), max(x, 0)
        part = frame[top : y + side, left : x + side]
        part[:] = square[top - y :, left - x :][: part.shape[0], : part.shape[1], None]
    return frame
