"""Frames, turned and shrunk."""

import numpy as np

from nas.realtime.frames import Frame, Source, transformed


def test_frames_are_turned_and_shrunk():
    pixels = np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8)

    def changed(*how):
        source = Source(iter([Frame("a", 0, 0.0, pixels)]), None, frozenset())
        return next(iter(transformed(source, *how).frames)).pixels

    np.testing.assert_array_equal(changed(True, False, 1), pixels[:, ::-1])
    np.testing.assert_array_equal(changed(False, True, 1), pixels[::-1])
    np.testing.assert_array_equal(changed(True, True, 1), pixels[::-1, ::-1])
    assert changed(False, False, 2).shape == (24, 32, 3)
