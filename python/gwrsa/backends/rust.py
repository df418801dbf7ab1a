"""The Rust core as a backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gwrsa import _core

if TYPE_CHECKING:
    from gwrsa._validate import FloatArray
    from gwrsa.backends import Cost, Problem


def prepare(
    c1: Cost,
    c2: Cost,
    p: FloatArray,
    q: FloatArray,
    *,
    linear: FloatArray | None = None,
    alpha: float = 1.0,
    loss: str = "square",
    threads: int = 0,
) -> Problem:
    """Centre and factor both costs, once."""
    return _core.Problem(c1, c2, p, q, linear=linear, alpha=alpha, loss=loss, threads=threads)
