"""Label the faces of a camera, video, picture or folder with a trained ONNX model. No torch."""

from __future__ import annotations

from typing import Any

__all__ = ["Face", "Recognizer"]


def __getattr__(name: str) -> Any:
    # Imported on first use: `--help` must not wait for OpenCV and ONNX Runtime.
    if name in __all__:
        from nas.realtime import recognizer

        return getattr(recognizer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
