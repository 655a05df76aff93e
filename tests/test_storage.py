"""Files on a disk that is full, and files that are replaced."""

import contextlib
import resource

import pytest

from nas.errors import UserError
from nas.storage import LineFile, replace_file


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
