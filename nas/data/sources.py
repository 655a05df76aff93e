"""What `--data` may name: the drawn faces, a prepared data set, an .npz file."""

from __future__ import annotations

import logging

from nas.common.errors import UserError, did_you_mean
from nas.data.dataset import DATA, Dataset, check_name, load
from nas.data.synthetic import SYNTHETIC, synthetic_faces

log = logging.getLogger(__name__)


def open_dataset(name_or_path: str | None) -> Dataset:
    """The synthetic default (None), a prepared data set by name, or any .npz by its path."""
    dataset = _open(name_or_path)
    if dataset.provenance.get("synthetic"):
        log.warning(
            "data: SYNTHETIC faces drawn by code. Figures and calibrations say nothing about real "
            "faces; prepare a data set with: python -m nas.data prepare fer2013 --from FILE"
        )
    return dataset


def _open(name_or_path: str | None) -> Dataset:
    if name_or_path is None or name_or_path == SYNTHETIC:
        return synthetic_faces()
    if name_or_path.endswith(".npz"):
        return load(name_or_path)
    path = DATA / f"{check_name(name_or_path)}.npz"
    if path.is_file():
        return load(path)
    here = sorted(p.stem for p in DATA.glob("*.npz"))
    raise UserError(
        f"data set {name_or_path!r}: no {path}; found {', '.join([*here, SYNTHETIC])}"
        f"{did_you_mean(name_or_path, [*here, SYNTHETIC])}. Prepare it with: "
        f"python -m nas.data prepare {name_or_path} --from FILE_OR_FOLDER"
    )
