"""Serve the browser demo: the network runs on the visitor's side, this server only hands out files.

It listens on loopback alone, answers requests for a fixed list of files and reads nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cv2.data import haarcascades

from nas.common.errors import UserError
from nas.common.files import read_text
from nas.deploy.runtime import open_model
from nas.realtime.detector import CASCADES

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
RUNTIME = PAGE / "node_modules/onnxruntime-web/dist"  # `make web` puts it there
MAX_CONNECTIONS = 32
MAX_CARDS = 16  # files that are looked at
TIMEOUT = 15  # seconds that a connection may be silent
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".xml": "text/xml; charset=utf-8",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}
HEADERS = {
    # Nothing may be loaded from, or sent to, anywhere else; WebAssembly needs its own word.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
        "connect-src 'self'; img-src data:; media-src blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
Files = dict[str, bytes]  # URL path -> content


def files(model: Path) -> Files:
    """All that is ever served. UserError when the model does not fit or something is missing."""
    p = open_model(model).preprocessing
    cascade = Path(haarcascades, CASCADES["haar-alt2"][0])
    about = {**dataclasses.asdict(p), "card": _card(model, p.genome_id)}
    found = {
        "/model.onnx": model.read_bytes(),
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
        text = read_text(path)
        if genome_id and genome_id in text:
            return text
    return f"No model card beside {model.name} that names network {genome_id}."


class Server(ThreadingHTTPServer):
    """A few connections at a time, on loopback."""

    daemon_threads = True

    def __init__(self, served: Files, port: int) -> None:
        self.served = served
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UserError(f"--web: port {port}: {error.strerror}; choose another") from None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = TIMEOUT
    server_version, sys_version = "fer-nas", ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            # Another name that resolves to this machine: a page elsewhere tries to read ours.
            self.send_error(403)
            return
        path = self.path.partition("?")[0]
        body = self.server.served.get(path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", TYPES.get(Path(path).suffix, TYPES[".html"]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def serve(model: Path, port: int, say: Callable[[str], None]) -> None:
    """Until Ctrl-C. say: prints the address."""
    with Server(files(model), port) as server:
        say(f"{server.url} (this machine only; Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended")
