"""Writing files so that a crash or a power loss leaves the old contents or the new, never half."""

from __future__ import annotations

import os
from pathlib import Path

from nas.common.errors import UserError


class LineFile:
    """A file that grows by whole lines; one that the disk does not take leaves no trace.

    sync: a line survives a power loss once `append` has returned.
    """

    def __init__(self, path: Path, sync: bool) -> None:
        self.path, self.sync = path, sync
        try:
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open for the whole run
            sync_folder(path.parent)
        except OSError as error:
            raise _cannot_write(path, error) from None

    def append(self, line: str) -> None:
        """UserError when the disk does not take it."""
        raw = line.encode() + b"\n"
        size = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(raw)
            if written < len(raw):
                self._file.write(raw[written:])  # lets the system say why
            if self.sync:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(size)
            raise _cannot_write(self.path, error) from None

    def close(self) -> None:
        self._file.close()


def replace_file(path: Path, content: str | bytes) -> None:
    """Atomic: a reader sees the old or the new file. UserError when the disk does not take it."""
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)  # on a full disk it would take what little is left
        raise _cannot_write(path, error) from None


def sync_folder(path: Path) -> None:
    """A file's creation or renaming survives a power loss only once its folder is synced."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot write: {error.strerror}")
