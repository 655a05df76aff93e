"""A small RTSP camera: Motion JPEG over RTP (RFC 2326, RFC 2435), all on one connection."""

import re
import socketserver
import struct
import time

import cv2

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 26\r\na=control:track1\r\n"
)
PACKET = 1400  # bytes of a picture in one packet


class Camera(socketserver.ThreadingTCPServer):
    """Gives `frames` (BGR, sides in multiples of 16), then hangs up."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, frames):
        self.frames = frames
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"rtsp://127.0.0.1:{self.server_address[1]}/live"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self._request():
            method, number = head[0].split()[0], re.search(r"CSeq: *(\d+)", "\n".join(head))[1]
            lines, body = [f"CSeq: {number}"], ""
            if method == "DESCRIBE":
                lines, body = [*lines, "Content-Type: application/sdp"], SDP
                lines.append(f"Content-Length: {len(SDP)}")
            if method == "SETUP":
                lines += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
            self.wfile.write(("\r\n".join(["RTSP/1.0 200 OK", *lines, "", ""]) + body).encode())
            if method == "PLAY":
                self._play()
                return

    def _request(self):
        lines = []
        while line := self.rfile.readline().decode().strip():
            lines.append(line)
        return lines

    def _play(self):
        sequence = 0
        for index, frame in enumerate(self.server.frames):
            tables, scan = _parts(frame)
            height, width = frame.shape[:2]
            for at in range(0, len(scan), PACKET):
                last = at + PACKET >= len(scan)
                rtp = struct.pack(">BBHII", 128, 26 | 128 * last, sequence, 3600 * index, 7)
                jpeg = struct.pack(">IBBBB", at, 1, 255, width // 8, height // 8)
                if at == 0:
                    jpeg += struct.pack(">HH", 0, len(tables)) + tables
                packet = rtp + jpeg + scan[at : at + PACKET]
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                sequence += 1
            time.sleep(0.02)


def _parts(frame):
    """The two quantisation tables and the coded pixels of a JPEG with 4:2:0 colours."""
    _, encoded = cv2.imencode(".jpg", frame)
    raw, at, tables = encoded.tobytes(), 2, b""
    while True:
        marker, length = struct.unpack(">HH", raw[at : at + 4])
        content = raw[at + 4 : at + 2 + length]
        if marker == 0xFFDB:
            tables += b"".join(content[k + 1 : k + 65] for k in range(0, len(content), 65))
        at += 2 + length
        if marker == 0xFFDA:
            return tables, raw[at:-2]
