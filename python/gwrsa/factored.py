"""Costs of known low rank: `C = A diag(w) A' + o 1' + 1 o'`, exact for cosine, correlation and squared Euclidean distances.

With it no n x n matrix of an embedding is ever formed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gwrsa import _validate as check
from gwrsa._validate import FloatArray

if TYPE_CHECKING:
    from gwrsa.embedding import Embedding


class Factored(NamedTuple):
    """A symmetric cost by its factors."""

    values: FloatArray
    """A, shape (n, r)."""
    weights: FloatArray
    """w, shape (r,)."""
    offset: FloatArray
    """o, shape (n,)."""


def factor(embedding: Embedding, metric: str) -> Factored | None:
    """Exact factors of the metric's dissimilarities; None for a metric that has none of low rank."""
    n, d = embedding.values.shape
    if metric in ("cosine", "correlation"):
        return Factored(unit_rows(embedding, metric), np.full(d, -1.0), np.full(n, 0.5))
    if metric == "sqeuclidean":
        # Distances do not change with the origin, and rounding is least at the centre.
        centred = embedding.values - embedding.values.mean(axis=0)
        return Factored(centred, np.full(d, -2.0), np.einsum("ij,ij->i", centred, centred))
    return None


def unit_rows(embedding: Embedding, metric: str) -> FloatArray:
    """Rows of length 1, for correlation after their mean is taken off."""
    rows = embedding.values
    if metric == "correlation":
        if rows.shape[1] < 2:
            raise ValueError("metric 'correlation' must have at least 2 dimensions, got 1")
        rows = rows - rows.mean(axis=1, keepdims=True)
    # By the largest entry first: neither 1e-200 nor 1e200 leaves the range when squared.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    floor = 1e-14 * np.abs(embedding.values).max(axis=1, keepdims=True)
    flat = (largest <= floor).ravel()
    if flat.any():
        i = int(flat.argmax())
        label = f"{embedding.items[i]!r} (row {i})" if embedding.items else f"row {i}"
        what = "constant row" if metric == "correlation" else "row of zeros"
        raise ValueError(
            f"values must have no {what} for metric {metric!r}, whose distances from it are not defined, got {label}, "
            f"{int(flat.sum())} such in all"
        )
    scaled = rows / largest
    return check.array("values", scaled / np.linalg.norm(scaled, axis=1, keepdims=True), 2)
