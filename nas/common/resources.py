"""What comes with the package, found by name from any folder: spaces, genomes, recipes, a model.

In a checkout nas/search_spaces, nas/recipes and nas/models are links; in a wheel, the files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.common.errors import PACKAGE, UserError, did_you_mean, expect, shown

MAX_LISTED = 8  # folders, in a message

log = logging.getLogger(__name__)


def _folder(link: str, linked: str) -> Path:
    """Where a system knows no links (Windows), a checkout has a file in the link's place."""
    inside = PACKAGE / link
    return inside if inside.is_dir() else PACKAGE.parent / linked


@dataclass(frozen=True)
class Resources:
    """Files of one kind. A name is that of a file, without its suffix.

    inside: the names that such a file has in the folder of a run or of a retrained network.
    """

    what: str
    folder: Path
    suffix: str
    inside: tuple[str, ...] = ()

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob(f"*{self.suffix}"))

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{self.suffix}"

    def find(
        self, given: str | os.PathLike[str], option: str = "", inside: Sequence[str] = (),
        offered: bool = True,
    ) -> Path:  # fmt: skip
        """The file of that name, the path given, or the first of `inside` in the folder given.

        A name goes before a path of the same letters; `./name` is always a path. UserError lists
        the names there are, if they are offered, or the folders below that hold such a file.
        """
        expect(given, (str, os.PathLike), option or self.what, "a name or a path")
        names, path = self.names(), Path(given)
        where, inside = f"{option}: " if option else "", inside or self.inside
        if os.fspath(given) in names:
            if path.exists():
                log.warning("%s%s: the %s that ships; what lies here is ./%s", where, path,
                            self.what, path)  # fmt: skip
            return self.path(str(path))
        if path.is_dir() and inside:
            for name in inside:
                if (path / name).is_file():
                    return path / name
            raise UserError(
                f"{where}{path}: no {self.what} in this folder; expected {' or '.join(inside)}"
                f"{_below(path, inside)}"
            )
        if path.exists():
            return path
        or_name = f", or a name of {', '.join(names)}{did_you_mean(str(path), names)}"
        raise UserError(
            f"{where}no {self.what} {shown(os.fspath(given))}: no such file; expected one"
            f"{or_name if offered else ''}"
        )


def _below(folder: Path, inside: Sequence[str]) -> str:
    """Where such a file is: below a run it is in retrain/ID."""
    found = {path.parent for name in inside for path in (
        *folder.glob(f"*/{name}"), *folder.glob(f"*/*/{name}"))}  # fmt: skip
    listed = [str(path) for path in sorted(found)[:MAX_LISTED]]
    more = len(found) - len(listed)
    return f"; there is {', '.join(listed)}{f' and {more} more' if more else ''}" if found else ""


SEARCH_SPACES = Resources(
    "search space", _folder("search_spaces", "search_spaces"), ".yaml", ("space.yaml",)
)
REFERENCES = Resources(
    "genome", SEARCH_SPACES.folder / "references", ".json", ("best.json", "genome.json")
)
RECIPES = Resources("recipe", _folder("recipes", "experiments/recipes"), ".yaml")
MODELS = Resources("model", _folder("models", "experiments/models"), ".onnx")
SHIPPED_MODEL = MODELS.path("model")
PROPOSED = REFERENCES.path("proposed")  # the report's own model

ONNX, WEIGHTS = ".onnx", ".safetensors"  # the forms of a trained network
WRITERS = {ONNX: "nas.retrain and nas.export write", WEIGHTS: "nas.retrain writes"}


def find_model(given: str | os.PathLike[str], option: str, *forms: str) -> Path:
    """A trained network by name, folder or file, in the first of `forms` that is there.

    UserError says which form is needed, and where it lies, if it does.
    """
    inside = [f"model{form}" for form in forms]
    path = MODELS.find(given, option, inside, offered=ONNX in forms)  # what ships is ONNX
    if path.suffix not in WRITERS or path.suffix in forms:
        return path
    (needed,) = forms
    whole = path.with_name(path.name.replace(".int8.", "."))
    beside = [p for p in (whole.with_suffix(needed), path.with_name(f"model{needed}"))
              if p.is_file()]  # fmt: skip
    raise UserError(
        f"{option}: {path}: found {path.suffix}; expected model{needed}, which {WRITERS[needed]}"
        f"; {f'it is {beside[0]}' if beside else f'there is none in {path.parent}'}"
    )
