from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from drawn import write_images

from nas.common.errors import UserError
from nas.data import duplicate_report, prepare_folder
from nas.data.layouts import subject_of


def test_folder_keeps_subjects_apart(tmp_path):
    subjects = [f"S{k:03d}" for k in range(30)]
    for c, name in enumerate(("happy", "sad")):
        files = [f"{s}_00{c}_0000001{i}.png" for s in subjects for i in range(3)]
        write_images(tmp_path / name, files, seed=c)
    data = prepare_folder(tmp_path, "ck", size=16)
    assert data.images.shape == (180, 1, 16, 16)
    assert data.provenance["subjects"] == 30
    order = [f for name in ("happy", "sad") for f in sorted((tmp_path / name).iterdir())]
    of = np.array([subject_of(f.name) for f in order])
    parts = [set(of[data.indices(s)]) for s in ("train", "validation", "test")]
    assert [len(p) for p in parts] == [24, 3, 3]
    assert len(set.union(*parts)) == 30


def test_folder_keeps_copies_together(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / name, [f"{i}.png" for i in range(40)], seed=ord(name))
        for i in range(20):
            copy = (tmp_path / name / f"{i}.png").read_bytes()
            (tmp_path / name / f"{i}_copy.png").write_bytes(copy)
    data = prepare_folder(tmp_path, "own", size=12)
    assert duplicate_report(data)["copies_in_train"] == {"validation": 0, "test": 0}
    assert np.bincount(data.split).tolist() == [96, 12, 12]
    assert prepare_folder(tmp_path, "own", size=12).fingerprint == data.fingerprint


def test_folder_with_splits_given(tmp_path):
    for part, n in (("train", 40), ("test", 6)):
        for name in ("a", "b"):
            write_images(tmp_path / part / name, [f"{i}.png" for i in range(n)])
    data = prepare_folder(tmp_path, "raf")
    assert np.bincount(data.split).tolist() == [72, 8, 12]
    for name in ("a", "b"):
        write_images(tmp_path / "val" / name, ["0.png", "1.png"])
    assert np.bincount(prepare_folder(tmp_path, "raf").split).tolist() == [80, 4, 12]
    write_images(tmp_path / "test" / "c", ["0.png"])
    with pytest.raises(
        UserError, match=r"test/c/0\.png: 'c' is no class of the train part: 'a', 'b'"
    ):
        prepare_folder(tmp_path, "raf")


def test_folder_uses_the_central_square(tmp_path):
    wide = np.zeros((20, 40), np.uint8)
    wide[:, 10:30] = 200
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(6):
            wide[0, 0] = i
            cv2.imwrite(str(tmp_path / name / f"{i}{name}.png"), wide)
            wide[10, 20] -= 4
    assert prepare_folder(tmp_path, "x", size=10).images.min() >= 180


def test_sources_that_cannot_be_prepared(tmp_path):
    with pytest.raises(UserError, match="missing: no such file or folder"):
        prepare_folder(tmp_path / "missing", "x")
    with pytest.raises(UserError, match="found 0 pictures and no class folders"):
        prepare_folder(tmp_path, "x")
    write_images(tmp_path / "a", ["1.png"])
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"pictures of 1 classes \('a'\); expected 2"):
        prepare_folder(tmp_path, "x")
    write_images(tmp_path / "b", ["1.png"])
    with pytest.raises(UserError, match=r"split is empty.*too few"):
        prepare_folder(tmp_path, "x")
    with pytest.raises(UserError, match="size: expected 8 to 1024, got 4"):
        prepare_folder(tmp_path, "x", size=4)


def two_classes(folder, n=30, side=12):
    for name in ("a", "b"):
        write_images(folder / name, [f"{i:02}.png" for i in range(n)], seed=ord(name), side=side)


def test_every_broken_picture_is_named_at_once_or_left_out(tmp_path, caplog):
    two_classes(tmp_path)
    whole = prepare_folder(tmp_path, "x")
    (tmp_path / "a" / "empty.jpg").write_bytes(b"")
    (tmp_path / "a" / "page.png").write_bytes(b"<html>not found</html>")
    (tmp_path / "b" / "cut.png").write_bytes((tmp_path / "b" / "00.png").read_bytes()[:60])
    with pytest.raises(UserError, match="3 of 63 pictures cannot be read") as error:
        prepare_folder(tmp_path, "x")
    for name in (
        "a/empty.jpg: found an empty file",
        "a/page.png: found no pict",
        "b/cut.png: a br",
    ):
        assert name in str(error.value)
    data = prepare_folder(tmp_path, "x", skip_broken=True)
    assert data.provenance["intake"] == {
        "taken": 60,
        "left_out": [
            {"reason": "broken", "files": 3, "first": ["a/empty.jpg", "a/page.png", "b/cut.png"]}
        ],
        "notes": [],
    }
    assert data.fingerprint == whole.fingerprint
    assert [r.getMessage()[:20] for r in caplog.records] == [
        "left out: a/empty.jp", "left out: a/page.png", "left out: b/cut.png:",
    ]  # fmt: skip


def test_many_broken_pictures_are_a_line_each(tmp_path, caplog):
    two_classes(tmp_path)
    for i in range(7):
        (tmp_path / "a" / f"bad{i}.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"7 of 67 pictures cannot be read.*: named above$"):
        prepare_folder(tmp_path, "x")
    assert [f"a/bad{i}.jpg" in r.getMessage() for i, r in enumerate(caplog.records)] == [True] * 7


def test_a_pipe_among_the_pictures_does_not_hang(tmp_path):
    two_classes(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    with pytest.raises(UserError, match=r"1 of 61 .*pipe\.png: cannot read: not a regular file"):
        prepare_folder(tmp_path, "x")


def test_size_and_colour_are_those_of_the_pictures_unless_given(tmp_path):
    rng = np.random.default_rng(0)
    two_classes(tmp_path / "grey", side=20)
    for name in ("a", "b", "c"):
        (tmp_path / "colour" / name).mkdir(parents=True)
        for i in range(12):
            cv2.imwrite(
                str(tmp_path / "colour" / name / f"{i}.png"),
                rng.integers(0, 256, (64, 64, 3), dtype=np.uint8),
            )
    assert prepare_folder(tmp_path / "grey", "x").shape == (1, 20, 20)
    assert prepare_folder(tmp_path / "colour", "x").shape == (3, 64, 64)
    assert prepare_folder(tmp_path / "colour", "x", size=32, colour=False).shape == (1, 32, 32)
    assert prepare_folder(tmp_path / "grey", "x", colour=True).shape == (3, 20, 20)
    write_images(tmp_path / "grey" / "a", ["other.png"], side=21)
    assert prepare_folder(tmp_path / "grey", "x").shape == (1, 48, 48)


@pytest.mark.parametrize(("own", "side"), [(7, 48), (8, 8), (96, 96), (97, 48)])
def test_squares_of_8_to_96_pixels_keep_their_size(tmp_path, own, side):
    two_classes(tmp_path, n=12, side=own)
    assert prepare_folder(tmp_path, "x").shape == (1, side, side)


def test_a_few_colour_pictures_among_grey_ones_stay_grey(tmp_path):
    two_classes(tmp_path, side=20)
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for name in ("x.png", "y.png"):
        cv2.imwrite(str(tmp_path / "a" / name), picture)
    assert prepare_folder(tmp_path, "x").shape == (1, 20, 20)


def test_colour_pictures_keep_the_order_of_channels_that_the_demo_gives(tmp_path):
    for name, bgr in (("blue", (200, 10, 10)), ("red", (10, 10, 200))):
        (tmp_path / name).mkdir()
        for i in range(10):
            picture = np.full((8, 8, 3), bgr, np.uint8)
            picture[0, 0] = i
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), picture)
    data = prepare_folder(tmp_path, "x")
    assert data.classes == ("blue", "red")
    assert data.images[0, :, 4, 4].tolist() == [200, 10, 10]
    assert data.images[-1, :, 4, 4].tolist() == [10, 10, 200]


def test_a_class_of_few_pictures_and_pictures_of_one_tone_are_noted(tmp_path):
    two_classes(tmp_path, n=40)
    write_images(tmp_path / "rare", ["0.png", "1.png"])
    write_images(tmp_path / "scarce", [f"{i}.png" for i in range(11)])
    write_images(tmp_path / "some", [f"{i}.png" for i in range(20)], seed=5)
    for i in range(2):
        cv2.imwrite(str(tmp_path / "a" / f"flat{i}.png"), np.full((12, 12), i, np.uint8))
    notes = prepare_folder(tmp_path, "x").provenance["intake"]["notes"]
    assert notes == [
        "few pictures of rare (1 train, 1 validation, 0 test), "
        "scarce (9 train, 1 validation, 1 test)",
        "2 pictures are of a single tone",
    ]


def test_letters_that_the_font_lacks_are_noted(tmp_path):
    for name in ("gr\u00fcn", "\u5b09\u3057\u3044"):
        write_images(tmp_path / name, [f"{i}.png" for i in range(20)], seed=len(name))
    assert prepare_folder(tmp_path, "x").provenance["intake"]["notes"] == [
        "letters of class names that are drawn as boxes: \u5b09\u3057\u3044"
    ]


def test_validation_without_test_is_the_test_part(tmp_path):
    """Train and val alone, as ImageNet and AffectNet come: figures on val compare with others'."""
    two_classes(tmp_path / "train", n=40)
    two_classes(tmp_path / "val", n=6)
    data = prepare_folder(tmp_path, "x")
    assert np.bincount(data.split).tolist() == [72, 8, 12]
    assert "validation part is test" in data.provenance["splits"]


def test_too_many_pixels_are_refused_before_they_are_read(tmp_path, monkeypatch):
    two_classes(tmp_path)
    monkeypatch.setattr("nas.data.folder.MAX_BYTES", 60 * 12 * 12 - 1)
    with pytest.raises(UserError, match="60 pictures of 1x12x12 are 8640 bytes; allowed 8639"):
        prepare_folder(tmp_path, "x")
