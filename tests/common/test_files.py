"""Files on a disk that is full, and files that are replaced."""

import contextlib
import errno
import gzip
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nas.common.errors import UserError
from nas.common.files import (
    LineFile,
    check_file,
    lines_of,
    locked,
    read_bytes,
    read_yaml,
    replace_file,
    replacing,
)


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


def test_a_missing_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        LineFile(tmp_path / "nowhere/lines", sync=False)


def test_only_regular_files_are_read(tmp_path):
    """A pipe that nobody writes to would be waited for."""
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (Path("a\0b"), "null"),
    ):
        with pytest.raises(UserError, match=f"cannot read: .*{why}"):
            read_bytes(path, 10)


def test_no_more_is_read_than_allowed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_bytes(path, 10) == b"x" * 10
    with pytest.raises(UserError, match="larger than 9 bytes; expected a smaller file"):
        read_bytes(path, 9)
    packed = tmp_path / "file.gz"
    packed.write_bytes(gzip.compress(b"x" * 1000))
    assert read_bytes(packed, 1000) == b"x" * 1000
    with pytest.raises(UserError, match="larger than 999 bytes"):
        read_bytes(packed, 999)
    packed.write_bytes(gzip.compress(b"x" * 1000)[:-9])
    with pytest.raises(UserError, match=r"file\.gz: cannot read"):
        read_bytes(packed, 1000)


def test_lines_are_bounded(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"123456789\n12\n123")
    with open(path, "rb") as file:
        assert list(lines_of(file, path, 10)) == [b"123456789\n", b"12\n", b"123"]
    with open(path, "rb") as file, pytest.raises(UserError, match="lines:1: line longer than 9"):
        list(lines_of(file, path, 9))


def test_a_file_is_checked_before_a_library_opens_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert check_file(path, 10, "another") == path
    with pytest.raises(UserError, match="larger than 9 bytes; expected another"):
        check_file(path, 9, "another")
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("pipe", "not a regular file"), ("gone", "No such file or directory")):
        with pytest.raises(UserError, match=f"{name}: cannot read: {what}; expected another"):
            check_file(tmp_path / name, 9, "another")


@pytest.mark.parametrize("number", ["1" + ":59" * 20_000, "1:30", "1:30.5", "!!int 1:30"])
def test_no_number_to_the_base_of_60(number, tmp_path):
    """PyYAML reads 1:30 as 90, and one of 20,000 groups for minutes or with a traceback."""
    path = tmp_path / "x.yaml"
    path.write_text(f"epochs: {number}\n")
    with pytest.raises(UserError, match=r"x.yaml:1: not valid YAML: .*base of 60; quote it"):
        read_yaml(path)
    path.write_text(f"epochs: '{number}'\n")
    assert read_yaml(path) == {"epochs": number}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    replace_file(path, "old")
    with full_disk(), pytest.raises(UserError, match=r"file\.txt: cannot write") as error:
        replace_file(path, "x" * 1000)
    assert error.value.__cause__.errno == errno.EFBIG  # whoever waits for space looks at it
    assert path.read_text() == "old"
    with contextlib.suppress(RuntimeError), replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_file_system_that_syncs_no_folders(tmp_path, monkeypatch, caplog):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with caplog.at_level("INFO", "nas"):
        replace_file(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert "this file system syncs no folders" in caplog.text


def test_one_owner_of_a_folder(tmp_path):
    """Another is refused by name, in this process or in another; a killed one holds nothing."""
    with locked(tmp_path), pytest.raises(UserError, match=f"in use by process {os.getpid()} on"):
        locked(tmp_path).__enter__()
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom nas.common.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"in use by process {process.pid} on"):
            locked(tmp_path).__enter__()
        process.kill()
    with locked(tmp_path):
        pass
