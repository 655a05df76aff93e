"""Reading files that others made, writing files that a crash leaves whole, locking a folder.

Read are regular files only, up to a limit. A written file has, after a crash or a power loss, the
old contents or the new, never half.
"""

from __future__ import annotations

import errno
import gzip
import io
import itertools
import json
import logging
import os
import socket
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml
from filelock import FileLock, Timeout

from nas.common.errors import UserError, first_line, shown

EXPERIMENTS = Path("experiments")  # where results go, unless one says where
MAX_TEXT = 4 << 20  # bytes
MAX_REPORT = 16 << 20  # of a report.json of nas.retrain
MAX_YAML = 64 << 10  # PyYAML takes seconds and a thousand times the memory for a megabyte
# What a file system without syncing of folders says (shared folders, CIFS, exFAT).
NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)

log = logging.getLogger(__name__)


def open_regular(path: Path) -> io.BufferedReader:
    """The file, open for reading. UserError where it is missing, a folder, a pipe or a device."""
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise UserError(f"{path}: cannot read: {reason(error)}") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UserError(f"{path}: cannot read: not a regular file")
    return file


def check_file(path: Path, limit: int, expected: str) -> Path:
    """The path, for a library that opens files itself. UserError says what was expected.

    It is one unless `open_regular` opens the file, and beyond `limit` bytes.
    """
    try:
        file = open_regular(path)
    except UserError as error:
        raise UserError(f"{error}; expected {expected}") from None
    with file:
        if os.fstat(file.fileno()).st_size > limit:
            raise UserError(f"{path}: larger than {limit} bytes; expected {expected}")
    return path


def lines_of(file: IO[bytes] | gzip.GzipFile, path: Path, limit: int = MAX_TEXT) -> Iterator[bytes]:
    """Lines with their ends, the last perhaps without. UserError where one is beyond `limit`."""
    for number in itertools.count(1):
        line = file.readline(limit + 1)
        if len(line) > limit:
            raise UserError(f"{path}:{number}: line longer than {limit} bytes")
        if not line:
            return
        yield line


def read_bytes(path: Path, limit: int, expected: str = "a smaller file") -> bytes:
    """All of a regular file; of one called *.gz, what it unpacks to. UserError beyond `limit`."""
    with open_regular(path) as file:
        try:
            if path.suffix == ".gz":
                with gzip.open(file) as unpacked:
                    raw = unpacked.read(limit + 1)
            else:
                raw = file.read(limit + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: cannot read: {reason(error)}") from None
    if len(raw) > limit:
        raise UserError(f"{path}: larger than {limit} bytes; expected {expected}")
    return raw


def read_text(path: Path, limit: int = MAX_TEXT) -> str:
    """The text of a small UTF-8 file. UserError when it is missing, a folder, binary or too big."""
    try:
        return read_bytes(path, limit, "a small text file").decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a UTF-8 text file") from None


def parse_json(text: str, where: str) -> Any:
    """The value. UserError when it is no JSON, or a key stands twice."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON: {first_line(error)}") from None


def read_json(path: Path, limit: int = MAX_TEXT) -> Any:
    """The value in a JSON file. UserError names the line where it is broken."""
    return parse_json(read_text(path, limit), str(path))


def read_yaml(path: Path) -> Any:
    """The value in a YAML file of at most 64 KiB. UserError names file and line."""
    return parse_yaml(read_text(path, MAX_YAML), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The value in a YAML text that is not too long."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: not valid YAML: {error.problem}") from None
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:  # PyYAML's own slips: `!!int ""`, `!!bool maybe`, `? []`
        raise UserError(f"{where}: not valid YAML: {error}") from None


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
            raise cannot_write(path, error) from None

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
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        self._file.close()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to the path that it gives; at the end that file becomes `path`, at once.

    A reader sees the old or the new file. UserError when the disk does not take it.
    """
    # The number keeps two processes apart, the suffix tells a library what to write.
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        partial.unlink(missing_ok=True)  # on a full disk it would take what little is left


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file, atomically. UserError when the disk does not take it."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def check_writable(path: Path) -> None:
    """UserError where the file could not be written later; its folder is made."""
    make_folder(path.parent)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        why = "it is a folder" if path.is_dir() else "no permission"
        raise UserError(f"{path}: cannot write: {why}")


def make_folder(path: Path) -> Path:
    """The folder, made where it is missing. UserError where that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot create: {reason(error)}") from None
    return path


def sync_folder(path: Path) -> None:
    """A file's creation or renaming survives a power loss only once its folder is synced."""
    if os.name == "nt":  # folders cannot be opened there
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
        log.info("%s: this file system syncs no folders: a power loss may undo writes", path)
    finally:
        os.close(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder is this process's alone. UserError names the owner where it is another's.

    The lock is the system's: it ends with its process, however that ends.
    """
    lock, owner = FileLock(folder / "lock", timeout=0), folder / "lock.owner"
    try:
        lock.acquire()
    except Timeout:
        name = _owner(owner)
        raise UserError(f"{folder}: in use by {name}") from None
    except (OSError, NotImplementedError) as error:  # a network file system without locks
        raise UserError(
            f"{folder}: cannot lock: {reason(error)}; keep runs on a file system with locks"
        ) from None
    try:
        replace_file(owner, f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def is_left_behind(folder: Path) -> bool:
    """Whether a process that is gone, however it ended, has left the folder locked."""
    if not (folder / "lock.owner").exists():
        return False
    try:
        with FileLock(folder / "lock", timeout=0):
            return True
    except Timeout:
        return False


def reason(error: BaseException) -> str:
    """Why the system refused, without the path that stands before it already."""
    return (isinstance(error, OSError) and error.strerror) or first_line(error)


def cannot_write(path: Path, error: OSError) -> UserError:
    """Raise it `from error`: whoever waits for space looks at the cause's errno."""
    return UserError(f"{path}: cannot write: {reason(error)}")


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe that nobody writes to; for files it changes nothing."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has no such pipes


def _owner(path: Path) -> str:
    try:
        return read_text(path, 200).strip()
    except UserError:  # it is taking hold, or letting go
        return "another process"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"key {shown(twice)} stands twice")
    return found


class _Loader(yaml.SafeLoader):
    """Without aliases (a small file could blow up), repeated keys and numbers to the base of 60."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(
                None, None, "aliases (*name) are not allowed", mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {shown(key)} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        # PyYAML reads 1:30 as 90, and 1:59:59:... of 64 KiB for minutes.
        if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float") and ":" in node.value:
            raise yaml.constructor.ConstructorError(
                None, None, f"{shown(node.value)}: YAML takes it for a number to the base of 60; "
                "quote it", node.start_mark,
            )  # fmt: skip
        return super().construct_scalar(node)
