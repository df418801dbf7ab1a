"""Representational similarity analysis: two RDMs compared object by object, the baseline that is told who is who.

Names of the methods are those of rsatoolbox (https://rsatoolbox.readthedocs.io); they are compared by Nili et al. 2014,
https://doi.org/10.1371/journal.pcbi.1003553, and Schuett et al. 2023, https://doi.org/10.7554/eLife.82566.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.embedding import Embedding
from gwrsa.rdm import RDM, check_same_items

Method: TypeAlias = Literal["corr", "spearman", "kendall", "tau-a", "rho-a", "cosine"]


def rsa(a: RDM | Embedding | ArrayLike, b: RDM | Embedding | ArrayLike, method: Method = "corr") -> float:
    """Similarity of two RDMs over the same objects: of their upper triangles x and y, N = n (n - 1) / 2 pairs each.

    Parameters
    ----------
    a, b : RDM, Embedding or array-like, shape (n, n) or (n (n - 1) / 2,)
        Dissimilarities of the same objects in the same order; arrays are square or condensed, and have no labels to
        check. An Embedding stands for its cosine distances.
    method : str
        - "corr": Pearson's r.
        - "spearman": Pearson's r of the ranks, tied values at their mean rank.
        - "rho-a": Spearman's rho expected when ties are broken at random, `12 / (N^3 - N) <r_x - r, r_y - r>` with r the
          mean rank; below "spearman" where there are ties.
        - "kendall": tau-b, corrected for ties.
        - "tau-a": concordant minus discordant among the N (N - 1) / 2 pairs of dissimilarities, tied ones in neither.
        - "cosine": `<x, y> / (|x| |y|)`.

    Returns
    -------
    float
        In [-1, 1].

    Raises
    ------
    ValueError
        If labels or numbers of objects differ, an array is no RDM, the method has another name, or one of the RDMs is
        constant (for "cosine": all zero), so that there is nothing to compare.
    """
    compare = _METHODS[check.choice("method", method, tuple(_METHODS))]
    first, second = _rdm("a", a), _rdm("b", b)
    check_same_items(first, second)
    for name, side in (("a", first.dissimilarities), ("b", second.dissimilarities)):
        if side.min() == side.max() and (method != "cosine" or side[0] == 0):
            what = "have a dissimilarity that is not 0" if method == "cosine" else "have dissimilarities that differ"
            raise ValueError(f"{name} must {what} for method {method!r}, got a constant RDM, all {side[0]}")
    # Rounding can carry a perfect correlation to 1 + 2e-16.
    return float(np.clip(compare(first.dissimilarities, second.dissimilarities), -1.0, 1.0))


def _rdm(name: str, value: RDM | Embedding | ArrayLike) -> RDM:
    if isinstance(value, RDM):
        return value
    if isinstance(value, Embedding):
        return value.rdm("cosine")
    try:
        return RDM(value, name=name)  # type: ignore[arg-type]  # the constructor converts
    except ValueError as error:
        raise ValueError(f"{name} must be an RDM: {error}") from error


def _cosine(x: FloatArray, y: FloatArray) -> float:
    # Scaled first: the squares of very small dissimilarities are 0, those of very large ones infinite.
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _pearson(x: FloatArray, y: FloatArray) -> float:
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return _cosine(x - x.mean(), y - y.mean())


def _spearman(x: FloatArray, y: FloatArray) -> float:
    return _pearson(_ranks(x), _ranks(y))


def _rho_a(x: FloatArray, y: FloatArray) -> float:
    n = len(x)
    # Centred ranks: the constant 3 (n + 1) / (n - 1) of the usual form is subtracted before it can cancel.
    centre = (n + 1) / 2
    return float((_ranks(x) - centre) @ (_ranks(y) - centre)) * 12 / (n**3 - n)


def _tau_b(x: FloatArray, y: FloatArray) -> float:
    from scipy.stats import kendalltau

    # The p-value is not used; its exact form would be slow for few objects.
    return float(kendalltau(x, y, variant="b", method="asymptotic").statistic)


def _tau_a(x: FloatArray, y: FloatArray) -> float:
    # Both taus have the same numerator; tau-b divides by sqrt((P - t_x)(P - t_y)), t counting tied pairs, tau-a by P.
    n_pairs = len(x) * (len(x) - 1) / 2
    return _tau_b(x, y) * float(np.sqrt((1 - _tied_pairs(x) / n_pairs) * (1 - _tied_pairs(y) / n_pairs)))


def _tied_pairs(x: FloatArray) -> float:
    counts = np.unique(x, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1)).sum() / 2)


def _ranks(x: FloatArray) -> FloatArray:
    from scipy.stats import rankdata

    return np.asarray(rankdata(x), dtype=np.float64)


_METHODS: dict[Method, Callable[[FloatArray, FloatArray], float]] = {
    "corr": _pearson,
    "spearman": _spearman,
    "kendall": _tau_b,
    "tau-a": _tau_a,
    "rho-a": _rho_a,
    "cosine": _cosine,
}
