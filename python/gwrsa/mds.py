"""Classical multidimensional scaling: points whose distances are nearest to given dissimilarities (Torgerson 1952)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa._validate import FloatArray


def classical_mds(dissimilarities: ArrayLike, n_dims: int = 2) -> FloatArray:
    """Coordinates from the top eigenvectors of `-J D^2 J / 2`, J the centring matrix.

    Parameters
    ----------
    dissimilarities : array-like, shape (n, n)
        Symmetric.
    n_dims : int
        At least 1.

    Returns
    -------
    ndarray, shape (n, n_dims)
        Centred; widest dimension first. Each dimension's largest coordinate (in size) is positive, so that the map does not depend on the
        eigensolver. A dimension that the dissimilarities do not have (a negative eigenvalue, or fewer objects) is 0.

    Raises
    ------
    ValueError
        If the array is not square, not symmetric or not finite.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import eigsh

    d = check.square("dissimilarities", dissimilarities)
    n_dims = check.integer("n_dims", n_dims, 1)
    if np.abs(d - d.T).max() > 1e-6 * np.abs(d).max():
        raise ValueError("dissimilarities must be symmetric, got an array that differs from its transpose")
    n = len(d)
    b = -0.5 * d**2
    b -= b.mean(axis=0)
    b -= b.mean(axis=1)[:, None]
    kept = min(n_dims, n)
    b = 0.5 * (b + b.T)
    if n > 100 and kept < n // 10:
        values, vectors = eigsh(b, kept, which="LA", v0=np.random.default_rng(0).standard_normal(n))
    else:
        values, vectors = eigh(b, subset_by_index=(n - kept, n - 1))
    out = np.zeros((n, n_dims))
    order = np.argsort(-values, kind="stable")
    out[:, :kept] = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, order]
    widest = out[np.abs(out).argmax(axis=0), np.arange(n_dims)]
    return out * np.where(widest < 0, -1.0, 1.0)


def kept(dissimilarities: FloatArray) -> float | None:
    """Pearson correlation of dissimilarities with the distances on their two-dimensional map; None where it says nothing.

    That is of fewer than four points, which always fit or nearly so, and where either is constant.
    """
    if len(dissimilarities) < 4:
        return None
    points, pairs = classical_mds(dissimilarities), np.triu_indices(len(dissimilarities), 1)
    shown, given = np.linalg.norm(points[:, None] - points, axis=2)[pairs], dissimilarities[pairs]
    return float(np.corrcoef(shown, given)[0, 1]) if min(np.ptp(shown), np.ptp(given)) > 0 else None
