"""Label the faces of a camera, video, picture or folder with a trained ONNX model. No torch."""

from nas.realtime.recognizer import Face, Recognizer

__all__ = ["Face", "Recognizer"]
