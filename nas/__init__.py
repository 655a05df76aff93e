"""fer-nas: genetic-algorithm neural architecture search for facial expression recognition."""

import os

__version__ = "0.1.0"

# OpenCV reads it when it is loaded; its own limit lets a small file unpack to three gigabytes.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(8192 * 8192))
