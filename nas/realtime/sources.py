"""What `--source` names: a camera, a network stream, a video, a picture, a folder of pictures."""

from __future__ import annotations

import re
from pathlib import Path

from nas.common.errors import UserError, shown
from nas.realtime.capture import URL
from nas.realtime.frames import Source
from nas.realtime.live import camera, network
from nas.realtime.pictures import is_still, open_folder, open_pictures
from nas.realtime.video import open_video


def open_source(text: str) -> Source:
    """`0` is the first camera; else a URL, device, video, picture or folder. UserError if none."""
    if re.fullmatch("[0-9]{1,3}", text):
        return camera(int(text))
    if URL.match(text):
        return network(text)
    path = Path(text)
    if not text or "\0" in text or not path.exists():
        raise UserError(
            f"--source: no such file or folder as {shown(text)}; expected a camera number, an http "
            "or rtsp URL, or a path"
        )
    if path.is_dir():
        return open_folder(path)
    if path.is_char_device():
        return camera(str(path))
    return open_pictures(path) if is_still(path) else open_video(path)
