"""Source -> faces -> sinks: reading, recognition and output overlap, each in a thread of its own.

A file's frames are all labelled, in order. A live source's stale frames give way to newer ones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from nas.common.signals import deferred_signals
from nas.realtime.annotate import annotate, mark
from nas.realtime.frames import Frame, Pixels, Source
from nas.realtime.prefetch import Prefetcher
from nas.realtime.recognizer import Face, Recognizer, Stream
from nas.realtime.sinks import Sink
from nas.realtime.summary import Summary
from nas.realtime.timing import StageTimer
from nas.realtime.window import Window, snapshot


def run(
    source: Source, recognizer: Recognizer, *, sinks: list[Sink], window: Window | None = None,
    recording: bool = False, max_frames: int | None = None,
) -> Summary:  # fmt: skip
    """Label every frame. Outputs are closed and readable however it ends, Ctrl-C included."""
    summary = Summary(recognizer.steps, moving=bool(source.fps), problems=source.problems)
    stream = recognizer.stream() if source.fps else None
    captured = Prefetcher(timed(source.frames, recognizer.steps), drop_stale=source.live)
    labelled = Prefetcher(_labelled(iter(captured), recognizer, stream))
    output = _Output(recognizer, sinks, window, recording, source, summary)
    began = time.perf_counter()
    try:
        for frame, faces in labelled:
            going_on = output.write(frame, faces)
            if not going_on or summary.frames == max_frames:
                break
    except KeyboardInterrupt:
        summary.interrupted = True
    finally:
        summary.seconds = time.perf_counter() - began
        with contextlib.ExitStack() as closing:  # where one fails, the others are still closed
            if window:
                closing.callback(window.close)
            for sink in sinks:
                closing.callback(_close, sink)
            closing.callback(labelled.close)
            closing.callback(captured.close)
    summary.dropped = captured.dropped if source.live else 0
    summary.changes = stream.smoother.changes if stream else None
    return summary


def _close(sink: Sink) -> None:
    """A second signal must not leave a file without its end."""
    with deferred_signals():
        sink.close()


def timed(frames: Iterator[Frame], steps: StageTimer) -> Iterator[Frame]:
    """The frames; what it took to decode them is added to `steps`."""
    while True:
        began = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        # A single picture was decoded when it was opened.
        steps.add("decode", max(time.perf_counter() - began, frame.decoded - frame.started))
        yield frame


def _labelled(
    frames: Iterator[Frame], recognizer: Recognizer, stream: Stream | None
) -> Iterator[tuple[Frame, list[Face]]]:
    for frame in frames:
        faces = stream(frame.pixels, frame.seconds) if stream else recognizer(frame.pixels)
        yield frame, faces


@dataclass
class _Output:
    """Draws and writes in the caller's thread, the only one that may own a window."""

    recognizer: Recognizer
    sinks: list[Sink]
    window: Window | None
    recording: bool
    source: Source
    summary: Summary
    last: float | None = None

    def write(self, frame: Frame, faces: list[Face]) -> bool:
        """False once the user quits."""
        steps, summary = self.recognizer.steps, self.summary
        picture = frame.pixels
        if self.window or any(sink.pictured for sink in self.sinks):
            with steps("draw"):
                picture = annotate(frame.pixels, faces, self.recognizer.classes)
        with steps("write"):
            with deferred_signals():  # every file has a frame, and the summary, or none
                for sink in self.sinks:
                    sink.write(frame, faces, picture)
                self._count(frame, faces)
            going_on = self.window is None or self._show(frame, picture)
        now = time.perf_counter()
        if self.last is not None:
            summary.intervals.append(1000 * (now - self.last))
        self.last = now
        summary.delays.append(1000 * (now - frame.started))
        return going_on

    def _count(self, frame: Frame, faces: list[Face]) -> None:
        summary = self.summary
        summary.frames += 1
        summary.faces += len(faces)
        if not summary.moving:
            found = [face.to_dict(self.recognizer.classes) for face in faces]
            summary.pictures.append({"source": frame.source, "faces": found})
        summary.tracks |= {face.track for face in faces if face.track is not None}

    def _show(self, frame: Frame, picture: Pixels) -> bool:
        assert self.window is not None
        recent = self.summary.intervals[-30:]
        fps = 1000 * len(recent) / sum(recent) if recent else 0.0
        key = self.window.show(mark(picture, fps, self.recording), self._wait_ms(frame))
        if key == "s":
            snapshot(self.window.snapshots, frame, picture)
        return key != "q"

    def _wait_ms(self, frame: Frame) -> int:
        """A picture stays until a key; a file plays at its own pace; a live source never waits."""
        if self.source.fps is None:
            return 0
        if self.source.live or self.last is None:
            return 1
        passed = time.perf_counter() - self.last
        return max(1, round(1000 * (1 / self.source.fps - passed)))
