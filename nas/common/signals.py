"""What ends a command from outside: Ctrl-C, SIGTERM, a closed terminal."""

from __future__ import annotations

import signal
import socket
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # those that this system has
REPEAT = 1.0  # s; a terminal, make and timeout pass on one signal several times


@contextmanager
def ending_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal all raise KeyboardInterrupt in the main thread.

    Ctrl-C even where a shell's background job ignores it; not SIGHUP where nohup has it ignored.
    """
    last = -REPEAT

    def end(number: int, frame: types.FrameType | None) -> None:
        nonlocal last
        repeated, last = monotonic() - last < REPEAT, monotonic()
        if not repeated:
            raise KeyboardInterrupt

    before = _handlers()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN or number == signal.SIGINT:
            signal.signal(number, end)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Around what is short and must not be cut in two: a signal ends the command after it."""
    ours, came = {n: h for n, h in _handlers().items() if callable(h)}, list[int]()
    _restore(dict.fromkeys(ours, lambda number, frame: came.append(number)))
    try:
        yield
    finally:
        _restore(ours)
    if came:  # an error of the block ends the command too, and says why
        raise KeyboardInterrupt


@contextmanager
def kept_signals() -> Iterator[None]:
    """Around a library that puts handlers of its own in place (Ray): ours stand again afterwards.

    A signal that came meanwhile ends the command as it would have done.
    """
    ours = _handlers()
    if not ours:
        yield
        return
    came, tell = socket.socketpair()
    came.setblocking(False)
    tell.setblocking(False)
    before = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        _restore(ours)
        try:
            numbers = set(came.recv(4096))
        except BlockingIOError:
            numbers = set()
        came.close()
        tell.close()
        if any(callable(ours.get(number)) for number in numbers):
            raise KeyboardInterrupt


def _handlers() -> dict[int, Any]:
    """What ends a command: each signal's handler; none in a thread, which may set none."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    return {number: signal.getsignal(number) for number in numbers}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
