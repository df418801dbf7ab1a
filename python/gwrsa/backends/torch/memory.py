"""How many starts a device holds at once, counted before anything is allocated."""

from __future__ import annotations

from gwrsa.backends.torch import anderson, devices
from gwrsa.backends.torch.operator import Operator

_SHARE = 0.9
"""Of the free memory that is asked for; the rest is for the library's own workspaces."""
_CACHE = 1 << 23
"""Bytes of kernels that a CPU takes at once: more starts would only push each other out of its cache."""
_MOST = 1024


def start_bytes(operator: Operator) -> int:
    """What a start takes while it is in a batch."""
    n, m, size = operator.n, operator.m, operator.dtype.itemsize
    summary = operator.summary_shape[0] * m * size
    history = 2 * anderson.depth(operator.summary_shape[0] * m, size) + 4
    # Summaries now and next, their steps and images, and temporary ones; exponent and what it is made from.
    small = (history + 6) * summary + operator.exponent_shape[0] * m * size
    if operator.factored:
        small += 2 * n * (operator.r + 3) * size
    # Potentials, scalings, weights, sums, and what the forecast knows of them.
    vectors = 8 * 20 * (n + m)
    # Beside the kernel the column sums of its blocks of rows.
    return n * m * size * 17 // 16 + small + vectors


def evaluation_bytes(operator: Operator) -> int:
    """What the evaluation of a loss in float64 takes for a moment: blocks of the plan, or with dense costs the plan and its products."""
    n, m = operator.n, operator.m
    return min(4 * 8 * n * m, 1 << 29) if operator.factored else 4 * 8 * n * m


def state_bytes(operator: Operator) -> int:
    """What a start takes while it waits."""
    size = operator.dtype.itemsize
    return (operator.summary_shape[0] + operator.exponent_shape[0]) * operator.m * size + 8 * (operator.n + operator.m)


def batch_size(operator: Operator, n_states: int) -> int:
    """Starts at once, at least 1, when `n_states` others wait."""
    one = start_bytes(operator)
    if operator.device.type == "cpu":
        return int(min(_MOST, max(1, _CACHE // (operator.n * operator.m * operator.dtype.itemsize))))
    waiting = n_states * state_bytes(operator) + evaluation_bytes(operator)
    free = _SHARE * devices.free_memory(operator.device) - waiting
    return int(min(_MOST, max(1, free // one)))


def message(operator: Operator) -> str:
    """Of the error when not even one start fits."""
    needed, free = start_bytes(operator), devices.free_memory(operator.device)
    return (
        f"a start of {operator.n} x {operator.m} objects needs {needed / 1e9:.2f} GB on {operator.device}, "
        f"where {free / 1e9:.2f} GB are free; use a device with more memory, or factored costs"
    )
