"""FERPlus votes beside FER2013."""

import gzip

import numpy as np
import pytest

from nas.common.errors import UserError
from nas.data import CLASSES, Dataset, load, prepare_ferplus, save, with_votes

HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
)
ROWS = ["Training,a.png,4,0,0,1,3,2,0,0,0,0", "PublicTest,,0,10,0,0,0,0,0,0,0,0",
        "PrivateTest,c.png,0,0,0,0,0,0,0,0,0,10"]  # fmt: skip


@pytest.fixture
def dataset():
    images = np.arange(3 * 48 * 48, dtype=np.uint32).astype(np.uint8).reshape(3, 1, 48, 48)
    labels, split = np.array([0, 3, 5], np.uint8), np.array([0, 1, 2], np.uint8)
    return Dataset("fer2013", images, labels, split, CLASSES, {"official_splits": True})


def written(path, rows, header=HEADER):
    text = "\r\n".join([header, *rows]) + "\r\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["votes.csv", "votes.csv.gz"])
def test_votes_become_soft_labels(dataset, tmp_path, name):
    found = with_votes(dataset, written(tmp_path / name, ROWS))
    soft = found.soft_labels()
    np.testing.assert_allclose(soft[0], [0.3, 0.2, 0, 0, 0.1, 0, 0.4])
    assert soft[1].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert soft[2].tolist() == [0, 0, 0, 0, 0, 1, 0]  # no face: the hard label stays
    assert found.fingerprint != dataset.fingerprint
    loaded = load(save(found, tmp_path / "d.npz"))
    np.testing.assert_array_equal(loaded.votes, found.votes)
    assert loaded.fingerprint == found.fingerprint
    assert load(save(dataset, tmp_path / "e.npz")).votes is None


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (ROWS[:2], HEADER, "found 2 rows; the data set has 3"),
        ([*ROWS, ROWS[2]], HEADER, "found more rows; the data set has 3"),
        ([ROWS[1], ROWS[0], ROWS[2]], HEADER, ":2: Usage: found 'PublicTest'; the image is of"),
        (ROWS, HEADER.replace("fear", "fright"), "no column 'fear'"),
        ([ROWS[0].replace("4", "-4"), *ROWS[1:]], HEADER, ":2: found '-4' votes"),
        ([ROWS[0].replace("4", "999"), *ROWS[1:]], HEADER, ":2: found '999' votes"),
    ],
)
def test_votes_that_do_not_fit(dataset, tmp_path, rows, header, message):
    with pytest.raises(UserError, match=message):
        with_votes(dataset, written(tmp_path / "v.csv", rows, header))


def test_files_that_cannot_be_read(dataset, tmp_path):
    broken = tmp_path / "v.csv.gz"
    broken.write_bytes(b"no gzip")
    for path in (broken, tmp_path / "missing.csv"):
        with pytest.raises(UserError, match="cannot read"):
            with_votes(dataset, path)


def test_without_votes(dataset, tmp_path):
    with pytest.raises(UserError, match="prepared with --votes"):
        dataset.soft_labels()
    other = Dataset("x", dataset.images, dataset.labels, dataset.split, CLASSES)
    with pytest.raises(UserError, match="only for FER2013 prepared from its CSV"):
        with_votes(other, written(tmp_path / "v.csv", ROWS))


def test_votes_for_something_else_leave_the_label(dataset, tmp_path):
    rows = ["Training,a.png,0,0,0,1,0,0,0,0,0,9", "PublicTest,b.png,0,6,0,0,0,0,0,4,0,0", ROWS[2]]
    soft = with_votes(dataset, written(tmp_path / "v.csv", rows)).soft_labels()
    assert soft[0].tolist() == [1, 0, 0, 0, 0, 0, 0]  # one said sad, nine no face; labelled angry
    assert soft[1].tolist() == [0, 0, 0, 1, 0, 0, 0]
    rows = ["Training,a.png,0,0,0,5,0,0,0,0,5,0", "PublicTest,b.png,0,0,0,0,0,1,0,0,0,0", ROWS[2]]
    soft = with_votes(dataset, written(tmp_path / "v.csv", rows)).soft_labels()
    assert soft[0].tolist() == [1, 0, 0, 0, 0, 0, 0]  # half are no more than half
    assert soft[1].tolist() == [0, 1, 0, 0, 0, 0, 0]  # a single vote is one


def test_the_label_is_what_most_chose(dataset, tmp_path):
    rows = [
        "Training,a.png,3,1,0,0,2,1,1,1,1,0",  # 3 of 5: the single votes do not count
        "PublicTest,b.png,5,5,0,0,0,0,0,0,0,0",  # no majority
        "PrivateTest,c.png,0,0,0,0,0,0,0,8,2,0",  # contempt
    ]
    found = prepare_ferplus(dataset, written(tmp_path / "v.csv", rows))
    assert found.name == "ferplus"
    assert [CLASSES[label] for label in found.labels] == ["neutral"]  # it was angry
    np.testing.assert_array_equal(found.images, dataset.images[:1])
    assert found.split.tolist() == [0]
    assert found.votes.tolist() == [[2, 1, 1, 1, 0, 0, 3]]  # as they were cast
    nothing = written(tmp_path / "w.csv", ["Training,a.png,0,0,0,0,0,0,0,0,0,10", *rows[1:]])
    with pytest.raises(UserError, match="no image has a majority"):
        prepare_ferplus(dataset, nothing)
