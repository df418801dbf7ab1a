"""Representational similarity analysis: two RDMs compared object by object, the baseline that is told who is who.

Names of the methods are those of rsatoolbox (https://rsatoolbox.readthedocs.io); they are compared by Nili et al. 2014,
https://doi.org/10.1371/journal.pcbi.1003553, and Schuett et al. 2023, https://doi.org/10.7554/eLife.82566.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa import labelled
from gwrsa._validate import FloatArray
from gwrsa.embedding import Embedding
from gwrsa.rdm import RDM
from gwrsa.same_items import check_same_items

CeilingMethod: TypeAlias = Literal["corr", "spearman", "cosine"]
Method: TypeAlias = Literal["corr", "spearman", "kendall", "tau-a", "rho-a", "cosine"]
_Name = TypeVar("_Name", bound=str)


def rsa(a: RDM | Embedding | ArrayLike, b: RDM | Embedding | ArrayLike, method: Method = "corr") -> float:
    """Similarity of two RDMs over the same objects: of their upper triangles x and y, N = n (n - 1) / 2 pairs each.

    Parameters
    ----------
    a, b : RDM, Embedding or array-like, shape (n, n) or (n (n - 1) / 2,)
        Dissimilarities of the same objects in the same order; arrays are square or condensed, and have no labels to
        check. An Embedding stands for its cosine distances. A DataFrame or DataArray is an RDM where rows and columns have the same
        labels, and an Embedding otherwise.
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

    Warns
    -----
    UserWarning
        If one side has labels and the other none, as arrays have: they are matched by position.

    Raises
    ------
    ValueError
        If labels or numbers of objects differ, an array is no RDM, the method has another name, or one of the RDMs is
        constant (for "cosine": all zero), so that there is nothing to compare.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> round(gwrsa.rsa(made_up.human, made_up.models[0], method="spearman"), 2)
    0.98
    >>> gwrsa.rsa([1.0, 2.0, 4.0], [2.0, 3.0, 5.0])
    1.0
    """
    compare = _METHODS[_named(method, tuple(_METHODS))]
    first, second = as_rdm("a", a), as_rdm("b", b)
    check_same_items(first, second)
    check_varied("a", first.dissimilarities, method)
    check_varied("b", second.dissimilarities, method)
    # Rounding can carry a perfect correlation to 1 + 2e-16.
    return float(np.clip(compare(first.dissimilarities, second.dissimilarities), -1.0, 1.0))


class NoiseCeiling(NamedTuple):
    """Range in which the RSA of the best possible model with the groups lies; see `noise_ceiling`."""

    lower: float
    """Mean RSA of each group with the mean of the others: what a model reaches that knows all but that group."""
    upper: float
    """Mean RSA of each group with the mean of all, itself included: for the linear methods no model can do better."""


def noise_ceiling(rdms: Iterable[RDM | Embedding | ArrayLike], method: CeilingMethod = "corr") -> NoiseCeiling:
    """How well groups of people, or sessions, predict each other: bounds of the RSA that a model can reach with them.

    Parameters
    ----------
    rdms : two or more of RDM, Embedding or array-like, shape (n, n) or (n (n - 1) / 2,)
        One a group, of the same objects in the same order. An Embedding stands for its cosine distances.
    method : str
        "corr", "spearman" or "cosine", as in `rsa`: those for which the mean of the normalised RDMs is the best predictor.

    Returns
    -------
    NoiseCeiling
        Of the *mean* RSA of a model with the groups, `mean_g rsa(model, group_g)`. Nothing above `upper` can be reached. Of two
        groups `lower` is simply their RSA. A model's RSA with an RDM of everyone's answers can be higher than both, for that RDM
        has less noise than a group's.
        Nili et al. 2014, https://doi.org/10.1371/journal.pcbi.1003553.

    Raises
    ------
    ValueError
        If there are fewer than two groups, the method has another name, or as `rsa`.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> ceiling = gwrsa.noise_ceiling([made_up.human, made_up.models[0]])
    >>> round(ceiling.lower, 2), round(ceiling.upper, 2)
    (0.98, 1.0)
    """
    name = _named(method, tuple(_NORMALISE))
    groups = [as_rdm(f"rdms[{i}]", value) for i, value in enumerate(rdms)]
    if len(groups) < 2:
        raise ValueError(f"rdms must hold at least 2 groups, got {len(groups)}")
    for i, group in enumerate(groups):
        check_same_items(groups[0], group, ("rdms[0]", f"rdms[{i}]"))
        check_varied(f"rdms[{i}]", group.dissimilarities, name)
    rows = np.stack([_NORMALISE[name](group.dissimilarities) for group in groups])
    total = rows.sum(axis=0)
    others = total - rows
    for i, other in enumerate(others):
        if np.linalg.norm(other) <= 1e-12 * len(rows):
            raise ValueError(
                f"rdms must have others that agree in part, but for rdms[{i}] the mean of the others is 0 by method {name!r}"
            )
    lower = float(np.mean([_METHODS[name](row, other) for row, other in zip(rows, others, strict=True)]))
    # Rows have length 1: the cosine of each with the total, averaged, is the total's length divided by their number.
    return NoiseCeiling(lower, min(float(np.linalg.norm(total)) / len(groups), 1.0))


def _named(method: Any, options: tuple[_Name, ...]) -> _Name:  # noqa: ANN401
    """One of the methods; who gave another library's name of one is told ours."""
    try:
        return check.choice("method", method, options)
    except ValueError as error:
        ours = _OTHER_NAMES.get(method.lower()) if isinstance(method, str) else None
        if ours not in options:
            raise
        raise ValueError(f"{error}; did you mean {ours!r}?") from None


def check_varied(name: str, values: FloatArray, method: str) -> None:
    """Refuse dissimilarities that a method cannot compare, those of the argument `name`.

    Raises
    ------
    ValueError
        If they are all one value; for "cosine", all 0.
    """
    if values.min() == values.max() and (method != "cosine" or values[0] == 0):
        what = "have a dissimilarity that is not 0" if method == "cosine" else "have dissimilarities that differ"
        raise ValueError(f"{name} must {what} for method {method!r}, got a constant RDM, all {values[0]}")


def as_rdm(name: str, value: RDM | Embedding | ArrayLike) -> RDM:
    """What `rsa` compares: an RDM as it is, the cosine distances of an Embedding, an array or table made into one."""
    if not isinstance(value, (RDM, Embedding)):
        value = labelled.representation(name, value) or value
    if isinstance(value, RDM):
        return value
    if isinstance(value, Embedding):
        return value.rdm("cosine")
    try:
        return RDM(value, name=name)  # type: ignore[arg-type]  # the constructor converts
    except ValueError as error:
        raise ValueError(f"{name} must be an RDM: {error}") from error


def inner(x: FloatArray, y: FloatArray) -> float:
    """`<x, y>` of two vectors, not by BLAS: its sums of long vectors depend on how many threads it has at that moment."""
    return float(np.einsum("i,i->", x, y))


def _unit(x: FloatArray) -> FloatArray:
    x = x / np.abs(x).max()
    return np.asarray(x / np.sqrt(inner(x, x)), dtype=np.float64)


def _cosine(x: FloatArray, y: FloatArray) -> float:
    # Scaled first: the squares of very small dissimilarities are 0, those of very large ones infinite.
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return float(inner(x, y) / np.sqrt(inner(x, x) * inner(y, y)))


def _pearson(x: FloatArray, y: FloatArray) -> float:
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return _cosine(x - x.mean(), y - y.mean())


def _spearman(x: FloatArray, y: FloatArray) -> float:
    return _pearson(_ranks(x), _ranks(y))


def _rho_a(x: FloatArray, y: FloatArray) -> float:
    n = len(x)
    # Centred ranks: the constant 3 (n + 1) / (n - 1) of the usual form is subtracted before it can cancel.
    centre = (n + 1) / 2
    return inner(_ranks(x) - centre, _ranks(y) - centre) * 12 / (n**3 - n)


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

_OTHER_NAMES: dict[str, Method] = {
    "pearson": "corr",
    "pearsonr": "corr",
    "correlation": "corr",
    "spearmanr": "spearman",
    "rho": "spearman",
    "kendalltau": "kendall",
    "tau": "kendall",
    "tau-b": "kendall",
    "tau_b": "kendall",
    "tau_a": "tau-a",
    "rho_a": "rho-a",
}

_NORMALISE: dict[CeilingMethod, Callable[[FloatArray], FloatArray]] = {
    "corr": lambda x: _unit(x - x.mean()),
    "spearman": lambda x: _unit(_ranks(x) - (len(x) + 1) / 2),
    "cosine": _unit,
}
