"""The same work several times, without a word to the host: on a card as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class Repeated:
    """Calls `work` `times` times. It may touch nothing but tensors that stay where they are."""

    def __init__(self, work: Callable[[], None], times: int, device: torch.device) -> None:
        self.work, self.times, self.device = work, times, device
        self.graph: Any = None
        self.calls = 0

    def forget(self) -> None:
        """The tensors are others from now on."""
        self.graph, self.calls = None, 0

    def __call__(self) -> None:
        """Do it."""
        self.calls += 1
        if self.graph is None and self.device.type == "cuda" and self.calls > 2:
            # The first calls have compiled and allocated what there was to.
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._all()
            self.graph = graph
        if self.graph is not None:
            self.graph.replay()
        else:
            self._all()

    def _all(self) -> None:
        for _ in range(self.times):
            self.work()
