"""Shared parts: the reference network, the small space, a small data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nas import genome, space
from nas.data import Dataset, save
from nas.model import build
from nas.synthetic import synthetic_faces

ROOT = Path(__file__).parents[1]
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
REFERENCES = sorted((ROOT / "search_spaces/references").glob("*.json"))


@pytest.fixture(scope="session")
def proposed() -> genome.Genome:
    return genome.load(ROOT / "search_spaces/references/proposed.json")[0]


@pytest.fixture(scope="session")
def quick() -> space.SearchSpace:
    return space.load(ROOT / "search_spaces/quick.yaml")


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
