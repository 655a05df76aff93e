"""Serve the browser demo: the network runs on the visitor's side, this server only hands out files.

It listens on loopback alone, answers requests for a fixed list of files and reads nothing else.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from cv2.data import haarcascades

from nas.common.errors import UserError
from nas.common.files import read_bytes, read_text
from nas.common.web import Server
from nas.deploy.preprocessing import MAX_MODEL_BYTES
from nas.deploy.runtime import open_model
from nas.realtime.detector import CASCADES

PAGE = Path(__file__).parent / "page"
RUNTIME = PAGE / "node_modules/onnxruntime-web/dist"  # `make web` puts it there
MAX_CARDS = 16  # files that are looked at
HEADERS = {
    # Nothing may be loaded from, or sent to, anywhere else; WebAssembly needs its own word.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
        "connect-src 'self'; img-src data:; media-src blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
Files = dict[str, bytes]  # URL path -> content


def files(model: Path) -> Files:
    """All that is ever served. UserError when the model does not fit or something is missing."""
    opened = open_model(model)  # the browser checks its own arithmetic, by the probes
    p, probes = opened.info, opened.probes
    cascade = Path(haarcascades, CASCADES["haar-alt2"][0])
    about = {
        **dataclasses.asdict(p),
        "card": _card(model, p.genome_id),
        "probes": probes and probes.to_dict(),
    }
    found = {
        "/model.onnx": read_bytes(model, MAX_MODEL_BYTES, "an ONNX model"),
        "/model.json": json.dumps(about).encode(),
        "/cascade.xml": cascade.read_bytes(),
    }
    for path in (PAGE / "index.html", PAGE / "style.css", *sorted(PAGE.glob("*.js"))):
        found[f"/{path.name}"] = path.read_bytes()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        if not (RUNTIME / name).is_file():
            raise UserError(
                f"{RUNTIME}: no ONNX Runtime Web; fetch it once with: make web "
                f"(or: cd {PAGE} && npm ci)"
            )
        found[f"/vendor/{name}"] = (RUNTIME / name).read_bytes()
    return found | {"/": found["/index.html"]}


def _card(model: Path, genome_id: str) -> str:
    """The text beside the model that speaks of this network, and not of another."""
    for path in sorted(model.parent.glob("*.md"))[:MAX_CARDS]:
        try:
            text = read_text(path)
        except UserError:  # somebody's file, which happens to lie there
            continue
        if genome_id and genome_id in text:
            return text
    return f"No model card beside {model.name} that names network {genome_id}."


def server(model: Path, port: int) -> Server:
    """Not running yet. port: 0 for any free one."""
    return Server(files(model), port, HEADERS)
