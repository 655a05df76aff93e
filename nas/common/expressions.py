"""The seven expressions of FER2013 and the other names that data sets give them."""

from __future__ import annotations

from collections.abc import Iterable

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "afraid": "fear",
    "joy": "happy",
    # JAFFE's and KDEF's codes
    **{"an": "angry", "di": "disgust", "fe": "fear", "af": "fear", "ha": "happy", "sa": "sad"},
    **{"su": "surprise", "ne": "neutral"},
}
RARER = ("contempt",)  # in CK+, AffectNet and FERPlus


def folded(name: str) -> str:
    """A class's name without what a reader may not see: case, and white space beside words."""
    return " ".join(name.lower().split())


def canonical(name: str) -> str:
    """One word for one expression: `Happiness` and `happy ` are the same."""
    return SYNONYMS.get(folded(name), folded(name))


def are_expressions(classes: Iterable[str]) -> bool:
    """Whether classes of these names are of faces, as far as names tell."""
    return any(canonical(name) in (*CLASSES, *RARER) for name in classes)
