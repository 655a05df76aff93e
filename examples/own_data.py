"""Pictures of your own, from folders to a front: `python examples/own_data.py`.

Here they are scikit-learn's handwritten digits, 8x8 and grey, one folder for each class. Nothing
but the folder is named: the search prepares it, says what it took and left out, and takes classes
and image size from it.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import chdir
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

import nas


def write_digits(folder: Path) -> None:
    """1,797 pictures, `folder/<digit>/<number>.png`."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(f"{folder}/{label}/{number:04}.png", (pixels * 15.9).astype(np.uint8))


def main() -> None:
    """Eight networks, trained for three epochs each."""
    logging.basicConfig(level="INFO", format="%(message)s")
    write_digits(Path("digits"))
    run = nas.search("quick", data="digits", evaluations=8, epochs=3, workers=1, run_dir="run")
    print(run.front[["accuracy", "params", "macs", "fps"]])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        main()
