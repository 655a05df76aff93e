"""Live sources that vanish, network streams, devices."""

import http.server
import os
import threading
import time

import cv2
import numpy as np
import pytest
from clips import FakeCamera, numbered, write_clip
from rtsp import Camera

from nas.common.errors import UserError
from nas.realtime import capture, live
from nas.realtime.sources import open_source


@pytest.fixture
def cameras(monkeypatch):
    """Sets what every opening of the camera gives."""
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.0)
    FakeCamera.opened = 0

    def use(*frames):
        given = iter(frames)
        monkeypatch.setattr(
            capture.cv2, "VideoCapture", lambda *_: FakeCamera(numbered(next(given, 0), (64, 48)))
        )

    return use


def test_a_camera_that_vanishes_is_retried_and_then_ends(cameras, caplog):
    cameras(3, 0, 2)
    source = open_source("0")
    assert source.live
    began = time.perf_counter()
    frames = list(source.frames)
    took = time.perf_counter() - began
    assert [f.index for f in frames] == [0, 1, 2, 3, 4]
    seconds = [f.seconds for f in frames]
    assert 0 <= seconds[0] <= seconds[-1] <= took
    assert seconds == sorted(seconds)
    assert FakeCamera.opened == 3 + live.RETRIES
    errors = caplog.text
    assert "camera 0: no frame; trying again (1/5)" in errors
    assert "camera 0: gave no more frames; ended" in errors


def test_no_camera(cameras):
    cameras()
    with pytest.raises(UserError, match="camera 7: cannot be opened"):
        open_source("7")


def test_a_password_in_a_url_is_not_repeated(cameras):
    cameras()
    with pytest.raises(UserError) as error:
        open_source("rtsp://me:secret@camera.invalid/live")
    assert "secret" not in str(error.value)
    assert "rtsp://camera.invalid/live" in str(error.value)


class _Stream(http.server.BaseHTTPRequestHandler):
    """Motion JPEG, the way network cameras send it; the connection is closed after 12 frames."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for k in range(12):
            _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 10 * k, np.uint8))
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")

    def log_message(self, *_):
        pass


def test_a_real_stream_over_http(monkeypatch, caplog):
    monkeypatch.setattr(live, "RETRIES", 0)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        source = open_source(f"http://127.0.0.1:{server.server_port}/video")
        assert source.live
        frames = list(source.frames)
    finally:
        server.shutdown()
        server.server_close()
    assert len(frames) >= 10
    assert frames[0].pixels.shape == (48, 64, 3)
    assert abs(int(frames[5].pixels.mean()) - 50) < 5
    assert "ended" in caplog.text


def test_a_real_camera_over_rtsp(monkeypatch, caplog):
    """What FFmpeg may open is listed: this must be among it."""
    monkeypatch.setattr(live, "RETRIES", 0)
    pictures = [np.full((48, 64, 3), 20 + 8 * k, np.uint8) for k in range(20)]
    with Camera(pictures) as camera:
        threading.Thread(target=camera.serve_forever, daemon=True).start()
        source = open_source(camera.url)
        assert source.live
        frames = list(source.frames)
        camera.shutdown()
    assert len(frames) >= 18
    assert abs(int(frames[10].pixels.mean()) - 100) < 12
    assert "ended" in caplog.text


def test_options_of_the_users_are_kept_and_do_not_widen_ours(monkeypatch, tmp_path):
    theirs = "rtsp_transport;udp|protocol_whitelist;file,http|format_whitelist;hls"
    monkeypatch.setenv(capture.OPTIONS, theirs)
    clip = write_clip(tmp_path / "clip.mp4", numbered(5))
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n")
    assert len(list(open_source(str(clip)).frames)) == 5
    with pytest.raises(UserError, match="not a readable video"):
        open_source(str(playlist))
    assert os.environ[capture.OPTIONS] == theirs
