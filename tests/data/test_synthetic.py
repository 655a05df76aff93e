from __future__ import annotations

import numpy as np
import pytest

from nas.common.errors import UserError
from nas.data import CLASSES, duplicate_report, open_dataset
from nas.data.dataset import check
from nas.data.synthetic import EXPRESSIONS, UNITS, draw_face, synthetic_faces

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(140, 14, 21, seed=3)


def test_shapes_and_balance(faces):
    check(faces, "faces")
    assert faces.images.shape == (175, 1, 48, 48)
    assert faces.classes == CLASSES
    assert faces.provenance["synthetic"] is True
    for counts, each in zip(faces.counts().values(), (20, 2, 3), strict=True):
        assert set(counts.values()) == {each}


def test_seed_decides_every_pixel(faces):
    assert synthetic_faces(140, 14, 21, seed=3).fingerprint == faces.fingerprint
    assert synthetic_faces(140, 14, 21, seed=4).fingerprint != faces.fingerprint


def test_no_face_is_repeated_or_blank(faces):
    report = duplicate_report(faces)
    assert report["distinct"] == 175
    assert report["copies_in_train"] == {"validation": 0, "test": 0}
    assert faces.images.reshape(175, -1).std(axis=1).min() > 2


def test_expressions_are_complete():
    assert tuple(EXPRESSIONS) == CLASSES
    assert all(len(v) == len(UNITS) for variants in EXPRESSIONS.values() for v in variants)


def test_expression_changes_the_picture_of_one_identity():
    """The same random numbers but another expression: only the expression moves."""
    means = {
        name: np.mean([draw_face(name, np.random.default_rng(k)) for k in range(30)], axis=0)
        for name in ("sad", "surprise")
    }
    difference = np.abs(means["sad"] - means["surprise"])
    assert difference[28:44, 14:34].max() > 10  # mouth
    assert difference[:6, :6].max() < 10  # corner of the background


def test_a_simple_model_beats_chance():
    """7 classes, chance 14%. Brightness is removed; one shrunken class mean each."""
    data = synthetic_faces(560, 140, 7)
    flat = data.images.reshape(len(data), -1).astype(np.float64)
    flat = (flat - flat.mean(axis=1, keepdims=True)) / flat.std(axis=1, keepdims=True)
    train, rest = data.indices("train"), data.indices("validation")
    means = np.stack([flat[train][data.labels[train] == k].mean(axis=0) for k in range(7)])
    found = (flat[rest] @ means.T - (means**2).sum(axis=1) / 2).argmax(axis=1)
    assert 0.17 < (found == data.labels[rest]).mean() < 0.6


@pytest.mark.parametrize("sizes", [(0, 10, 10), (10, 10, 6), (10, -1, 10), (10**6, 10, 10)])
def test_bad_sizes(sizes):
    with pytest.raises(UserError, match="expected 7 or more"):
        synthetic_faces(*sizes)


def test_it_is_the_default(monkeypatch, faces):
    monkeypatch.setattr("nas.data.sources.drawn_faces", lambda: faces)
    assert open_dataset(None) is faces
    assert open_dataset("synthetic") is faces
