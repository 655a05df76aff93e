"""Label the faces of a camera, video, picture or folder with a trained ONNX model. No torch."""

from nas.common.lazy import lazy_names

__all__ = ["Face", "Recognizer"]

__getattr__ = lazy_names(__name__, dict.fromkeys(__all__, "nas.realtime.recognizer"))
