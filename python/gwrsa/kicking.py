"""Kicks: from a plan that was found to a first plan in another place, for a search that goes on from the lowest so far.

Independent noise in the entries of a plan averages out over the objects: the solve returns to where it was. A kick is smooth instead: it
pulls objects in like positions the same way, so that whole regions change their images together.
"""

from __future__ import annotations

import numpy as np

from gwrsa import _core
from gwrsa._validate import FloatArray
from gwrsa.embedding import Embedding
from gwrsa.mds import classical_mds
from gwrsa.rdm import RDM, Metric, from_embedding

PER_ROUND = 4
"""Kicks from one plan, before the lowest so far is looked for again."""
REHEATED = 2.0
"""Top of a kick's ladder, in units of the value at the end."""

_AXES = 12
_STRENGTH = (0.5, 4.0)
_FLOOR = 1e-7  # of the uniform plan, so that a kick reaches entries that are 0
_STREAM = 0x6B69636B  # apart from other draws of the same seed


def positions(side: RDM | Embedding, metric: Metric) -> FloatArray:
    """Of each object on the 12 leading axes of classical scaling, in units of the spread along the first, shape (n, 12)."""
    c = (from_embedding(side, metric) if isinstance(side, Embedding) else side).square()
    axes = classical_mds(np.sqrt(c - c.min()), _AXES)
    spread = float(axes[:, 0].std())
    return axes / spread if spread > 0 else axes


def kick(
    plan: FloatArray, a: FloatArray, b: FloatArray, p: FloatArray, q: FloatArray, seed: int, number: int
) -> FloatArray:
    """`T exp(s a W b')`, scaled onto the marginals: the entries of W standard normal, s uniform in (0.5, 4).

    Parameters
    ----------
    plan : ndarray, shape (n, m)
        T.
    a, b : ndarray, shapes (n, k) and (m, k)
        `positions` of either side.
    p, q : ndarray, shapes (n,) and (m,)
        Weights.
    seed, number : int
        What is drawn is a function of both.
    """
    rng = np.random.default_rng([seed, number, _STREAM])
    field = rng.uniform(*_STRENGTH) * (a @ rng.standard_normal((a.shape[1], b.shape[1])) @ b.T)
    least = _FLOOR * float(np.multiply.outer(p, q).max())
    cost = -np.log(np.maximum(plan, least)) - np.clip(field, -30, 30)
    moved, *_ = _core.sinkhorn(cost, p, q, epsilon=1.0, tol=1e-2, max_sinkhorn=100, precision="float64", threads=1)
    return moved
