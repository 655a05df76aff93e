"""Labels that do not flicker, and what is counted."""

import numpy as np
import pytest

from nas.realtime.smoothing import UNCERTAIN, Smoother

CLASSES = ("angry", "happy", "neutral")
STEP = 1 / 30


def p(happy, neutral=None):
    neutral = 1 - happy if neutral is None else neutral
    return np.array([1 - happy - neutral, happy, neutral])


def run(smoother, frames, track=1):
    return [smoother(track, x, STEP * k)[0] for k, x in enumerate(frames)]


def test_alternating_frames_keep_one_label():
    smoother = Smoother(CLASSES)
    labels = run(smoother, [p(0.55 if k % 2 else 0.45) for k in range(60)])
    assert set(labels) == {"neutral"}
    assert (smoother.before, smoother.after) == (59, 0)
    assert smoother.seconds == pytest.approx(59 * STEP)
    assert smoother.changes == pytest.approx((30, 0))  # a second
    assert Smoother(CLASSES).changes is None


def test_a_real_change_comes_through_within_half_a_second():
    labels = run(Smoother(CLASSES), [p(0.9)] * 30 + [p(0.1)] * 30)
    assert labels[29] == "happy"
    assert labels[44] == "neutral"
    assert labels.index("neutral") > 31  # one odd frame is not a change


def test_another_class_that_leads_by_far_takes_over():
    """Though the label's own class is still above the threshold."""
    labels = run(Smoother(CLASSES, threshold=0.3), [p(0.9, 0.05)] * 30 + [p(0.35, 0.6)] * 60)
    assert (labels[29], labels[-1]) == ("happy", "neutral")


def test_uncertain_below_the_threshold_and_steady_there():
    smoother = Smoother(CLASSES, threshold=0.5)
    rng = np.random.default_rng(0)
    around = [p(0.5 + 0.04 * rng.standard_normal(), 0.3) for _ in range(90)]
    labels = run(smoother, [p(0.35, 0.33)] * 5 + around)
    assert labels[:5] == [UNCERTAIN] * 5
    assert smoother.after <= 1  # it may become happy, and does not fall back at once
    assert set(run(Smoother(CLASSES, 0.6), [p(0.5, 0.45)] * 9)) == {UNCERTAIN}
    assert run(Smoother(CLASSES, 0.5), [p(0.8)] * 5 + [p(0.34, 0.33)] * 60)[-1] == UNCERTAIN


def test_every_face_has_its_own_memory():
    smoother = Smoother(CLASSES)
    for k in range(10):
        assert smoother(1, p(0.9), STEP * k)[0] == "happy"
        assert smoother(2, p(0.1), STEP * k)[0] == "neutral"
    smoother.forget_all_but({2})
    assert smoother(1, p(0.1), STEP * 10)[0] == "neutral"  # a new face, without a past
    assert smoother(2, p(0.9), STEP * 10)[0] == "neutral"  # one odd frame of a known face


def test_the_weight_follows_time_not_frames():
    """Half the frame rate, the same answer after the same time."""
    fast, slow = Smoother(CLASSES), Smoother(CLASSES)
    for k in range(61):
        after = fast(1, p(0.9 if k else 0.1), k / 60)[1]
    for k in range(31):
        slowly = slow(1, p(0.9 if k else 0.1), k / 30)[1]
    np.testing.assert_allclose(after, slowly, atol=1e-9)
    assert after.sum() == pytest.approx(1)
