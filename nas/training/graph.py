"""A training step recorded as a CUDA graph: a small network's kernels are launched as one."""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_UP = 3  # steps that allocate what the recorded one finds in place


class RecordedStep:
    """Calls `step`, which works on fixed tensors; after the first calls a recording of it.

    The step must not wait for the device, and draws its random numbers from `generator` or from
    the device's own one.
    """

    def __init__(self, step: Callable[[], None], generator: torch.Generator) -> None:
        self._step, self._generator = step, generator
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream: torch.cuda.Stream | None = None
        self._calls = 0

    def __call__(self) -> None:
        if self._graph is None:
            if self._calls < WARM_UP:
                self._calls += 1
                return self._apart()
            self._graph = self._record()
        self._graph.replay()

    def _apart(self) -> None:
        """On a stream of its own, as torch asks of what runs before a recording."""
        stream = self._own_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._step()
        torch.cuda.current_stream().wait_stream(stream)

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        # Not torch's one stream for all recordings: matrix products keep a workspace for each
        # stream, which recordings that run side by side would share.
        with torch.cuda.graph(graph, stream=self._own_stream(), capture_error_mode="thread_local"):
            self._step()
        return graph

    def _own_stream(self) -> torch.cuda.Stream:
        if self._stream is None:
            self._stream = torch.cuda.current_stream()
            if self._stream == torch.cuda.default_stream():
                self._stream = torch.cuda.Stream()
        return self._stream
