from __future__ import annotations

import logging
import os
import zipfile

import numpy as np
import pytest
from drawn import make, write_images

from nas.common.errors import UserError
from nas.data import DATA, load, open_dataset, save
from nas.data.sources import located


@pytest.fixture
def here(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "nas")
    for name in ("oak", "ash"):
        write_images(
            tmp_path / "My leaves" / name, [f"{i:02}.png" for i in range(20)], ord(name[0])
        )
    return tmp_path / "My leaves"


def test_a_folder_is_prepared_once_under_a_key_of_its_content(here, caplog):
    data = open_dataset("My leaves")
    assert (len(data), data.shape, data.classes) == (40, (1, 12, 12), ("ash", "oak"))
    (path,) = DATA.glob("*.npz")
    assert data.name == path.stem
    assert data.name.startswith("My_leaves-")
    assert open_dataset(data.name).fingerprint == data.fingerprint  # as later commands name it
    written = path.stat().st_mtime_ns
    os.utime(here / "oak" / "00.png")
    assert open_dataset(f"{here}/").fingerprint == data.fingerprint
    assert path.stat().st_mtime_ns == written
    told = [record.getMessage() for record in caplog.records]
    assert f"data: My leaves, prepared as {path}" in told
    assert f"data: {here}, prepared before as {path}" in told
    assert told.count("data: taken: 40 pictures") == told.count("data: left out: none") == 2


def test_a_changed_picture_is_another_data_set(here):
    before = open_dataset("My leaves")
    write_images(here / "oak", ["00.png"], seed=99)
    after = open_dataset("My leaves")
    assert after.name != before.name
    assert after.fingerprint != before.fingerprint
    assert load(DATA / f"{before.name}.npz").fingerprint == before.fingerprint


def test_a_renamed_class_is_another_data_set(here):
    """Of the same pictures in the same order."""
    before = open_dataset("My leaves")
    (here / "oak").rename(here / "elm")
    after = open_dataset("My leaves")
    assert after.name != before.name
    assert after.classes == ("ash", "elm")


def test_a_zip_of_the_folder_holds_the_same_pictures(here):
    with zipfile.ZipFile("leaves.zip", "w") as archive:
        for path in sorted(here.rglob("*.png")):
            archive.write(path, path.relative_to(here.parent))
    assert open_dataset("leaves.zip").fingerprint == open_dataset("My leaves").fingerprint


def test_a_prepared_name_comes_before_a_folder_of_that_name(here, caplog):
    save(make(), DATA / "toy.npz")
    for name in ("a", "b"):
        write_images(here.parent / "toy" / name, [f"{i}.png" for i in range(20)])
    assert open_dataset("toy").name == "toy"
    assert "not the folder toy: that is ./toy" in caplog.text
    assert open_dataset("./toy").classes == ("a", "b")


def test_a_folder_is_used_where_nothing_can_be_kept(here, caplog):
    DATA.write_text("in the way")
    assert len(open_dataset("My leaves")) == 40
    assert "My leaves is not kept: data: cannot create" in caplog.text


def test_names_known_and_unknown(here):
    save(make(), DATA / "toy.npz")
    assert open_dataset("toy").fingerprint == open_dataset("data/toy.npz").fingerprint
    with pytest.raises(
        UserError, match=r"prepared are toy, synthetic.*'toy'.*nas\.data prepare toi"
    ):
        open_dataset("toi")
    with pytest.raises(UserError, match=r"passwd': no folder or \.zip"):
        open_dataset("../../etc/passwd")
    with pytest.raises(UserError, match=r"gone\.zip: no such file"):
        open_dataset("gone.zip")


def test_drawn_faces_are_warned_of_once(here, caplog, faces, monkeypatch):
    monkeypatch.setattr("nas.data.sources.drawn_faces", lambda: faces)  # others' are kept
    np.testing.assert_array_equal(open_dataset(None).images, faces.images)
    assert caplog.text.count("SYNTHETIC") == 1


@pytest.mark.parametrize("missing", ["my_faces", "./my_faces", "/nowhere/my_faces"])
def test_a_missing_folder_is_told_as_such(tmp_path, monkeypatch, missing):
    monkeypatch.chdir(tmp_path)
    for given in (missing, located(missing)):
        with pytest.raises(UserError, match=r"prepare my_faces --from") as error:
            open_dataset(given)
        looked = f"no folder or .zip {(tmp_path / missing).resolve()}; prepared are synthetic"
        assert looked in str(error.value)
        assert ("no prepared data set of this name in " in str(error.value)) == ("/" not in given)
