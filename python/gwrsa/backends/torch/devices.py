"""Devices: which one a solve is on, how much memory is free there, and the state of torch that a solve needs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch


def numbered(device: torch.device) -> torch.device:
    """A CUDA device by its number: which of them "cuda" is can be another one at the next solve."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


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


class Products:
    """How torch multiplied float32 outside: an attribute of each library, and an older setting for all of them.

    Where attributes say what the older one has no word for, torch refuses to tell it. Once they are "ieee" it tells.
    """

    def __init__(self) -> None:
        libraries: list[Any] = [torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)]
        # Before torch 2.9 there are no such attributes.
        self._attributes = [(x, x.fp32_precision) for x in libraries if hasattr(x, "fp32_precision")]
        self._make_ieee()
        self._older = torch.get_float32_matmul_precision()

    def settle(self) -> None:
        """In float32 from here on."""
        torch.set_float32_matmul_precision("highest")
        self._make_ieee()

    def restore(self) -> None:
        """As it was."""
        torch.set_float32_matmul_precision(self._older)
        for library, precision in self._attributes:
            # What followed from a setting for all libraries goes on following it.
            library.fp32_precision = "none"
            if library.fp32_precision != precision:
                library.fp32_precision = precision

    def _make_ieee(self) -> None:
        for library, _ in self._attributes:
            library.fp32_precision = "ieee"


_WORTH_THREADS = 1 << 17
_SETTINGS = threading.Lock()
# Of each that is inside `settled`, what was set outside: the same for all, for settings are those of the process.
_outside: list[tuple[Products, int]] = []


@contextmanager
def settled(device: torch.device, threads: int, entries: int) -> Iterator[None]:
    """Float32 products in float32 whatever was set outside (no TF32, no bfloat16), no gradients, and `threads` CPU threads.

    0: as many as torch has; one for kernels of few `entries`, whose threads would wait for each other longer than they work. Of several
    cards `device` is the one on which events, graphs and the programs of Triton are, which are told no other.
    """
    if not threads and entries < _WORTH_THREADS:
        threads = 1
    with _SETTINGS:
        _outside.append(_outside[0] if _outside else (Products(), torch.get_num_threads()))
        _outside[0][0].settle()
        if threads and device.type == "cpu":
            torch.set_num_threads(threads)
    try:
        card = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
        with torch.no_grad(), torch.autocast(device.type, enabled=False), card:
            yield
    finally:
        with _SETTINGS:
            products, before = _outside.pop()
            if not _outside:
                products.restore()
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
