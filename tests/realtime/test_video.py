"""Video files: the container's times, files that are cut short, what may not be opened."""

import http.server
import os
import shutil
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
from clips import index_first, numbered, with_times, write_clip
from conftest import ROOT

from nas.common.errors import UserError
from nas.realtime.sources import open_source
from nas.realtime.video import open_remote_video

# Its 30 frames a second stand in the file as 512 units of time each.
UNIT = 512


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", numbered(60))


def test_times_are_those_of_the_container(clip):
    """30 frames at 30 a second, then 30 at 10: the mean of 15 would put frame 30 at second 2."""
    clip.write_bytes(with_times(clip.read_bytes(), [(30, UNIT), (30, 3 * UNIT)]))
    frames = list(open_source(str(clip)).frames)
    assert len(frames) == 60
    assert frames[30].seconds == pytest.approx(1.0)
    assert frames[59].seconds == pytest.approx(1.0 + 29 / 10)
    assert frames[0].seconds == 0.0


def test_times_grow_where_the_container_has_none(clip):
    clip.write_bytes(with_times(clip.read_bytes(), [(30, UNIT), (30, 0)]))
    source = open_source(str(clip))
    seconds = [frame.seconds for frame in source.frames]
    assert len(seconds) == 60
    assert (np.diff(seconds) > 0).all()
    np.testing.assert_allclose(np.diff(seconds)[31:], 1 / source.fps)


class Late:
    """A capture of three frames whose clock stands at five seconds when it begins."""

    def __init__(self):
        self.stamps, self.now = iter((5000.0, 5100.0, 5300.0)), 0.0

    def get(self, what):
        known = {cv2.CAP_PROP_FPS: 10.0, cv2.CAP_PROP_FRAME_COUNT: 3.0}
        return known.get(what, self.now)

    def read(self):
        self.now = next(self.stamps, None)
        return self.now is not None, np.zeros((48, 64, 3), np.uint8)

    def release(self):
        pass


def test_times_begin_at_0_whatever_the_containers_clock():
    source = open_remote_video(Late(), "late")
    assert [frame.seconds for frame in source.frames] == pytest.approx([0.0, 0.1, 0.3])
    assert source.problems == []


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.mkv", "mp4v"), ("a.avi", "MJPG")]
)
def test_a_cut_file_gives_what_it_has_and_says_so(tmp_path, name, codec, caplog):
    path = write_clip(tmp_path / name, numbered(60), codec=codec)
    raw = index_first(path.read_bytes()) if name == "a.mp4" else path.read_bytes()
    path.write_bytes(raw)
    whole = open_source(str(path))
    assert len(list(whole.frames)) == 60
    assert whole.problems == []
    path.write_bytes(raw[: len(raw) * 5 // 8])
    source = open_source(str(path))
    count = len(list(source.frames))
    assert 15 < count < 55
    (problem,) = source.problems
    assert f"{name}: the file is cut short" in problem
    assert f"it gave {count} frames" in problem
    assert problem in caplog.text


def test_who_stops_early_hears_nothing_of_the_end(clip):
    clip.write_bytes(index_first(clip.read_bytes())[:-500])
    source = open_source(str(clip))
    next(source.frames)
    source.frames.close()
    assert source.problems == []


def test_without_its_index_a_file_is_refused_with_the_reason(clip):
    clip.write_bytes(clip.read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"not a readable video .* cut short, [0-9,]+ bytes"):
        open_source(str(clip))


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {name}\n",
    "list.mpd": '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1"><BaseURL>{name}</BaseURL></Representation></AdaptationSet></Period>'
    "</MPD>",
    "list.sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 26\n",
    "list.mp4": "#EXTM3U\n#EXTINF:9,\nfile://{clip}\n#EXT-X-ENDLIST\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_open_no_other_file(clip, name):
    path = clip.parent / name
    path.write_text(PLAYLISTS[name].format(clip=clip, name=clip.name))
    with pytest.raises(UserError, match="not a readable video"):
        open_source(str(path))


def test_a_playlist_on_the_network_opens_no_file(clip):
    """Served over http, it names a file of this machine and one beside it."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(clip.parent))

        def log_message(self, *_):
            asked.append(self.path)

    entries = f"file://{clip}\n#EXTINF:9,\n{clip.name}"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{entries}\n#EXT-X-ENDLIST\n"
    (clip.parent / "list.m3u8").write_text(playlist)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        with pytest.raises(UserError, match=r"cannot be opened; .*playlists are not read"):
            open_source(url + "list.m3u8")
        assert set(asked) == {"/list.m3u8"}
        source = open_source(url + "clip.mp4")  # a plain file there is read
        assert len(list(source.frames)) == 60
        assert source.problems == []
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_names_that_are_not_utf8(clip, tmp_path, locale):
    """Of a folder, a video and a picture, as old zips leave them; also in an ASCII locale."""
    folder = os.fsencode(tmp_path) + b"/gr\xfcn"
    os.mkdir(folder)
    shutil.copy(clip, folder + b"/f\xe9te.mp4")
    shutil.copy(clip, folder + "/日本.mp4".encode())
    code = (
        "import os, pathlib, sys\n"
        "from nas.realtime.recording import Video\n"
        "from nas.realtime.sources import open_source\n"
        "folder = pathlib.Path(os.fsdecode(sys.argv[1].encode('ascii').decode('unicode_escape')"
        ".encode('latin-1')))\n"
        "for path in sorted(folder.iterdir()):\n"
        "    video = Video(folder / f'{path.stem}.mkv', 30, frozenset())\n"
        "    for frame in open_source(str(path)).frames:\n"
        "        video.write(frame, [], frame.pixels)\n"
        "    video.close()\n"
        "    print(frame.index, sum(1 for _ in open_source(str(video.path)).frames))\n"
    )
    escaped = folder.decode("latin-1").encode("unicode_escape").decode()
    env = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = subprocess.run(
        [sys.executable, "-c", code, escaped], capture_output=True, text=True, cwd=ROOT, env=env
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["59", "60", "59", "60"]
