"""Smoke test of the environment that it runs in: import all, search, retrain, export, label a face.

Run by .ci/matrix in a fresh environment for each row of the support matrix; prints JSON.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import nas

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "torch", "numpy", "scipy", "deap", "ray", "onnx", "onnxruntime",
    "opencv-python", "moocore", "optuna", "pandas", "matplotlib", "safetensors",
)  # fmt: skip


def main() -> int:
    started = time.perf_counter()
    for module in pkgutil.walk_packages(nas.__path__, "nas."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        config = Path(folder) / "config.yaml"
        config.write_text("{calibration_genomes: 10, population: 4, fidelity: {epochs: 1}}")
        _command("nas.search", "--space", "quick", "--evaluations", "4",
                 "--workers", "2", "--config", str(config), "--run-dir", str(run))  # fmt: skip
        out = Path(folder) / "retrained"
        _command("nas.retrain", "--genome", str(run / "best.json"), "--epochs", "1",
                 "--out", str(out))  # fmt: skip
        picture = ROOT / "experiments/fer2013/frame.png"
        _command("nas.realtime", "--model", str(out / "model.onnx"), "--source", str(picture),
                 "--headless")  # fmt: skip
    print(json.dumps({
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "seconds": round(time.perf_counter() - started),
        "ok": True,
    }))  # fmt: skip
    return 0


def _command(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", *arguments, "--json"],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=900,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
