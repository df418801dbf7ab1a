"""Torch as a backend: on a CPU, or on a card. The costs are prepared and the starts drawn by the Rust core, the solve runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gwrsa.backends.torch.devices import numbered
from gwrsa.backends.torch.problem import Problem
from gwrsa.torch_device import device_of

if TYPE_CHECKING:
    from gwrsa import backends
    from gwrsa._validate import FloatArray
    from gwrsa.backends import Cost


def prepare(c1: Cost, c2: Cost, p: FloatArray, q: FloatArray, device: str | None, threads: int) -> backends.Problem:
    """Centre and factor both costs, once."""
    return Problem(c1, c2, p, q, numbered(device_of(device)), threads)
