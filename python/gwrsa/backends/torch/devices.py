"""Devices: what a string stands for, how much memory is free there, and the state of torch that a solve needs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated: on the card, or of the machine where it says so."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch holds and does not use is free for it.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 1 << 62


_WORTH_THREADS = 1 << 17
_SETTINGS = threading.Lock()
# Of each that is inside `settled`, what was set outside: the same for all, for settings are those of the process.
_outside: list[tuple[str, int]] = []


@contextmanager
def settled(device: torch.device, threads: int, entries: int) -> Iterator[None]:
    """Float32 products in float32 whatever was set outside (no TF32, no bfloat16), no gradients, and `threads` CPU threads.

    0: as many as torch has; one for kernels of few `entries`, whose threads would wait for each other longer than they work.
    """
    if not threads and entries < _WORTH_THREADS:
        threads = 1
    with _SETTINGS:
        _outside.append(_outside[0] if _outside else (torch.get_float32_matmul_precision(), torch.get_num_threads()))
        torch.set_float32_matmul_precision("highest")
        if threads and device.type == "cpu":
            torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            yield
    finally:
        with _SETTINGS:
            precision, before = _outside.pop()
            if not _outside:
                torch.set_float32_matmul_precision(precision)
                torch.set_num_threads(before)


class Clock:
    """Seconds by what was done. On a card the time of the work itself, which is done later than it is asked for."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.seconds: dict[str, float] = {}
        self.marks: list[tuple[str, Any]] = []

    def mark(self, phase: str) -> None:
        """From here on, `phase` is done."""
        import time

        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self.marks.append((phase, event))
        else:
            self.marks.append((phase, time.perf_counter()))

    def read(self) -> dict[str, float]:
        """Seconds of each phase since the last call, up to the last mark; on a card it waits for that."""
        if self.cuda and self.marks:
            self.marks[-1][1].synchronize()
        out: dict[str, float] = {}
        for (phase, begin), (_, end) in zip(self.marks, self.marks[1:], strict=False):
            spent = begin.elapsed_time(end) / 1e3 if self.cuda else end - begin
            out[phase] = out.get(phase, 0.0) + spent
        self.marks.clear()
        return out
