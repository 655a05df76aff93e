from __future__ import annotations

import io
import unicodedata
from collections import Counter

import numpy as np
import pytest
from drawn import write_images

from nas.common.errors import UserError
from nas.data.files import open_files
from nas.data.layouts import label_pictures, subject_of


def labelled(path):
    with open_files(path) as source:
        found = label_pictures(source)
        return found, {reason: names for reason, names in source.left_out.items() if names}


def counts(found):
    return dict(Counter((picture.label, picture.split) for picture in found.pictures))


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


def test_folders_that_differ_in_case_or_unicode_form_are_one_class(tmp_path):
    """`Happy` beside `happy` once replaced it; an accent is one letter or two."""
    accents = [unicodedata.normalize(form, "\u00e9t\u00e9") for form in ("NFC", "NFD")]
    for name, n in (("Happy", 3), ("happy", 2), ("sad", 4), (accents[0], 1), (accents[1], 2)):
        write_images(tmp_path / name, [f"{name.encode()[:2].hex()}{n}{i}.png" for i in range(n)])
    found, left_out = labelled(tmp_path)
    assert counts(found) == {("happy", None): 5, ("sad", None): 4, ("\u00e9t\u00e9", None): 3}
    assert found.notes == ("folders taken as one class: Happy (3) and happy (2)",)
    assert left_out == {}


def test_class_folders_in_another_encoding_keep_their_bytes_as_escapes(tmp_path):
    write_images(tmp_path / "gl\udcfcck", ["1.png"])
    write_images(tmp_path / "a", ["1.png"])
    assert labelled(tmp_path)[0].classes == ("a", r"gl\xfcck")


def test_pictures_are_told_by_content_and_found_at_any_depth(tmp_path):
    write_images(tmp_path / "a", ["1.jfif", "2.gif", "without_suffix", "deep/down/3.avif"])
    write_images(tmp_path / "b", ["1.png"])
    write_images(tmp_path, ["loose.png"])
    (tmp_path / "a" / "notes.txt").write_text("PNG are pictures")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "read.me").write_text("hello")
    found, left_out = labelled(tmp_path)
    assert counts(found) == {("a", None): 4, ("b", None): 1}
    assert left_out == {
        "beside the class folders": ["loose.png"],
        "no picture": ["a/Thumbs.db", "a/notes.txt", "docs/read.me"],
    }


def test_splits_and_wrappers(tmp_path):
    for split in ("Train", "valid", "TEST"):
        for name in ("a", "b"):
            write_images(tmp_path / "archive" / "set" / split / name, ["1.png", "x/2.png"])
    found, _ = labelled(tmp_path)
    assert counts(found) == {(name, split): 2 for name in "ab" for split in (0, 1, 2)}
    write_images(tmp_path / "archive" / "set" / "more" / "a", ["1.png"])
    with pytest.raises(UserError, match=r"found folder 'more' beside \['test', 'train', 'valid'\]"):
        labelled(tmp_path)


def test_splits_below_classes_are_not_mixed(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / name / "train", ["1.png"])
        write_images(tmp_path / name / "test", ["2.png"])
    with pytest.raises(UserError, match=r"found CLASS/train/\.\.\.; expected train/CLASS/picture"):
        labelled(tmp_path)


def test_jaffe_as_delivered(tmp_path):
    """One folder of 213 pictures, the class in the name; the two subjects stay apart later."""
    names = [
        f"{who}.{code}{i}.{i}.tiff" for who in ("KA", "YM") for code in ("AN", "HA") for i in (1, 2)
    ]
    write_images(tmp_path / "jaffe", [*names, "other.tiff"])
    (tmp_path / "jaffe" / "README_FIRST.txt").write_text("terms")
    found, left_out = labelled(tmp_path)
    assert (found.layout, counts(found)) == ("JAFFE", {("angry", None): 4, ("happy", None): 4})
    assert left_out == {
        "no JAFFE name": ["jaffe/other.tiff"], "no picture": ["jaffe/README_FIRST.txt"],
    }  # fmt: skip


def test_jaffe_in_class_folders_is_class_folders(tmp_path):
    write_images(tmp_path / "rage", ["KA.AN1.39.tiff"])
    write_images(tmp_path / "joy", ["KA.HA1.40.tiff"])
    assert labelled(tmp_path)[0].classes == ("joy", "rage")


def test_kdef_as_delivered(tmp_path):
    """A folder for each subject and session; afraid is fear."""
    for who in ("AF01", "BM02"):
        names = [f"{who}{code}{view}.JPG" for code in ("AF", "SU") for view in ("S", "HL", "FR")]
        write_images(tmp_path / "KDEF_and_AKDEF" / "KDEF" / who, names)
    found, _ = labelled(tmp_path)
    assert (found.layout, counts(found)) == ("KDEF", {("fear", None): 6, ("surprise", None): 6})


def ck_sequence(folder, name, frames, code=None):
    subject, number = name.split("_")
    images = folder / "cohn-kanade-images" / subject / number
    write_images(images, [f"{name}_{i:08}.png" for i in range(1, frames + 1)])
    if code is not None:
        text = folder / "Emotion" / subject / number / f"{name}_{frames:08}_emotion.txt"
        text.parent.mkdir(parents=True)
        text.write_text(f"   {code:.7e}\n")
    return text if code is not None else None


def test_ck_as_delivered(tmp_path):
    """The last three frames show the expression, the first is neutral; most have no label."""
    ck_sequence(tmp_path, "S005_001", 11, 3)
    ck_sequence(tmp_path, "S010_002", 3, 7)
    ck_sequence(tmp_path, "S011_001", 4)
    found, left_out = labelled(tmp_path)
    assert (found.layout, counts(found)) == (
        "CK+", {("disgust", None): 3, ("surprise", None): 2, ("neutral", None): 2}
    )  # fmt: skip
    disgust = [p.file.parts[-1] for p in found.pictures if p.label == "disgust"]
    assert disgust == [f"S005_001_{i:08}.png" for i in (9, 10, 11)]
    assert {reason: len(names) for reason, names in left_out.items()} == {
        "between neutral and peak": 7, "sequence without an expression": 4, "no picture": 2,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["8", "-1", "", "happy", "nan", "0.5"])
def test_ck_refuses_codes_that_it_does_not_know(tmp_path, text):
    ck_sequence(tmp_path, "S005_001", 11, 3).write_text(text)
    with pytest.raises(UserError, match=r"_emotion\.txt: expected a number, 0 neutral, 1 angry"):
        labelled(tmp_path)


def raf(folder, aligned=True):
    images = folder / "basic" / "Image"
    names = ["train_00001", "train_00002", "train_00003", "test_0001", "test_0002"]
    write_images(images / "original", [f"{n}.jpg" for n in names])
    if aligned:
        write_images(images / "aligned", [f"{n}_aligned.jpg" for n in names])
    path = folder / "basic" / "EmoLabel" / "list_patition_label.txt"
    path.parent.mkdir()
    path.write_text("".join(f"{n}.jpg {code}\n" for n, code in zip(names[:4], "1474", strict=True)))
    return path


def test_raf_db_as_delivered(tmp_path):
    raf(tmp_path)
    found, left_out = labelled(tmp_path)
    assert (found.layout, counts(found)) == (
        "RAF-DB", {("surprise", 0): 1, ("happy", 0): 1, ("neutral", 0): 1, ("happy", 2): 1}
    )  # fmt: skip
    assert all("_aligned" in picture.file.parts[-1] for picture in found.pictures)
    assert {reason: len(names) for reason, names in left_out.items()} == {
        "original of an aligned picture": 4, "not in RAF-DB's list": 2, "no picture": 1,
    }  # fmt: skip


def test_raf_db_list_is_checked(tmp_path):
    path = raf(tmp_path, aligned=False)
    path.write_text(path.read_text() + "train_00009.jpg 2\n")
    assert labelled(tmp_path)[0].notes == (
        "1 pictures of basic/EmoLabel/list_patition_label.txt are missing",
    )
    for line in ("train_00009.jpg 8", "train_00009.jpg", "../x.jpg 1"):
        path.write_text("train_00001.jpg 1\n" + line + "\n")
        with pytest.raises(UserError, match=r"label\.txt:2: expected a line like train_00001"):
            labelled(tmp_path)


def test_raf_db_in_numbered_folders(tmp_path):
    """As Kaggle has it; the numbers are RAF-DB's."""
    for split in ("train", "test"):
        for code in "123":
            write_images(tmp_path / "DATASET" / split / code, [f"{split}_0000{code}_aligned.jpg"])
    assert labelled(tmp_path)[0].classes == ("disgust", "fear", "surprise")


def annotate(path, value):
    stream = io.BytesIO()
    np.save(stream, np.array(value))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue())


def test_affectnet_as_delivered(tmp_path):
    for split in ("train_set", "val_set"):
        write_images(tmp_path / split / "images", ["0.jpg", "1.jpg", "2.jpg"])
        for number, code in enumerate(("7", "1")):
            annotate(tmp_path / split / "annotations" / f"{number}_exp.npy", code)
            annotate(tmp_path / split / "annotations" / f"{number}_val.npy", "0.5")
    found, left_out = labelled(tmp_path)
    assert (found.layout, counts(found)) == (
        "AffectNet", {(name, split): 1 for name in ("contempt", "happy") for split in (0, 1)}
    )  # fmt: skip
    assert left_out["no annotation"] == ["train_set/images/2.jpg", "val_set/images/2.jpg"]
    annotate(tmp_path / "train_set" / "annotations" / "0_exp.npy", [1, 2])
    with pytest.raises(UserError, match=r"0_exp\.npy: expected a number, 0 neutral"):
        labelled(tmp_path)


def test_affectnet_lists_are_told_how_to_be_sorted(tmp_path):
    write_images(tmp_path / "Manually_Annotated_Images" / "689", ["7f.jpg"])
    (tmp_path / "training.csv").write_text("subDirectory_filePath,face_x,expression\n")
    with pytest.raises(UserError, match="sort its pictures into train/CLASS and val/CLASS"):
        labelled(tmp_path)


def test_an_archive_inside_is_to_be_unpacked(tmp_path):
    (tmp_path / "Image").mkdir()
    (tmp_path / "Image" / "aligned.zip").write_bytes(b"PK")
    (tmp_path / "list_patition_label.md").write_text("")
    with pytest.raises(UserError, match=r"no class folders.*unpack Image/aligned\.zip first"):
        labelled(tmp_path)


def test_numbers_that_are_pickled_are_refused(tmp_path):
    write_images(tmp_path / "train_set" / "images", ["0.jpg"])
    path = tmp_path / "train_set" / "annotations" / "0_exp.npy"
    path.parent.mkdir()
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(UserError, match="expected a number"):
        labelled(tmp_path)
