"""The files of a data set as delivered, in a folder or a zip: listed and read, never unpacked."""

from __future__ import annotations

import contextlib
import os
import stat
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nas.common.errors import UserError, first_line
from nas.common.files import open_regular, reason

MAX_FILES = 1_000_000
MAX_RATIO, FREE_BYTES = 100, 64 << 20  # of what a zip unpacks to; pictures hardly shrink
BROKEN_ZIP = (  # what zipfile raises
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, LookupError,
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """parts: folders and name below the source, NFC. read(n): its first n bytes, or UserError."""

    parts: tuple[str, ...]
    read: Callable[[int], bytes]

    @property
    def name(self) -> str:
        """The path below the source, with slashes."""
        return "/".join(self.parts)


@dataclass(frozen=True)
class Source:
    """The visible files of a folder or zip, by path.

    left_out: what is not taken, reason -> the files' names below the source; readers add to it.
    """

    path: Path
    files: tuple[File, ...]
    left_out: defaultdict[str, list[str]]


@contextmanager
def open_files(path: Path) -> Iterator[Source]:
    """List a folder or a .zip. UserError when it is neither, or holds a link that leads out of it.

    Dot files and macOS's `__MACOSX` are left out.
    """
    if path.is_dir():
        yield _source(path, _walk(path))
    elif path.is_file() and path.suffix.lower() == ".zip":
        try:
            archive = zipfile.ZipFile(path)
        except BROKEN_ZIP as error:
            raise UserError(f"{path}: not an intact zip: {first_line(error)}") from None
        with archive:
            yield _source(path, _members(archive, path))
    else:
        found = "neither a folder nor a .zip" if path.exists() else "no such file or folder"
        raise UserError(f"{path}: {found}; expected a folder or .zip of CLASS/picture")


def _source(path: Path, files: Iterator[File]) -> Source:
    shown: list[File] = []
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    for number, file in enumerate(files):
        if number >= MAX_FILES:
            raise UserError(f"{path}: holds more than {MAX_FILES} files")
        if any(part.startswith(".") or part == "__MACOSX" for part in file.parts):
            left_out["hidden"].append(file.name)
        else:
            shown.append(file)
    for names in left_out.values():
        names.sort()  # the system lists files in an order of its own
    return Source(path, tuple(sorted(shown, key=lambda file: file.parts)), left_out)


def _walk(root: Path) -> Iterator[File]:
    """Links are followed to files of the same top folder: others may show what is not theirs."""
    real = root.resolve()
    for folder, folders, names in os.walk(root, onerror=_refuse):
        below = Path(folder).relative_to(root).parts
        for name in folders:
            if (path := Path(folder, name)).is_symlink():
                raise UserError(f"{path}: a link to a folder; copy the folder here instead")
        for name in names:
            path, parts = Path(folder, name), tuple(map(_text, (*below, name)))
            if path.is_symlink():
                home = real.joinpath(*below[:1])
                if not path.resolve().is_relative_to(home):
                    raise UserError(f"{path}: a link out of {home.name}; copy the file instead")
            yield File(parts, partial(_read, path))


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot read: {reason(error)}")


def _read(path: Path, limit: int) -> bytes:
    with open_regular(path) as file:
        try:
            return file.read(limit)
        except OSError as error:
            raise UserError(f"{path}: cannot read: {reason(error)}") from None


def _text(name: str) -> str:
    """A name of the file system as text, whatever the locale; bytes that are no UTF-8 escaped."""
    raw = os.fsencode(name)
    return unicodedata.normalize("NFC", raw.decode("utf-8", "backslashreplace"))


def _members(archive: zipfile.ZipFile, path: Path) -> Iterator[File]:
    packed = sum(member.compress_size for member in archive.filelist)
    if sum(member.file_size for member in archive.filelist) > FREE_BYTES + MAX_RATIO * packed:
        raise UserError(f"{path}: unpacks to more than {MAX_RATIO} times its size")
    for member in archive.filelist:
        parts = tuple(part for part in _member_name(member).split("/") if part)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{path}: {'/'.join(parts)}: a link; pack the file itself")
        if parts and not member.is_dir():
            where = f"{path}: {'/'.join(parts)}"
            yield File(parts, partial(_unpack, archive, member, where))


def _member_name(member: zipfile.ZipInfo) -> str:
    """Old tools write UTF-8 without its flag, and zipfile then reads it as code page 437."""
    name = member.filename
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):  # then it is code page 437
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str, limit: int) -> bytes:
    try:
        with archive.open(member) as file:
            return file.read(limit)
    except BROKEN_ZIP as error:
        raise UserError(f"{where}: cannot unpack: {first_line(error)}") from None
