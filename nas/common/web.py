"""A small web server for this machine's user: on loopback alone, with a fixed set of answers."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

from nas.common.cli import say
from nas.common.errors import UserError

HOST = "127.0.0.1"
PORT = 8090  # where none is given
MAX_CONNECTIONS = 32
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
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Answers(Protocol):
    """URL path -> body, None for what is not served: a dict, or what makes bodies when asked."""

    def get(self, path: str, /) -> bytes | None: ...


class Server(ThreadingHTTPServer):
    """A few connections at a time, on loopback."""

    daemon_threads = True

    def __init__(self, served: Answers, port: int, headers: dict[str, str] | None = None) -> None:
        """port: 0 for any free one. headers: beside those that every answer has."""
        self.served, self.headers = served, HEADERS | (headers or {})
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UserError(f"port {port}: {error.strerror}; choose another") from None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def process_request(self, request: Any, client_address: object) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: object) -> None:
        """A visitor that hangs up is no event."""


def serve(server: Server) -> None:
    """Until Ctrl-C; the address is printed."""
    with server:
        say(f"{server.url} (this machine only; Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended")


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
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass
