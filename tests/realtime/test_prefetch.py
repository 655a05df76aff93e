"""Threads that overlap."""

import threading
import time
from itertools import count

import pytest

from nas.common.errors import UserError
from nas.realtime.prefetch import Prefetcher


def wait_until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_prefetcher_keeps_everything_in_order_or_drops_what_is_stale():
    assert list(Prefetcher(iter(range(50)))) == list(range(50))
    live = Prefetcher(iter(range(50)), drop_stale=True)
    wait_until(lambda: live.dropped == 49)  # nobody reads: the newest and the end wait
    assert list(live) == [49]


def test_prefetcher_raises_after_what_came_before():
    def broken():
        yield 1
        raise UserError("broken")

    read = iter(Prefetcher(broken()))
    assert next(read) == 1
    with pytest.raises(UserError, match="broken"):
        next(read)


def test_prefetcher_ends_its_thread_when_closed():
    """Also with a reader in between that waits, and with an endless source."""
    closed = threading.Event()

    def endless():
        try:
            yield from count()
        finally:
            closed.set()

    before = threading.enumerate()
    first = Prefetcher(endless())
    second = Prefetcher(x + 1 for x in first)
    assert next(iter(second)) == 1
    started = time.perf_counter()
    first.close()
    second.close()
    assert closed.wait(1)
    assert threading.enumerate() == before
    assert time.perf_counter() - started < 1
