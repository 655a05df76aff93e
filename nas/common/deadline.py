"""A time budget binds wherever the program is: loading, preparing data, measuring, training."""

from __future__ import annotations

import signal
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager

from nas.common.errors import UserError


class OutOfTime(BaseException):
    """The time is up. No Exception: nothing on its way must take it for its own failure."""


@contextmanager
def ending_after(seconds: float | None) -> Iterator[None]:
    """Raises OutOfTime in the block then; in a thread, or on Windows, only before it."""
    if seconds is not None and seconds <= 0:
        raise OutOfTime
    main = threading.current_thread() is threading.main_thread()
    if seconds is None or not main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: types.FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def beginning_within(budget: float | None, started: float, what: str) -> Iterator[None]:
    """UserError where the block takes what is left of the budget: there is no result to save.

    budget: s since `started`, of time.monotonic. what: the block does, for the message.
    """
    left = None if budget is None else started + budget - time.monotonic()
    try:
        with ending_after(left):
            yield
    except OutOfTime:
        raise UserError(
            f"time budget: {budget:g} s were over while {what}; nothing was begun: expected more"
        ) from None
