"""What comes with the package, found by name from any folder: spaces, genomes, recipes, a model.

In a checkout nas/search_spaces, nas/recipes and nas/models are links; in a wheel, the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.common.errors import UserError, did_you_mean, shown

PACKAGE = Path(__file__).parents[1]


def _folder(link: str, linked: str) -> Path:
    """Where a system knows no links (Windows), a checkout has a file in the link's place."""
    inside = PACKAGE / link
    return inside if inside.is_dir() else PACKAGE.parent / linked


@dataclass(frozen=True)
class Resources:
    """Files of one kind. A name is that of a file, without its suffix."""

    what: str
    folder: Path
    suffix: str

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob(f"*{self.suffix}"))

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{self.suffix}"

    def find(self, given: str, option: str = "") -> Path:
        """The file of that name, or the path given. UserError lists the names there are."""
        names = self.names()
        if given in names:
            return self.path(given)
        if Path(given).exists():
            return Path(given)
        where = f"{option}: " if option else ""
        raise UserError(
            f"{where}no {self.what} {shown(given)}: no such file; expected one, or a name of "
            f"{', '.join(names)}{did_you_mean(given, names)}"
        )


SEARCH_SPACES = Resources("search space", _folder("search_spaces", "search_spaces"), ".yaml")
REFERENCES = Resources("reference genome", SEARCH_SPACES.folder / "references", ".json")
RECIPES = Resources("recipe", _folder("recipes", "experiments/recipes"), ".yaml")
MODELS = Resources("model", _folder("models", "experiments/models"), ".onnx")
SHIPPED_MODEL = MODELS.path("model")
PROPOSED = REFERENCES.path("proposed")  # the report's own model
