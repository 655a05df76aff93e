"""Files on a disk that is full, and files that are replaced."""

import contextlib
import os
import resource
from pathlib import Path

import pytest

from nas.common.errors import UserError
from nas.common.files import LineFile, replace_file


@contextlib.contextmanager
def full_disk():
    """No file of this process may grow beyond 100 bytes (Python ignores SIGXFSZ)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "lines"
    file = LineFile(path, sync=True)
    file.append("x" * 60)
    with full_disk(), pytest.raises(UserError, match="lines: cannot write: File too large"):
        file.append("y" * 60)
    assert path.read_text() == "x" * 60 + "\n"
    file.append("z" * 60)
    file.close()
    assert path.read_text().splitlines() == ["x" * 60, "z" * 60]


class Power:
    """What a disk holds after a power loss: of each file and folder, what was last synced.

    Contents count from the last fsync of the file, names from the last fsync of its folder.
    """

    def __init__(self, monkeypatch):
        self.contents, self.names = {}, {}  # inode -> bytes; folder -> {name: inode}
        self.sync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, descriptor):
        self.sync(descriptor)
        at = Path(f"/proc/self/fd/{descriptor}").readlink()
        if at.is_dir():
            self.names[at] = {p.name: p.stat().st_ino for p in at.iterdir()}
        else:
            self.contents[at.stat().st_ino] = at.read_bytes()

    def lost(self, path):
        """The file as it comes back; None where its name was never synced."""
        inode = self.names.get(path.parent, {}).get(path.name)
        return None if inode is None else self.contents.get(inode, b"")


def test_an_acknowledged_line_survives_a_power_loss(tmp_path, monkeypatch):
    power, path = Power(monkeypatch), tmp_path / "lines"
    file, lazy = LineFile(path, sync=True), LineFile(tmp_path / "lazy", sync=False)
    for number in range(5):
        file.append(f"line {number}")
        assert power.lost(path).decode().splitlines()[-1] == f"line {number}"
    lazy.append("gone")
    assert power.lost(tmp_path / "lazy") == b""  # the simulation does lose what is not synced
    file.close()
    lazy.close()


def test_a_replaced_file_is_the_old_or_the_new_after_a_power_loss(tmp_path, monkeypatch):
    power, path = Power(monkeypatch), tmp_path / "file"
    replace_file(path, "old")
    assert power.lost(path) == b"old"
    replace = os.replace

    def cut(*names):
        replace(*names)
        assert power.contents[path.stat().st_ino] == b"new"  # synced before it takes the name
        assert power.lost(path) == b"old"
        raise OSError(5, "power is gone")

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(UserError, match="power is gone"):
        replace_file(path, "new")
    monkeypatch.setattr(os, "replace", replace)
    replace_file(path, "newer")
    assert power.lost(path) == b"newer"


def test_a_file_that_cannot_be_replaced_stays(tmp_path):
    path = tmp_path / "file"
    replace_file(path, "old")
    with full_disk(), pytest.raises(UserError, match="file: cannot write"):
        replace_file(path, "n" * 200)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_missing_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        LineFile(tmp_path / "nowhere/lines", sync=False)
