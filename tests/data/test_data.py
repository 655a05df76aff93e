from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest

import nas.data.__main__ as command
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.data import (
    CLASSES,
    Dataset,
    duplicate_report,
    load,
    open_dataset,
    prepare_fer2013,
    prepare_folder,
    save,
    search_split,
)
from nas.data.dataset import ARRAYS
from nas.data.fer2013 import COUNTS
from nas.data.folder import subject_of
from nas.data.splits import stratified_parts


def make(n=60, classes=3, seed=0, side=8):
    rng = np.random.default_rng(seed)
    return Dataset(
        name="toy",
        images=rng.integers(0, 256, (n, 1, side, side), dtype=np.uint8),
        labels=(np.arange(n) % classes).astype(np.uint8),
        split=np.repeat([0, 1, 2], [n - 2 * (n // 5), n // 5, n // 5]).astype(np.uint8),
        classes=tuple("abcdefg"[:classes]),
        provenance={"source": "test", "synthetic": True},
    )


def csv_text(rows, header="emotion,pixels,Usage"):
    return "\n".join([header, *rows]) + "\n"


def row(emotion=0, pixels="7 " * 2304, usage="Training"):
    return f"{emotion},{pixels.strip()},{usage}"


ROWS = [row(0, "1 " * 2304), row(3, "2 " * 2304, "PublicTest"), row(6, usage="PrivateTest")]


def write_images(folder, names, seed=0, side=12):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((seed, len(str(folder))))
    for name in names:
        _, raw = cv2.imencode(".png", rng.integers(0, 256, (side, side), dtype=np.uint8))
        (folder / name).write_bytes(raw.tobytes())  # OpenCV tells the format by content


# --- Dataset, save and load ---


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
        ({"meta": {"classes": ["a", 1, "b"]}}, "expected names"),
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
    with pytest.raises(UserError, match="cannot write"):
        save(make(), tmp_path / "file" / "x.npz")


def test_open_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(make(), tmp_path / "data" / "toy.npz")
    assert open_dataset("toy").fingerprint == open_dataset("data/toy.npz").fingerprint
    with pytest.raises(UserError, match=r"found toy, synthetic.*'toy'.*nas\.data prepare toi"):
        open_dataset("toi")
    with pytest.raises(UserError, match="expected letters"):
        open_dataset("../../etc/passwd")


def test_importing_needs_neither_torch_nor_opencv():
    code = "import nas.data, sys; sys.exit(bool({'torch', 'cv2', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- splits and duplicates ---


def test_search_split_is_fixed_stratified_and_inside_train():
    data = make(300)
    fit, held = search_split(data, fraction=0.2)
    np.testing.assert_array_equal(np.sort(np.concatenate([fit, held])), data.indices("train"))
    np.testing.assert_array_equal(np.bincount(data.labels[held]), [12, 12, 12])
    np.testing.assert_array_equal(search_split(data, fraction=0.2)[1], held)
    assert not np.array_equal(search_split(data, seed=1, fraction=0.2)[1], held)


def test_search_split_keeps_copies_together():
    data = make(300)
    data.images[:150] = data.images[np.arange(150) // 3]  # triples under three labels
    fit, held = search_split(data)
    inside = {data.images[i].tobytes() for i in fit}
    assert not inside & {data.images[i].tobytes() for i in held}
    assert 41 <= len(held) <= 49


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_search_split_bad_fraction(fraction):
    with pytest.raises(UserError, match="fraction"):
        search_split(make(), fraction=fraction)


def test_search_split_too_few():
    data = make()
    data.images[:] = 0  # one group
    with pytest.raises(UserError, match="too few"):
        search_split(data)


def test_stratified_parts_shares():
    labels = np.repeat([0, 1], [200, 50])
    parts = stratified_parts(labels, np.arange(250), (0.8, 0.1, 0.1), seed=0)
    np.testing.assert_array_equal(np.bincount(parts[labels == 0]), [160, 20, 20])
    np.testing.assert_array_equal(np.bincount(parts[labels == 1]), [40, 5, 5])


def test_duplicate_report():
    data = make(50)  # 30 train, 10, 10
    data.images[30] = data.images[0]  # validation row with a copy in train
    data.images[40:43] = data.images[1]  # three test rows
    data.images[49] = data.images[48]  # within test only
    data.images[5] = 9  # constant
    assert duplicate_report(data) == {
        "images": 50,
        "distinct": 45,
        "copies_in_train": {"validation": 1, "test": 3},
        "constant": 1,
        "conflicting_labels": 2,  # rows 1 and 40-42; 48 and 49; rows 0 and 30 agree
    }


# --- FER2013 ---


def pack(path, text):
    raw = text.encode()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train.csv", "emotion,pixels\n")
            archive.writestr("icml_face_data.csv", raw)
    else:
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


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
    with pytest.raises(UserError, match=r"expected fer2013\.csv"):
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
    with pytest.raises(UserError, match="train/angry: found 3 images"):
        prepare_fer2013(tmp_path)
    write_images(tmp_path / "test" / "hapy", ["a.png"], side=48)
    with pytest.raises(UserError, match=r"unknown class folder 'hapy'.*did you mean 'happy'"):
        prepare_fer2013(tmp_path, check_counts=False)


def test_fer2013_image_layout_wrong_size(tmp_path):
    for part in ("train", "test"):
        for name in CLASSES:
            write_images(tmp_path / part / name, ["a.png"], side=47)
    with pytest.raises(UserError, match=r"a\.png: found \(47, 47\) pixels; expected 48x48"):
        prepare_fer2013(tmp_path, check_counts=False)


# --- folders ---


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("KA.AN1.39.tiff", "KA"),
        ("S010_004_00000017.png", "S010"),
        ("AF01ANS.JPG", "F01"),
        ("BF01HAHL.JPG", "F01"),
        ("image_0001.png", None),
    ],
)
def test_subject_of(name, subject):
    assert subject_of(name) == subject


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
    with pytest.raises(UserError, match="test/c is no class of train"):
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


def test_folder_errors(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        prepare_folder(tmp_path / "missing", "x")
    with pytest.raises(UserError, match="found 0 class folders"):
        prepare_folder(tmp_path, "x")
    write_images(tmp_path / "a", ["1.png"])
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="b: found no image"):
        prepare_folder(tmp_path, "x")
    write_images(tmp_path / "b", ["1.png"])
    with pytest.raises(UserError, match=r"split is empty.*too few"):
        prepare_folder(tmp_path, "x")
    for raw in (b"", b"not an image"):
        (tmp_path / "b" / "2.png").write_bytes(raw)
        with pytest.raises(UserError, match=r"2\.png: not a readable image"):
            prepare_folder(tmp_path, "x")
    with pytest.raises(UserError, match="size: expected 8 to 1024, got 4"):
        prepare_folder(tmp_path, "x", size=4)


def test_folder_bounds(tmp_path, monkeypatch):
    write_images(tmp_path / "a", ["1.png"])
    write_images(tmp_path / "b", ["1.png"])
    monkeypatch.setattr("nas.data.pictures.MAX_PICTURE_SIDE", 11)
    with pytest.raises(UserError, match="found 12x12 pixels; allowed at most 11"):
        prepare_folder(tmp_path, "x")
    monkeypatch.setattr("nas.data.pictures.MAX_FILE", 100)
    with pytest.raises(UserError, match="larger than 100 bytes"):
        prepare_folder(tmp_path, "x")


# --- command line ---


def run(*argv):
    return exit_code(command.main, [str(a) for a in argv])


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pack(tmp_path / "a.csv", csv_text(ROWS))
    assert run("prepare", "fer2013", "--from", "a.csv", "--allow-counts", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["path"] == "data/fer2013.npz"
    assert printed["duplicates"]["constant"] == 3
    assert printed["counts"]["train"]["angry"] == 1
    assert open_dataset("fer2013").provenance["counts"] == printed["counts"]

    assert run("info", "fer2013") == 0
    shown = capsys.readouterr().out
    assert printed["fingerprint"] in shown
    assert "PublicTest" not in shown

    assert run("preview", "fer2013", "--out", "sheets/a.png") == 0
    assert cv2.imread("sheets/a.png").shape == (7 * (16 + 48), 16 * 48, 3)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("prepare", "fer2013", "--from", "missing.csv"), "missing.csv: no such file"),
        (("prepare", "synthetic", "--from", "x"), "choose another name"),
        (("prepare", "../x", "--from", "x"), "expected letters"),
        (("prepare", "jaffe", "--download"), "only fer2013 and ferplus can be downloaded"),
        (("info", "nothing"), "no data/nothing.npz"),
        (("preview", "nothing", "--out", "x.png"), "no data/nothing.npz"),
    ],
)
def test_user_errors_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    assert run(*argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert message in err


def test_download_without_kagglehub_and_when_it_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert run("prepare", "fer2013", "--download") == 2
    assert "kagglehub is not installed" in capsys.readouterr().err

    class Offline:
        @staticmethod
        def dataset_download(name):
            raise RuntimeError("no network\nat all")

    monkeypatch.setitem(sys.modules, "kagglehub", Offline)
    assert run("prepare", "fer2013", "--download") == 2
    err = capsys.readouterr().err
    assert "no network at all; fetch it" in err
    assert err.count("\n") == 1
