"""The condensed form of an RDM: what it is made of, and what is one."""

from __future__ import annotations

import numpy as np

from gwrsa._validate import FloatArray

SYMMETRY_TOL = 1e-6
"""Float32 arithmetic leaves a symmetric matrix asymmetric by this much of its largest entry."""


def is_dissimilarity(values: FloatArray) -> bool:
    """Whether a 2-D array can be read as an RDM: square, symmetric, with a zero diagonal."""
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        return values.ndim == 1
    tol = SYMMETRY_TOL * np.abs(values).max()
    return bool(np.abs(values - values.T).max() <= tol and np.abs(np.diag(values)).max() <= tol)


def n_objects(n_pairs: int) -> int:
    """Objects of so many pairs."""
    n = round((1 + (1 + 8 * n_pairs) ** 0.5) / 2)
    if n * (n - 1) // 2 != n_pairs:
        raise ValueError(f"dissimilarities must have length n (n - 1) / 2 for some n, got {n_pairs}")
    return int(n)


def condense(values: FloatArray) -> FloatArray:
    """The upper triangle of a square array that is checked to be symmetric, with a zero diagonal."""
    if values.shape[0] != values.shape[1]:
        raise ValueError(f"dissimilarities must be square or condensed, got shape {values.shape}")
    if len(values) < 2:
        raise ValueError("dissimilarities must be of at least 2 objects, got 1")
    tol = SYMMETRY_TOL * np.abs(values).max()
    asymmetry = np.abs(values - values.T)
    if asymmetry.max() > tol:
        i, j = (int(x) for x in np.unravel_index(int(asymmetry.argmax()), values.shape))
        raise ValueError(
            f"dissimilarities must be symmetric, got {values[i, j]} at ({i}, {j}) and {values[j, i]} at ({j}, {i})"
        )
    diagonal = np.abs(np.diag(values))
    if diagonal.max() > tol:
        i = int(diagonal.argmax())
        raise ValueError(
            f"dissimilarities must have a zero diagonal, got {values[i, i]} at ({i}, {i}); is this a similarity matrix?"
        )
    from scipy.spatial.distance import squareform

    one, other = (squareform(half, checks=False) for half in (values, values.T))
    # Halves are not exact of the smallest numbers, nor sums finite of the largest.
    return np.asarray(np.where(one == other, one, 0.5 * one + 0.5 * other), dtype=np.float64)
