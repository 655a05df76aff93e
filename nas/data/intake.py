"""What became of every file of a source: taken, or left out for a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from nas.common.schema import Int, Text, read

KEY = "intake"  # in the provenance
NAMED = 5  # files of one reason
LISTED = 10  # items of a note
MAX_NAME = 300  # characters of one


@dataclass(frozen=True)
class LeftOut:
    """How many files were left out for one reason, and the names of the first of them."""

    reason: Annotated[str, Text(200)]
    files: Annotated[int, Int(0, 10**9)]
    first: tuple[Annotated[str, Text(MAX_NAME)], ...] = ()

    def __str__(self) -> str:
        names = [*self.first, *["..."] * (self.files > len(self.first) > 0)]
        return f"{self.files} {self.reason}" + (f" ({', '.join(names)})" if names else "")


@dataclass(frozen=True)
class Intake:
    """notes: what makes figures on the data set worth less, or what was decided for the user."""

    taken: Annotated[int, Int(0, 10**9)]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Annotated[str, Text(4096)], ...] = ()

    @classmethod
    def of(cls, taken: int, left_out: Mapping[str, Sequence[str]], notes: Sequence[str]) -> Intake:
        """left_out: reason -> names of files."""
        found = tuple(
            LeftOut(reason, len(names), tuple(name[:MAX_NAME] for name in names[:NAMED]))
            for reason, names in left_out.items()
            if names
        )
        return cls(taken, found, tuple(notes))

    @classmethod
    def from_provenance(cls, provenance: dict[str, Any], where: str) -> Intake | None:
        """None where the data set has none (version 0.1). UserError where it is malformed."""
        if KEY not in provenance:
            return None
        return read(cls, provenance[KEY], f"{where}: provenance.{KEY}")

    def to_provenance(self) -> dict[str, Any]:
        """As `from_provenance` reads it."""
        return {KEY: json.loads(json.dumps(asdict(self)))}  # tuples become lists

    def lines(self) -> list[str]:
        """For the user: one line of what was taken, one of what was not, one for each note."""
        left_out = "; ".join(map(str, self.left_out)) or "none"
        notes = [f"note: {note}" for note in self.notes]
        return [f"taken: {self.taken} pictures", f"left out: {left_out}", *notes]


def listed(items: Sequence[str]) -> str:
    """The first items of many, for a note."""
    more = [f"{len(items) - LISTED} more"] if len(items) > LISTED else []
    return ", ".join([*items[:LISTED], *more])
