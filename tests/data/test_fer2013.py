from __future__ import annotations

import zipfile

import numpy as np
import pytest
from drawn import ROWS, csv_text, pack, row, write_images

from nas.common.errors import UserError
from nas.data import CLASSES, prepare_fer2013
from nas.data.fer2013 import COUNTS


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.zip"])
def test_fer2013_packings(tmp_path, name):
    data = prepare_fer2013(pack(tmp_path / name, csv_text(ROWS)), check_counts=False)
    assert data.images.shape == (3, 1, 48, 48)
    assert data.images[:, 0, 0, 0].tolist() == [1, 2, 7]
    assert data.labels.tolist() == [0, 3, 6]
    assert data.split.tolist() == [0, 1, 2]
    assert data.provenance["official_splits"]


def test_fer2013_same_hash_however_packed(tmp_path):
    names = ("a.csv", "a.csv.gz", "a.zip")
    found = [prepare_fer2013(pack(tmp_path / n, csv_text(ROWS)), check_counts=False) for n in names]
    assert len({d.provenance["sha256"] for d in found}) == 1


def test_fer2013_icml_header_order_quotes_and_bom(tmp_path):
    text = '\ufeffemotion, Usage, pixels\r\n2,PublicTest,"' + "0 255 " * 1152 + '"\r\n'
    data = prepare_fer2013(pack(tmp_path / "icml.csv", text), check_counts=False)
    assert data.images[0, 0, 0, :2].tolist() == [0, 255]
    assert (data.labels[0], data.split[0]) == (2, 1)


def test_fer2013_finds_the_csv_in_a_folder(tmp_path):
    (tmp_path / "fer2013").mkdir()
    pack(tmp_path / "fer2013" / "fer2013.csv.gz", csv_text(ROWS))
    assert len(prepare_fer2013(tmp_path, check_counts=False)) == 3


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(emotion=7), r":3: emotion: found '7'; allowed 0 to 6"),
        (row(emotion=""), r":3: emotion: found ''"),
        (row(emotion="01"), r":3: emotion: found '01'"),
        (row(usage="Test"), r":3: unknown Usage 'Test'; expected one of Training"),
        (row(pixels="1 " * 2303), r":3: pixels: found 2303 values; expected 2304"),
        (row(pixels="256 " * 2304), r":3: pixels: found '256'; allowed 0 to 255"),
        (row(pixels="-1 " * 2304), r":3: pixels: found '-1'"),
        (row(pixels="1.5 " * 2304), r":3: pixels: found '1.5'"),
        (row() + ",extra", r":3: found 4 columns; expected 3"),
        ("0", r":3: found 1 columns"),
        ("é" * 10, r":3: found non-ASCII bytes"),
        ("1 " * 40_000, r":3: line longer than"),
    ],
)
def test_fer2013_malformed_row(tmp_path, bad, message):
    path = pack(tmp_path / "a.csv", csv_text([row(), bad]))
    with pytest.raises(UserError, match=r"a\.csv" + message):
        prepare_fer2013(path, check_counts=False)


@pytest.mark.parametrize("text", ["", "\n", "emotion,pixels\n1,2\n", "a,b,c\n", '"'])
def test_fer2013_bad_header(tmp_path, text):
    with pytest.raises(UserError, match=r"a\.csv:1: found columns"):
        prepare_fer2013(pack(tmp_path / "a.csv", text))


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
def test_fer2013_broken_archive(tmp_path, name):
    path = pack(tmp_path / name, csv_text(ROWS))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match="cannot read"):
        prepare_fer2013(path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(UserError, match="cannot read"):
        prepare_fer2013(path)


def test_fer2013_missing_empty_and_wrong_sources(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        prepare_fer2013(tmp_path / "missing.csv")
    with pytest.raises(UserError, match="found 0 pictures and no class folders"):
        prepare_fer2013(tmp_path)
    with pytest.raises(UserError, match="found none"):
        prepare_fer2013(pack(tmp_path / "a.csv", csv_text([])), check_counts=False)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(UserError, match=r"found CSV files \[\]"):
        prepare_fer2013(tmp_path / "a.zip")


def test_fer2013_insists_on_the_official_counts(tmp_path):
    assert [sum(c) for c in COUNTS] == [28709, 3589, 3589]
    path = pack(tmp_path / "a.csv", csv_text(ROWS))
    with pytest.raises(UserError, match=r"train/angry: found 1 images; FER2013 has 3995.*--allow"):
        prepare_fer2013(path)


def test_fer2013_image_layout(tmp_path):
    for k, name in enumerate(CLASSES):
        write_images(tmp_path / "train" / name, [f"{i}.jpg" for i in range(3)], seed=k, side=48)
        write_images(tmp_path / "test" / name, [f"{i}.jpg" for i in range(5)], seed=9 + k, side=48)
    data = prepare_fer2013(tmp_path, check_counts=False)
    assert np.bincount(data.split).tolist() == [21, 17, 18]
    for split in ("validation", "test"):
        assert set(data.counts()[split].values()) == {2, 3}
    assert not data.provenance["official_splits"]
    assert "mixes PublicTest and PrivateTest" in data.provenance["note"]
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:  # as Kaggle packs it
        for path in sorted(tmp_path.rglob("*.jpg")):
            archive.write(path, path.relative_to(tmp_path))
    packed = prepare_fer2013(tmp_path / "archive.zip", check_counts=False)
    assert packed.fingerprint == data.fingerprint
    images = data.images[data.indices("validation")]
    for path in sorted((tmp_path / "test").rglob("*.jpg")):  # names decide nothing
        path.rename(path.with_name(f"{9 - int(path.stem)}.jpg"))
    (tmp_path / "archive.zip").unlink()
    renamed = prepare_fer2013(tmp_path, check_counts=False)
    renamed_images = renamed.images[renamed.indices("validation")]
    assert sorted(x.tobytes() for x in renamed_images) == sorted(x.tobytes() for x in images)
    with pytest.raises(UserError, match="train/angry: found 3 images"):
        prepare_fer2013(tmp_path)
    write_images(tmp_path / "test" / "hapy", ["a.png"], side=48)
    with pytest.raises(UserError, match=r"'hapy' is no class.*did you mean 'happy'"):
        prepare_fer2013(tmp_path, check_counts=False)


def test_fer2013_image_layout_is_counted_by_both_test_splits_together(tmp_path, monkeypatch):
    monkeypatch.setattr("nas.data.fer2013.COUNTS", ((2,) * 7, (1,) * 7, (3,) * 7))
    for k, name in enumerate(CLASSES):
        write_images(tmp_path / "train" / name, ["0.png", "1.png"], seed=k, side=48)
        write_images(tmp_path / "test" / name, [f"{i}.png" for i in range(4)], seed=k, side=48)
    assert np.bincount(prepare_fer2013(tmp_path).split).tolist() == [14, 14, 14]
    (tmp_path / "test/happy/3.png").unlink()
    with pytest.raises(UserError, match="test/happy: found"):
        prepare_fer2013(tmp_path)


def test_fer2013_image_layout_wrong_size(tmp_path):
    for part in ("train", "test"):
        for name in CLASSES:
            write_images(tmp_path / part / name, ["a.png"], side=47)
    with pytest.raises(UserError, match=r"a\.png: found \(47, 47\) pixels; expected 48x48"):
        prepare_fer2013(tmp_path, check_counts=False)
