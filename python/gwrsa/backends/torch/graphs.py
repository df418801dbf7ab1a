"""The same work several times, without a word to the host: on a card as one CUDA graph."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

_CAPTURE = threading.Lock()
"""Torch captures one graph at a time."""
_streams: dict[torch.device, Any] = {}
"""On which graphs are captured, one a card: torch's own stream for it is of the card where the first graph was."""


class Repeated:
    """Repeats a piece of work, the same at every call, `times` times. It may touch nothing but tensors that stay where they are.

    The work is given at each call and not kept: it is a method of the owner of this, and a circle would keep the owner's tensors until
    Python looks for circles, which the memory of a card is no reason for.
    """

    def __init__(self, times: int, device: torch.device) -> None:
        self.times, self.device = times, device
        self.graph: Any = None
        self.calls = 0

    def forget(self) -> None:
        """The tensors are others from now on."""
        self.graph, self.calls = None, 0

    def __call__(self, work: Callable[[], None]) -> None:
        """Do it."""
        self.calls += 1
        if self.graph is None and self.device.type == "cuda" and self.calls > 2:
            # The first calls have compiled and allocated what there was to.
            self.graph = self._captured(work)
        if self.graph is not None:
            self.graph.replay()
        else:
            self._all(work)

    def _captured(self, work: Callable[[], None]) -> Any:  # noqa: ANN401
        with _CAPTURE:
            if self.device not in _streams:
                _streams[self.device] = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph, stream=_streams[self.device], capture_error_mode="thread_local"):
                    self._all(work)
            except RuntimeError as error:
                # Not that the capture was broken off, but what broke it off.
                if isinstance(error.__context__, (torch.OutOfMemoryError, KeyboardInterrupt)):
                    raise error.__context__ from None
                raise
        return graph

    def _all(self, work: Callable[[], None]) -> None:
        for _ in range(self.times):
            work()
