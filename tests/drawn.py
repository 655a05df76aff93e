"""Small data sets that tests make: arrays, CSV rows of FER2013, picture files."""

import gzip
import zipfile

import cv2
import numpy as np

from nas.data import Dataset


def make(n=60, classes=3, seed=0, side=8):
    rng = np.random.default_rng(seed)
    return Dataset(
        name="toy",
        images=rng.integers(0, 256, (n, 1, side, side), dtype=np.uint8),
        labels=(np.arange(n) % classes).astype(np.uint8),
        split=np.repeat([0, 1, 2], [n - 2 * (n // 5), n // 5, n // 5]).astype(np.uint8),
        classes=tuple("abcdefg"[:classes]),
        provenance={"source": "test", "synthetic": True},
    )


def csv_text(rows, header="emotion,pixels,Usage"):
    return "\n".join([header, *rows]) + "\n"


def row(emotion=0, pixels="7 " * 2304, usage="Training"):
    return f"{emotion},{pixels.strip()},{usage}"


ROWS = [row(0, "1 " * 2304), row(3, "2 " * 2304, "PublicTest"), row(6, usage="PrivateTest")]


def write_images(folder, names, seed=0, side=12):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((seed, len(str(folder))))
    for name in names:
        _, raw = cv2.imencode(".png", rng.integers(0, 256, (side, side), dtype=np.uint8))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw.tobytes())  # OpenCV tells the format by content


def pack(path, text):
    raw = text.encode()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train.csv", "emotion,pixels\n")
            archive.writestr("icml_face_data.csv", raw)
    else:
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path
