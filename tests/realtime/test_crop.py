"""What the model sees of a face."""

import numpy as np

from nas.realtime.crop import crop_face


def test_crops():
    grey = np.arange(100 * 100, dtype=np.int64).reshape(100, 100) % 251
    grey = grey.astype(np.uint8)
    np.testing.assert_array_equal(crop_face(grey, (10, 20, 48, 48), 0, 48, 48), grey[20:68, 10:58])
    with_margin = crop_face(grey, (20, 30, 40, 40), 0.1, 48, 48)
    np.testing.assert_array_equal(with_margin, grey[26:74, 16:64])
    edge = crop_face(grey, (-10, -10, 48, 48), 0, 48, 48)
    np.testing.assert_array_equal(edge[10:, 10:], grey[:38, :38])
    assert (edge[:10, 10:] == grey[0, :38]).all()  # the border is repeated
    assert crop_face(grey, (99, 99, 1, 1), 0, 48, 48).shape == (48, 48)


def test_a_crop_is_as_high_and_wide_as_the_model_takes_it():
    grey = np.random.default_rng(0).integers(0, 256, (100, 100), dtype=np.uint8)
    odd = crop_face(grey, (10, 20, 47, 47), 0, 47, 47)  # half a pixel is no pixel
    np.testing.assert_array_equal(odd, grey[20:67, 10:57])
    flat = crop_face(grey, (10, 20, 48, 48), 0, 24, 48)
    pairs = grey[20:68, 10:58].reshape(24, 2, 48).mean(1)
    np.testing.assert_allclose(flat, pairs, atol=0.5)
