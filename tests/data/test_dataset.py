from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from drawn import make

from nas.common.errors import UserError
from nas.data import load, save
from nas.data.dataset import ARRAYS


def test_round_trip(tmp_path):
    data = make()
    again = load(save(data, tmp_path / "new" / "toy.npz"))
    for name in ("images", "labels", "split"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
    assert (again.name, again.classes, again.provenance) == (
        data.name, data.classes, data.provenance,
    )  # fmt: skip
    assert again.fingerprint == data.fingerprint
    assert again.images.flags.writeable  # torch.from_numpy wants it
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["toy.npz"]


def test_indices():
    data = make(20)
    assert [len(data.indices(s)) for s in ("train", "validation", "test")] == [12, 4, 4]
    assert data.indices("test").dtype == np.int64
    with pytest.raises(UserError, match=r"unknown split 'tset'.*did you mean 'test'"):
        data.indices("tset")


def test_classes_in_another_order():
    votes = np.array([[9, 1, 0], [0, 8, 2], [3, 0, 7]], np.uint8)
    data = replace(make(3), labels=np.arange(3, dtype=np.uint8), classes=("b", "c", "a"),
                   votes=votes)  # fmt: skip
    found = data.in_order(("a", "b", "c"))
    assert [found.classes[label] for label in found.labels] == ["b", "c", "a"]
    assert found.labels.dtype == np.uint8
    np.testing.assert_array_equal(found.votes, [[0, 9, 1], [2, 0, 8], [7, 3, 0]])
    assert data.in_order(("a", "b", "d")) is data


def test_fingerprint_covers_contents():
    data = make()
    pixel = data.images.copy()
    pixel[5, 0, 3, 3] ^= 1
    others = [
        replace(data, images=pixel),
        replace(data, labels=data.labels[::-1].copy()),
        replace(data, split=data.split[::-1].copy()),
        replace(data, classes=("a", "b", "z")),
    ]
    assert len({d.fingerprint for d in [data, *others]}) == 5
    assert replace(data, name="other", provenance={}).fingerprint == data.fingerprint


def broken_npz(tmp_path, **changes):
    data = make()
    meta = {"name": "toy", "classes": list(data.classes), "provenance": {}}
    meta.update(changes.pop("meta", {}))
    arrays = {"images": data.images, "labels": data.labels, "split": data.split}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    arrays = {k: v for k, v in {**arrays, **changes}.items() if v is not None}
    path = tmp_path / "broken.npz"
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((60, 1, 8, 8), np.float32)}, "images: found dtype float32"),
        ({"images": np.zeros((60, 64), np.uint8)}, r"images: found shape \(60, 64\)"),
        ({"images": np.zeros((60, 2, 8, 8), np.uint8)}, "2 channels; expected 1 or 3"),
        ({"images": np.zeros((60, 1, 2000, 1), np.uint8)}, "2000x1; allowed sides"),
        ({"images": np.zeros((0, 1, 8, 8), np.uint8)}, "found none"),
        ({"labels": np.zeros(59, np.uint8)}, "labels: found 59 entries; expected 60"),
        ({"labels": np.full(60, 3, np.uint8)}, "labels: found 3; allowed 0 to 2"),
        ({"split": np.full(60, 3, np.uint8)}, "split: found 3; allowed 0 to 2"),
        ({"split": None}, "found arrays"),
        ({"extra": np.zeros(1)}, "found arrays"),
        ({"meta": {"classes": ["a"]}}, "classes: found 1; allowed 2 to 256"),
        ({"meta": {"classes": ["a", "a", "b"]}}, "found a name twice"),
        ({"meta": {"classes": ["a", 1, "b"]}}, "expected a name"),
        ({"meta": {"classes": 5}}, "not an intact"),
        ({"meta": {"provenance": 5}}, "not an intact"),
        ({"labels": np.array([object()] * 60, dtype=object)}, "labels: found dtype object"),
    ],
)
def test_load_refuses(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        load(broken_npz(tmp_path, **changes))


def test_load_refuses_files_that_are_no_npz(tmp_path):
    path = tmp_path / "x.npz"
    for raw in (b"", b"hello", b"PK\x03\x04" + b"\0" * 50):
        path.write_bytes(raw)
        with pytest.raises(UserError, match="not an intact"):
            load(path)
    with pytest.raises(UserError, match="cannot read: No such file"):
        load(tmp_path / "missing.npz")
    with pytest.raises(UserError, match="cannot read: Is a directory"):
        load(tmp_path)


def test_load_refuses_damaged_file(tmp_path):
    path = save(make(), tmp_path / "x.npz")
    raw = bytearray(path.read_bytes())
    raw[200:260] = bytes(60)
    path.write_bytes(raw)
    with pytest.raises(UserError):
        load(path)


def forged_npz(path, shape, payload=b""):
    """An .npz whose images claim to have `shape`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ARRAYS:
            stream = io.BytesIO()
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            archive.writestr(f"{name}.npy", stream.getvalue() + payload)
    return path


def test_load_refuses_bombs_before_unpacking(tmp_path):
    with pytest.raises(UserError, match="allowed at most"):
        load(forged_npz(tmp_path / "big.npz", (10**6, 1, 10**6, 10**6)))
    with pytest.raises(UserError, match="its header says"):
        load(forged_npz(tmp_path / "lie.npz", (2, 1, 8, 8), b"\0" * 100_000))


def test_save_refuses_invalid(tmp_path):
    with pytest.raises(UserError, match="toy: labels: found 9"):
        save(replace(make(), labels=np.full(60, 9, np.uint8)), tmp_path / "x.npz")
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UserError, match="cannot write: Is a directory"):
        save(make(), tmp_path / "folder.npz")
    with pytest.raises(UserError, match="file: cannot create"):
        save(make(), tmp_path / "file" / "x.npz")


def test_importing_needs_neither_torch_nor_opencv():
    code = "import nas.data, sys; sys.exit(bool({'torch', 'cv2', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
