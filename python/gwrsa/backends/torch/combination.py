"""Least squares in a few unknowns, one problem a start."""

from __future__ import annotations

import torch
from torch import Tensor


def closest_combination(gram: Tensor, products: Tensor, ridge: float) -> Tensor:
    """Weights (b, k) of the combination of k vectors closest to another, from their products (b, k, k) and with it (b, k).

    0 where there is none.

    `ridge`: relative weight at which a vector that repeats the others is left out.
    """
    length = gram.diagonal(dim1=1, dim2=2).clamp(min=torch.finfo(gram.dtype).tiny).sqrt()
    normal = gram / (length[:, :, None] * length[:, None])
    normal.diagonal(dim1=1, dim2=2).add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(normal)
    weights = torch.cholesky_solve((products / length)[:, :, None], factor)[:, :, 0] / length
    good = (failed == 0) & weights.isfinite().all(1)
    return torch.where(good[:, None], weights, 0.0)


def sample(x: Tensor, entries: int = 1 << 16) -> Tensor:
    """Whole rows of each matrix (b, r, m), evenly spread, that hold about so many entries, as vectors."""
    step = max(1, -(-x.shape[1] * x.shape[2] // entries))
    return x[:, ::step].flatten(1)
