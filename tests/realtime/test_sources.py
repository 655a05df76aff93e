"""What a source may be called."""

import pytest

from nas.common.errors import UserError
from nas.realtime.sources import open_source


@pytest.mark.parametrize(
    "text", ["²", "٣", "1234", "-1", "", "a\0b", "nope.mp4", "ftp://127.0.0.1/a", "concat:a|b"]
)
def test_what_is_no_source_is_one_line(text):
    with pytest.raises(UserError, match="--source: no such file or folder as") as error:
        open_source(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_that_is_no_camera(device):
    with pytest.raises(UserError, match=f"{device}: cannot be opened"):
        open_source(device)
