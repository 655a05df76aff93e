"""What `--data` may name: drawn faces, a prepared data set, an .npz, a folder or zip of pictures.

A folder or zip is prepared once: data/ keeps the result under a key of the files' contents.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from functools import cache
from pathlib import Path

from nas.common.errors import UserError, did_you_mean, shown
from nas.common.expressions import CLASSES
from nas.common.images import MAX_FILE
from nas.data.dataset import DATA, SYNTHETIC, Dataset, load, save
from nas.data.files import Source, open_files
from nas.data.folder import prepare_folder
from nas.data.intake import Intake
from nas.data.synthetic import SIDE, synthetic_faces

PREPARATION = 1  # counts up when the same files give another data set

log = logging.getLogger(__name__)


def open_dataset(data: Dataset | str | Path | None) -> Dataset:
    """The synthetic default (None), a prepared data set by name, an .npz, or a folder or .zip.

    A folder of CLASS/picture, or of another layout of layouts.py, becomes a data set of the same
    name with a key, which can be opened by that name from then on. A Dataset is given back.
    """
    if isinstance(data, Dataset):
        return data
    dataset = _open(None if data is None else str(data))
    if dataset.provenance.get("synthetic"):
        log.warning(
            "data: SYNTHETIC faces drawn by code. Figures and calibrations say nothing about real "
            "faces; prepare a data set with: python -m nas.data prepare fer2013 --from FILE"
        )
    return dataset


def form_of(data: str) -> tuple[int, int, int, int]:
    """Classes, channels, height and width of a data set; the synthetic faces are not drawn."""
    if data == SYNTHETIC:
        return len(CLASSES), 1, SIDE, SIDE
    return open_dataset(data).form


@cache
def drawn_faces() -> Dataset:
    """The synthetic default: drawing it takes seconds, and a notebook opens it for each step."""
    dataset = synthetic_faces()
    for array in (dataset.images, dataset.labels, dataset.split):
        array.flags.writeable = False  # it is everybody's
    return dataset


def located(name_or_path: str) -> str:
    """The same, for whoever opens it later from another folder: a path absolute, a name as it is.

    A name is the synthetic faces' or that of a prepared data set (see `_open`), or of nothing.
    """
    is_path = any(c in name_or_path for c in "/.") or os.path.exists(name_or_path)
    if not is_path or name_or_path == SYNTHETIC or _is_prepared(name_or_path):
        return name_or_path
    return os.path.abspath(name_or_path)


def _is_prepared(name: str) -> bool:
    return "/" not in name and not name.endswith(".npz") and (DATA / f"{name}.npz").is_file()


def _open(name_or_path: str | None) -> Dataset:
    if name_or_path is None or name_or_path == SYNTHETIC:
        return drawn_faces()
    if name_or_path.endswith(".npz"):
        return load(name_or_path)
    prepared, source = DATA / f"{name_or_path}.npz", Path(name_or_path)
    if _is_prepared(name_or_path):
        if source.is_dir():
            log.info("data: %s, not the folder %s: that is ./%s", prepared, source, source)
        return load(prepared)
    if source.is_dir() or source.suffix.lower() == ".zip":
        return _prepared_once(source)
    raise _not_found(name_or_path)


def _not_found(name_or_path: str) -> UserError:
    """What was looked for and where, and what there is."""
    path = Path(name_or_path)
    names = [*sorted(p.stem for p in DATA.glob("*.npz")), SYNTHETIC]
    looked = f"no folder or .zip {os.path.abspath(path)}"
    if path.is_file():
        looked = f"{os.path.abspath(path)} is a file, but no .npz or .zip"
    if "/" not in name_or_path:
        looked = f"no prepared data set of this name in {os.path.abspath(DATA)}, and {looked}"
    return UserError(
        f"data {shown(name_or_path)}: {looked}; prepared are {', '.join(names)}"
        f"{did_you_mean(path.name, names)}. To prepare it: python -m nas.data prepare "
        f"{_name_of(path)} --from FILE_OR_FOLDER"
    )


def _prepared_once(source: Path) -> Dataset:
    with open_files(source) as files:
        name = f"{_name_of(source)}-{content_key(files)}"
    path = DATA / f"{name}.npz"
    if path.is_file():
        dataset = load(path)
        log.info("data: %s, prepared before as %s", source, path)
    else:
        dataset = prepare_folder(source, name)
        try:
            save(dataset, path)
            log.info("data: %s, prepared as %s", source, path)
        except UserError as error:  # a folder that cannot be written keeps nobody from working
            log.warning("data: %s is not kept: %s", source, error)
    channels, height, width = dataset.shape
    tone = "colour" if channels == 3 else "grey"
    log.info("data: %d classes, %s, %dx%d", len(dataset.classes), tone, height, width)
    intake = Intake.from_provenance(dataset.provenance, str(path))
    for line in intake.lines() if intake else []:
        log.info("data: %s", line)
    return dataset


def _name_of(path: Path) -> str:
    """The folder's or zip's name in letters that `check_name` takes."""
    stem = re.sub(r"[^A-Za-z0-9_+]+", "_", path.resolve().stem).strip("_+")
    return stem[:40] or "pictures"


def content_key(source: Source) -> str:
    """16 hex digits that name the visible files: their paths and contents."""
    digest = hashlib.sha256(f"{PREPARATION}".encode())
    for file in source.files:
        name = file.name.encode("utf-8", "surrogatepass")
        try:
            content = file.read(MAX_FILE + 1)
        except UserError:
            content = b""  # preparing it names what cannot be read
        digest.update(f"{len(name)} {len(content)} ".encode() + name + content)
    return digest.hexdigest()[:16]
