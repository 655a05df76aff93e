"""Steps that overlap: an iterator that runs in a thread of its own, a few items ahead."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_END = object()
DEPTH = 2  # items that wait, at most


class Prefetcher(Generic[T]):
    """Iterate it in place of `items`; `close()` ends the thread.

    At most DEPTH items wait. When they do, the thread waits too; with `drop_stale` the oldest
    gives way instead, because a live picture must be of now. An exception of `items` is raised
    where they are read, after the items before it.
    """

    def __init__(self, items: Iterator[T], drop_stale: bool = False) -> None:
        self.dropped = 0
        self._items, self._drop_stale = items, drop_stale
        self._queue: queue.Queue[Any] = queue.Queue(DEPTH)
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not _END:
            yield item
        self._queue.put(_END)  # for whoever asks again
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop early. Waits for the item in work, a second at most: a camera may hang."""
        self._closed.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        try:
            for item in self._items:
                self._put(item)
                if self._closed.is_set():
                    break
        except BaseException as error:  # raised again by the reader
            self._error = error
        finally:
            getattr(self._items, "close", lambda: None)()
            self._put(_END)

    def _put(self, item: Any) -> None:
        while True:
            try:
                self._queue.put(item, timeout=0.0 if self._drop_stale else 0.05)
                return
            except queue.Full:
                if self._drop_stale or self._closed.is_set():  # closed: nobody reads any more
                    with contextlib.suppress(queue.Empty):
                        self._queue.get_nowait()
                        self.dropped += 1
