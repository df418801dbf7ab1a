"""How sure a rate or an RSA is: intervals over objects, bands over initialisations, permutations, many models at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.chance import percentile_pair
from gwrsa.compare import as_rdm, inner, rsa
from gwrsa.embedding import Embedding
from gwrsa.memberships import BoolArray, Uncategorised, memberships
from gwrsa.metrics import category_matching_rate_of_top, matching_rate_of_top
from gwrsa.rdm import RDM

if TYPE_CHECKING:
    import pandas as pd

PermutationMethod: TypeAlias = Literal["corr", "spearman", "cosine"]
Correction: TypeAlias = Literal["holm", "bh"]

# Orders of the objects that leave the RSA as it is give it but for rounding; they count as reaching it.
_ROUNDING = 1e-12
# Rows of a permuted RDM that are held at a time.
_ROWS = 64


@dataclass(frozen=True)
class Interval:
    """An estimate and where its percentiles lie."""

    estimate: float
    """Mean of the values themselves, not of the resamples."""
    low: float
    """Lower percentile."""
    high: float
    """Upper percentile."""
    percentiles: tuple[float, float]
    """Which percentiles `low` and `high` are."""


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """RSA against its distribution when the objects of one RDM are relabelled at random."""

    statistic: float
    """RSA of the RDMs as given."""
    p_value: float
    """(1 + number of permutations that reach the statistic) / (1 + number of permutations)."""
    null: FloatArray
    """RSA of each permutation, shape (n_permutations,)."""


def matching_hits(top: ArrayLike, k: int = 1, *, truth: ArrayLike | None = None) -> BoolArray:
    """Whether each source item has its own counterpart among its k most probable targets; their mean is the matching rate.

    Parameters
    ----------
    top, k, truth
        As in `gwrsa.metrics.matching_rate_of_top`, with its errors.

    Returns
    -------
    ndarray, shape (n,), bool
    """
    matching_rate_of_top(top, k, truth)  # its checks
    named = np.asarray(top)[:, :k]
    own = np.arange(len(named)) if truth is None else np.asarray(truth)
    return np.asarray((named == own[:, None]).any(axis=1))


def category_hits(
    top: ArrayLike,
    categories: ArrayLike,
    k: int = 1,
    *,
    target_categories: ArrayLike | None = None,
    uncategorised: Uncategorised = "exclude",
) -> tuple[BoolArray, BoolArray]:
    """Whether any of each source item's k most probable targets shares a category with it.

    Parameters
    ----------
    top, categories, k, target_categories, uncategorised
        As in `gwrsa.metrics.category_matching_rate_of_top`, with its errors.

    Returns
    -------
    hits : ndarray, shape (n,), bool
        False for an item that is not counted.
    counted : ndarray, shape (n,), bool
        Which items the category matching rate is the mean over: `hits[counted].mean()`.
    """
    category_matching_rate_of_top(
        top, categories, k, target_categories=target_categories, uncategorised=uncategorised
    )  # its checks
    named = np.asarray(top)[:, :k]
    source, target, counted = memberships(len(named), None, categories, target_categories, uncategorised)
    hits = (source[:, None] & target[named]).any(axis=(1, 2))
    return np.asarray(hits & counted), counted


def bootstrap(
    values: ArrayLike,
    *,
    n_resamples: int = 1000,
    percentiles: tuple[float, float] = (2.5, 97.5),
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of a mean over objects (Efron & Tibshirani 1993, chapter 13).

    Parameters
    ----------
    values : array-like, shape (n,)
        One an object, such as `matching_hits`.
    n_resamples : int
        How often n objects are drawn with replacement, at least 1.
    percentiles : pair of float
        0 to 100, the lower one first.
    seed : int
        At least 0.

    Raises
    ------
    ValueError
        If an argument is out of range, or a value not finite.

    Notes
    -----
    A resample is drawn as how often each distinct value occurs in it, which is its exact distribution and, for hits, one
    number. The plan is taken as given: what the interval covers is which objects were chosen, not how the alignment would
    change with them. Where no object hits, or every one, no resample differs and the interval is a point.

    Examples
    --------
    >>> interval = gwrsa.statistics.bootstrap([True] * 30 + [False] * 70)
    >>> round(interval.estimate, 2), 0.2 < interval.low < interval.high < 0.4
    (0.3, True)
    """
    given = check.array("values", values, 1)
    n_resamples = check.integer("n_resamples", n_resamples, 1)
    ends = percentile_pair(percentiles)
    rng = np.random.default_rng(check.integer("seed", seed, 0))
    distinct, counts = np.unique(given, return_counts=True)
    n = len(given)
    means = rng.multinomial(n, counts / n, n_resamples) @ distinct / n
    low, high = np.percentile(means, ends)
    return Interval(float(given.mean()), float(low), float(high), ends)


def band(values: ArrayLike, *, percentiles: tuple[float, float] = (5, 95)) -> Interval:
    """Mean and percentiles of a measure over the initialisations of a model.

    Parameters
    ----------
    values : array-like, shape (n_seeds,)
        The measure of each.
    percentiles : pair of float
        0 to 100, the lower one first; linearly interpolated between values.

    Raises
    ------
    ValueError
        If there is no value, one is not finite, or the percentiles are out of range.
    """
    given = check.array("values", values, 1)
    ends = percentile_pair(percentiles)
    low, high = np.percentile(given, ends)
    return Interval(float(given.mean()), float(low), float(high), ends)


def rate_by_category(hits: ArrayLike, members: ArrayLike, names: tuple[str, ...] | list[str]) -> pd.DataFrame:
    """Mean of a measure over the objects of each category.

    Parameters
    ----------
    hits : array-like, shape (n,)
        One an object, such as `matching_hits`.
    members : array-like, shape (n, c)
        0/1 membership; an object in several categories counts in each.
    names : sequence of str, length c
        Of the categories.

    Returns
    -------
    DataFrame
        Columns category, n (objects), rate (missing where n is 0); in the order of `names`.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    import pandas as pd

    values, inside = check.array("hits", hits, 1), check.array("members", members, 2)
    if inside.shape != (len(values), len(names)):
        raise ValueError(
            f"members must have shape ({len(values)}, {len(names)}), as hits and names say, got {inside.shape}"
        )
    n = inside.sum(axis=0)
    rate = np.divide(values @ inside, n, out=np.full(len(n), np.nan), where=n > 0)
    return pd.DataFrame({"category": list(names), "n": n.astype(np.int64), "rate": rate})


def permutation_test(
    a: RDM | Embedding | ArrayLike,
    b: RDM | Embedding | ArrayLike,
    method: PermutationMethod = "corr",
    *,
    alternative: Literal["greater", "two-sided"] = "greater",
    n_permutations: int = 1000,
    seed: int = 0,
) -> PermutationTest:
    """Test an RSA by relabelling the objects of one RDM: rows and columns are permuted together, pairs never singly.

    Parameters
    ----------
    a, b
        As in `gwrsa.rsa`.
    method : str
        "corr", "spearman" or "cosine".
    alternative : str
        "greater": how often a permutation is at least as similar. "two-sided": at least as far from 0.
    n_permutations : int
        At least 1; the smallest p-value is 1 / (1 + n_permutations).
    seed : int
        At least 0. The permutations depend on it and on the number of objects only, so that models are tested on the same.

    Returns
    -------
    PermutationTest

    Raises
    ------
    ValueError
        If the RDMs do not fit, as in `gwrsa.rsa`, or an argument is out of range.

    Notes
    -----
    Permutation tests of RSA: Kriegeskorte, Mur & Bandettini 2008, https://doi.org/10.3389/neuro.06.004.2008. That a p-value
    is never 0: Phipson & Smyth 2010, https://doi.org/10.2202/1544-6115.1585. Permuting leaves means, ranks and norms as
    they are, so each permutation is one inner product of two n x n matrices.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> human, model = made_up.human, made_up.models[0]
    >>> gwrsa.statistics.permutation_test(human, model, n_permutations=99).p_value
    0.01
    """
    return permutation_tests(a, [b], method, alternative=alternative, n_permutations=n_permutations, seed=seed)[0]


def permutation_tests(
    a: RDM | Embedding | ArrayLike,
    models: Sequence[RDM | Embedding | ArrayLike],
    method: PermutationMethod = "corr",
    *,
    alternative: Literal["greater", "two-sided"] = "greater",
    n_permutations: int = 1000,
    seed: int = 0,
    stopped: Callable[[], bool] | None = None,
) -> list[PermutationTest]:
    """`permutation_test` of one RDM with each of many: the same numbers, in a fraction of the time.

    Each relabelling of `a` is made once. The tests of many models hold half an n x n matrix of each.
    `stopped` is asked before every relabelling; where it says True, an InterruptedError ends the work.
    """
    check.choice("method", method, ("corr", "spearman", "cosine"))
    check.choice("alternative", alternative, ("greater", "two-sided"))
    n_permutations = check.integer("n_permutations", n_permutations, 1)
    rng = np.random.default_rng(check.integer("seed", seed, 0))
    statistics = [rsa(a, b, method) for b in models]
    x = _standardised(a, method)
    upper = [_upper(_standardised(b, method)) for b in models]
    nulls = np.zeros((len(upper), n_permutations))
    for i in range(n_permutations):
        if stopped is not None and stopped():
            raise InterruptedError(f"permutation tests were stopped after {i} of {n_permutations} relabellings")
        order = rng.permutation(len(x))
        for block, start in enumerate(range(0, len(x), _ROWS)):
            # A few rows at a time stay in cache, from the gather to the products; no BLAS, whose threads would wait for each other.
            permuted = x[order[start : start + _ROWS]].take(order[start:], axis=1)
            for null, blocks in zip(nulls, upper, strict=True):
                null[i] += np.einsum("ij,ij->", permuted, blocks[block])
    tests = []
    for statistic, null in zip(statistics, nulls, strict=True):
        p_value = exceedance(statistic, null) if alternative == "greater" else exceedance(abs(statistic), np.abs(null))
        tests.append(PermutationTest(statistic, p_value, null))
    return tests


def exceedance(statistic: float, null: FloatArray) -> float:
    """p-value of a statistic that is large where there is something: (1 + how many of `null` reach it) / (1 + how many there are)."""
    reached = int(np.count_nonzero(null >= statistic - _ROUNDING))
    return (1 + reached) / (1 + len(null))


def correct(p_values: ArrayLike, method: Correction = "holm") -> FloatArray:
    """Adjust p-values for testing many models.

    Parameters
    ----------
    p_values : array-like, shape (m,)
        In [0, 1].
    method : str
        "holm": no false positive among all, at the level of the adjusted p-value (Holm 1979, https://www.jstor.org/stable/4615733).
        "bh": share of false positives among those found (Benjamini & Hochberg 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x).

    Returns
    -------
    ndarray, shape (m,), float64
        In the order given.

    Raises
    ------
    ValueError
        If a p-value is outside [0, 1], or the method has another name.

    Examples
    --------
    >>> gwrsa.statistics.correct([0.01, 0.04, 0.5]).round(3).tolist()
    [0.03, 0.08, 0.5]
    """
    p = check.array("p_values", p_values, 1)
    if p.min() < 0 or p.max() > 1:
        i = int(((p < 0) | (p > 1)).argmax())
        raise ValueError(f"p_values must be in [0, 1], got {p[i]} at {i}")
    if check.choice("method", method, ("holm", "bh")) == "bh":
        from scipy.stats import false_discovery_control

        return np.asarray(false_discovery_control(p, method="bh"), dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def _upper(square: FloatArray) -> list[FloatArray]:
    """The upper triangle by blocks of rows, each from its first column on, zeros below the diagonal."""
    return [np.triu(square[start : start + _ROWS, start:], 1) for start in range(0, len(square), _ROWS)]


def _standardised(side: RDM | Embedding | ArrayLike, method: PermutationMethod) -> FloatArray:
    """Square, zero diagonal; upper triangle of unit norm, for a correlation centred, for Spearman's of ranks."""
    rdm = as_rdm("models", side)
    values = (rdm.rank() if method == "spearman" else rdm).dissimilarities
    values = values / np.abs(values).max()
    if method != "cosine":
        values = values - values.mean()
    return RDM(values / np.sqrt(inner(values, values))).square()
