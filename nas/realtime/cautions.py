"""What a user should know of a model before it labels faces."""

from __future__ import annotations

from nas.common.expressions import are_expressions
from nas.common.text import unknown_letters
from nas.deploy.preprocessing import ModelInfo

SHOWN = 7  # classes of a list in a message


def cautions(model: ModelInfo, drawn: bool) -> list[str]:
    """A line for each. drawn: its labels go into pictures."""
    found = []
    if not are_expressions(model.classes):
        more = ", ..." if len(model.classes) > SHOWN else ""
        found.append(
            f"the model tells apart {', '.join(model.classes[:SHOWN])}{more} (data: "
            f"{model.training_data}); this demo finds faces, and shows it nothing else; from "
            "Python: nas.Recognizer(model).whole(picture)"
        )
    if drawn and (letters := unknown_letters(model.classes)):
        found.append(
            f"the font has no {letters!r}: class names with them have boxes in pictures; CSV and "
            "JSON have them whole"
        )
    return found
