"""How much memory a solve takes, counted before anything is allocated, and what is said where it was not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from gwrsa.backends.torch import anderson, devices
from gwrsa.backends.torch.operator import Operator

_SHARE = 0.9
"""Of the free memory that is asked for; the rest is for the library's own workspaces."""
_CACHE = 1 << 23
"""Bytes of kernels that a CPU takes at once: more starts would only push each other out of its cache."""
_MOST = 1024
_BLOCKS = 1 << 29
"""Bytes of the blocks of rows by which a plan is gone through in float64, and of what is made from them."""


def start_bytes(operator: Operator) -> int:
    """What a start takes while it is in a batch."""
    n, m, size = operator.n, operator.m, operator.dtype.itemsize
    summary = operator.summary_shape[0] * m * size
    history = 2 * anderson.depth(operator.summary_shape[0] * m, size) + 4
    # Summaries now and next, their steps and images, and temporary ones; exponent and what it is made from.
    small = (history + 7) * summary + operator.exponent_shape[0] * m * size
    if operator.factored:
        small += 2 * n * (operator.r + 3) * size
    # Potentials, scalings, weights, sums, and what the forecast knows of them.
    vectors = 8 * 20 * (n + m)
    # Column sums of the kernel's blocks of 16 rows, in float64: of a first sweep, and those that the graph of the others keeps.
    sums = 2 * 8 * -(-n // 16) * m
    return n * m * size + sums + small + vectors


def evaluation_bytes(operator: Operator) -> int:
    """What the evaluation of a loss in float64 takes for a moment: blocks of the plan, or with dense costs the plan and its products."""
    n, m = operator.n, operator.m
    return min(4 * 8 * n * m, _BLOCKS) if operator.factored else 4 * 8 * n * m


def plan_bytes(n: int, m: int, *, kept: bool) -> int:
    """What a plan in float64 takes on the device: blocks of it, and itself where it is `kept` there."""
    return min(4 * 8 * n * m, _BLOCKS) + 8 * n * m * kept


def costs_bytes(arrays: dict[str, Any], dtypes: set[torch.dtype]) -> int:
    """What the costs take in these precisions."""

    def entries(x: Any) -> int:  # noqa: ANN401
        return x.size if isinstance(x, np.ndarray) else sum(map(entries, x)) if isinstance(x, (tuple, list)) else 0

    return sum(map(entries, arrays.values())) * sum(dtype.itemsize for dtype in dtypes)


def state_bytes(operator: Operator) -> int:
    """What a start takes while it waits."""
    size = operator.dtype.itemsize
    return (operator.summary_shape[0] + operator.exponent_shape[0]) * operator.m * size + 8 * (operator.n + operator.m)


def waiting_bytes(operator: Operator, n_states: int) -> int:
    """What is needed beside a batch: starts that wait, and a loss that is evaluated."""
    return n_states * state_bytes(operator) + evaluation_bytes(operator)


def batch_size(operator: Operator, n_states: int) -> int:
    """Starts at once, at least 1, when `n_states` others wait."""
    one = start_bytes(operator)
    if operator.device.type == "cpu":
        return int(min(_MOST, max(1, _CACHE // (operator.n * operator.m * operator.dtype.itemsize))))
    free = _SHARE * devices.free_memory(operator.device) - waiting_bytes(operator, n_states)
    return int(min(_MOST, max(1, free // one)))


def message(needs: str, needed: int, device: torch.device) -> str:
    """Of the error when there is not so much; `needs` names what needs it."""
    free = devices.free_memory(device)
    return (
        f"{needs} {needed / 1e9:.2f} GB on {device}, where {free / 1e9:.2f} GB are free; "
        "use a device with more memory, or factored costs"
    )


def start_message(operator: Operator) -> str:
    """Of the error when not even one start fits."""
    return message(f"a start of {operator.n} x {operator.m} objects needs", start_bytes(operator), operator.device)


@contextmanager
def enough(needs: str, needed: int, device: torch.device) -> Iterator[None]:
    """Where torch has not enough for what is done in here, a MemoryError with this `message`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(message(needs, needed, device)) from error
