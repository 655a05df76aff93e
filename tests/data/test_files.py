from __future__ import annotations

import os
import stat
import subprocess
import sys
import unicodedata
import zipfile

import numpy as np
import pytest
from drawn import write_images

from nas.common.errors import UserError
from nas.data.files import open_files


def tree(path):
    with open_files(path) as source:
        return [file.name for file in source.files], dict(source.left_out)


def test_hidden_files_are_left_out_and_counted(tmp_path):
    write_images(tmp_path / "a" / "b", ["1.png"])
    for name in (".DS_Store", "a/._1.png", "__MACOSX/a/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    assert tree(tmp_path) == (
        ["a/b/1.png"], {"hidden": [".DS_Store", "__MACOSX/a/1.png", "a/._1.png"]},
    )  # fmt: skip


def test_hidden_files_are_told_in_the_order_of_their_names(tmp_path):
    """And not in the system's, which is another on another disk."""
    write_images(tmp_path / "a", ["1.png"])
    (tmp_path / ".git").mkdir()
    names = [f".git/{number:02}" for number in range(40)]
    for name in np.random.default_rng(0).permutation(names):
        (tmp_path / name).write_text("")
    assert tree(tmp_path)[1]["hidden"] == names


@pytest.mark.parametrize("target", ["/etc/passwd", "../other/2.png", "../secret.png"])
def test_links_out_of_a_class_folder_are_refused(tmp_path, target):
    write_images(tmp_path / "set" / "a", ["1.png"])
    write_images(tmp_path / "set" / "other", ["2.png"])
    (tmp_path / "set" / "a" / "link.png").symlink_to(target)
    with pytest.raises(UserError, match=r"link\.png: a link out of a; copy the file instead"):
        tree(tmp_path / "set")


def test_links_to_folders_are_refused_and_links_inside_a_class_are_read(tmp_path):
    write_images(tmp_path / "set" / "a", ["1.png"])
    (tmp_path / "set" / "a" / "2.png").symlink_to("1.png")
    assert tree(tmp_path / "set")[0] == ["a/1.png", "a/2.png"]
    (tmp_path / "set" / "a" / "again").symlink_to(".")
    with pytest.raises(UserError, match="again: a link to a folder"):
        tree(tmp_path / "set")


def test_names_in_any_encoding_and_locale(tmp_path):
    """Latin-1 names of an old zip, and an ASCII locale: the files are read, and sorted by name."""
    write_images(tmp_path / "a", ["1.png"])
    raw = (tmp_path / "a" / "1.png").read_bytes()
    for name in (
        b"gl\xfcck.png",
        "gl\u00fcck.png".encode(),
        unicodedata.normalize("NFD", "\u00e9.png").encode(),
    ):
        with open(os.path.join(os.fsencode(tmp_path / "a"), name), "wb") as file:
            file.write(raw)
    expected = ["a/1.png", "a/gl\\xfcck.png", "a/gl\u00fcck.png", "a/\u00e9.png"]
    assert tree(tmp_path)[0] == expected
    code = (
        "import sys, pathlib\n"
        "from nas.data.files import open_files\n"
        "from nas.data.pictures import read_pixels\n"
        "with open_files(pathlib.Path(sys.argv[1])) as source:\n"
        "    print(ascii([f.name for f in source.files]))\n"
        "    print([read_pixels(f, False).shape for f in source.files])\n"
    )
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=plain, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [ascii(expected), str([(12, 12)] * 4)], done.stderr


def test_a_zip_is_read_as_the_folder_it_holds(tmp_path):
    write_images(tmp_path / "set" / "a", ["1.png", "2.png"])
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set" / "a").iterdir()):
            archive.write(path, f"a/{path.name}")
        archive.writestr("__MACOSX/a/._1.png", "x")
        archive.writestr("../up.png", "x")
        archive.writestr("z/", "")
    names, left_out = tree(tmp_path / "set.zip")
    assert names == ["a/1.png", "a/2.png"]
    assert left_out["hidden"] == ["../up.png", "__MACOSX/a/._1.png"]
    with open_files(tmp_path / "set.zip") as source:
        assert source.files[1].read(1 << 20) == (tmp_path / "set" / "a" / "2.png").read_bytes()


def test_names_of_old_zips(tmp_path):
    """UTF-8 without the flag that says so, as macOS packs; and code page 437."""
    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/gl__ck.png", "x")
        archive.writestr("b/gl_ck.png", "x")
    raw = path.read_bytes().replace(b"gl__ck", "gl\u00fcck".encode()).replace(b"gl_ck", b"gl\x81ck")
    path.write_bytes(raw)
    assert tree(path)[0] == ["a/gl\u00fcck.png", "b/gl\u00fcck.png"]


def test_zips_that_are_refused(tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(b"no zip at all")
    with pytest.raises(UserError, match=r"x\.zip: not an intact zip"):
        tree(path)
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("a/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match=r"a/link\.png: a link; pack the file itself"):
        tree(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/bomb.bmp", bytes(100 << 20))
    with pytest.raises(UserError, match="unpacks to more than 100 times its size"):
        tree(path)


def test_a_damaged_member_is_one_line_when_it_is_read(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.png", b"A" * 1000)
    path.write_bytes(path.read_bytes().replace(b"AAAA", b"AABA", 1))
    with open_files(path) as source, pytest.raises(UserError, match=r"a/1\.png: cannot unpack"):
        source.files[0].read(2000)


def test_neither_a_folder_nor_a_zip(tmp_path):
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(UserError, match="neither a folder nor a"):
        tree(tmp_path / "x.txt")
