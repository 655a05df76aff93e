"""The seven expressions of FER2013 and the other names that data sets give them."""

from __future__ import annotations

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
