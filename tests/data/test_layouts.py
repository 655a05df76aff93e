from __future__ import annotations

import io
import unicodedata
from collections import Counter

import cv2
import numpy as np
import pytest
from drawn import write_images

from nas.common.errors import UserError
from nas.data.files import open_files
from nas.data.folder import prepare_folder
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
    assert found.notes == ("folders taken as one class: 'Happy' (3) and 'happy' (2)",)
    assert left_out == {}


def test_folders_that_differ_in_white_space_are_one_class(tmp_path):
    """`triangle ` was a class of its own, which a reader of any message took for the other."""
    names = {"triangle": 3, "triangle ": 2, "big  square": 1, " Big\u00a0square": 2}
    for number, (name, n) in enumerate(names.items()):
        write_images(tmp_path / "train " / name, [f"{number}{i}.png" for i in range(n)])
    write_images(tmp_path / "test/TRIANGLE", ["0.png"])
    found, left_out = labelled(tmp_path)
    assert counts(found) == {("triangle", 0): 5, ("big square", 0): 3, ("triangle", 2): 1}
    assert found.notes == (
        "folders taken as one class: 'TRIANGLE' (1) and 'triangle' (3) and 'triangle ' (2), "
        "' Big\\xa0square' (2) and 'big  square' (1)",
    )
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


def test_affectnets_folders_are_told_whatever_their_case_and_white_space(tmp_path):
    """Of `train_set ` no picture had a split: all were left out."""
    for folder in (" Train_Set ", "VAL_SET"):
        write_images(tmp_path / folder / "images", ["0.jpg", "1.jpg"])
        for number, code in enumerate("71"):
            annotate(tmp_path / folder / "annotations" / f"{number}_exp.npy", code)
    found, left_out = labelled(tmp_path)
    assert counts(found) == {(name, k): 1 for name in ("contempt", "happy") for k in (0, 1)}
    assert "no annotation" not in left_out


HEADER = ("subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
          "expression,valence,arousal\n")  # fmt: skip


@pytest.fixture
def affectnet(tmp_path):
    """By two lists, the second without a header line: 40 photos, and one in no list."""
    images, lists = tmp_path / "Manually_Annotated_Images", tmp_path / "lists"
    lists.mkdir()
    rows = {"training.csv": [], "validation.csv": []}
    for k in range(40):
        photo = np.full((60, 90), 10, np.uint8)
        code = (1, 6)[k % 2]
        photo[5:53, 30:78] = np.random.default_rng(k).integers(100, 120, (48, 48)) + 60 * (k % 2)
        path = images / f"{k % 3}" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photo)
        name = "training.csv" if k < 30 else "validation.csv"
        rows[name].append(f"{k % 3}/{k}.png,30,5,48,48,1.5;2.5;3.5,{code},0.1,-0.2\n")
    for k, code in enumerate((8, 9, 10)):
        cv2.imwrite(str(images / "0" / f"no{k}.png"), photo)
        rows["training.csv"].append(f"0/no{k}.png,NULL,NULL,NULL,NULL,NULL,{code},-2,-2\n")
    rows["training.csv"].append("0/gone.jpg,1,1,9,9,1;2,0,0,0\n")
    cv2.imwrite(str(images / "0" / "more.png"), photo)
    (lists / "training.csv").write_text(HEADER + "".join(rows["training.csv"]))
    (lists / "validation.csv").write_text("".join(rows["validation.csv"]))
    return tmp_path


def test_affectnet_by_its_lists(affectnet):
    found, left_out = labelled(affectnet)
    assert (found.layout, counts(found)) == ("AffectNet, lists", {
        ("happy", 0): 15, ("angry", 0): 15, ("happy", 1): 5, ("angry", 1): 5,
    })  # fmt: skip
    assert found.notes == ("1 pictures of the lists are missing",)
    for k, name in enumerate(("none", "uncertain", "no face")):
        assert left_out[f"labelled {name}"] == [f"Manually_Annotated_Images/0/no{k}.png"]
    assert left_out["in no list"] == ["Manually_Annotated_Images/0/more.png"]
    data = prepare_folder(affectnet, "affectnet")
    assert data.shape == (1, 48, 48)
    assert data.images.min() >= 100  # of the faces, nothing of what is round them
    assert {data.counts()["test"][name] for name in data.classes} == {5}


def test_a_box_is_x_y_width_and_height(affectnet):
    training = affectnet / "lists/training.csv"
    training.write_text(training.read_text().replace("0/0.png,30,5,48,48", "0/0.png,30,5,48,40"))
    found = {picture.file.name: picture.box for picture in labelled(affectnet)[0].pictures}
    assert found["Manually_Annotated_Images/0/0.png"] == (30, 5, 48, 40)


def test_of_two_pictures_of_one_name_the_second_is_told_to_be_left_out(affectnet):
    again = affectnet / "Other_Images/0"
    again.mkdir(parents=True)
    cv2.imwrite(str(again / "0.png"), np.zeros((60, 90), np.uint8))
    found, left_out = labelled(affectnet)
    assert len(found.pictures) == 40
    assert left_out["of the same name as another"] == ["Other_Images/0/0.png"]


def test_affectnets_lists_are_told_whatever_their_case_and_white_space(affectnet):
    (affectnet / "lists/training.csv").rename(affectnet / "lists/ Training.CSV ")
    assert counts(labelled(affectnet)[0])["happy", 0] == 15


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0/0.png,1,2\n", r"training\.csv:2: expected columns subDirectory"),
        ("0/0.png,1,1,9,9,1,11,0,0\n", r"training\.csv:2: expression: found '11'.*7 contempt"),
        ("0/0.png,1,1,9,9,1,x,0,0\n", "expression: found 'x'"),
        ("0/0.png,1,1,0,9,1,1,0,0\n", "face_x to face_height: found '1,1,0,9'"),
        ("0/0.png,1,1,9,99999999,1,1,0,0\n", "face_x to face_height"),
        ("0/0.png,NULL,1,9,9,1,1,0,0\n", "face_x to face_height"),
        ('0/0.png,"' + "x" * 200_000 + "\n", "no CSV: field larger"),
    ],
)
def test_affectnet_lists_are_checked(affectnet, row, message):
    (affectnet / "lists/training.csv").write_text(HEADER + row)
    with pytest.raises(UserError, match=message):
        labelled(affectnet)


def test_a_box_outside_of_its_photo_is_a_broken_picture(affectnet):
    path = affectnet / "lists/training.csv"
    path.write_text(path.read_text().replace("0/0.png,30,5", "0/0.png,300,5"))
    with pytest.raises(UserError, match=r"1 of 40 pictures cannot be read.*lies outside of it"):
        prepare_folder(affectnet, "affectnet")


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
