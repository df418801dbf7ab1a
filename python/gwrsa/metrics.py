"""How often a plan couples an object to itself, or to its category: functions of arrays.

A plan is an (n, m) array of how strongly source item i is coupled to target item j; only the order inside a row counts.
Targets that are tied for the k-th place, within `TIE`, share it fairly: an item counts the probability that a random order
of the tied ones lets it hit. A plan without any information thus scores exactly at chance, and no rate depends on how rows
are sorted.

Rates and their names follow Takahashi et al. 2025, https://arxiv.org/abs/2505.16419, and Kawakita et al. 2024,
https://doi.org/10.1038/s41598-024-65604-1.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.loaders import Categories
from gwrsa.memberships import BoolArray, Uncategorised, memberships, share_category

IntArray: TypeAlias = NDArray[np.int64]
TIE = 1e-6
"""Relative difference of two entries of a row below which a rate takes them for tied: the rounding of a plan in mixed precision."""


def matching_rate(plan: ArrayLike, k: int = 1, *, truth: ArrayLike | None = None) -> float:
    """Share of source items whose own counterpart is among their k most probable targets (fine-grained match).

    Parameters
    ----------
    plan : array-like, shape (n, m)
        Not negative; rows need not have the same sum.
    k : int
        How many targets an item may name, 1 to m. 1: its own counterpart has to be the most probable one.
    truth : array-like of int, shape (n,), optional
        Index of each source item's counterpart. None: item i is target i, which needs n == m.

    Returns
    -------
    float
        In [0, 1]; k/m for a uniform plan, as tied targets share the places that are left.

    Raises
    ------
    ValueError
        If the plan is not 2-D, not finite or negative, k is not an integer from 1 to m, or truth does not fit.

    Examples
    --------
    >>> plan = [[0.4, 0.1, 0.0], [0.2, 0.1, 0.2], [0.0, 0.0, 0.5]]
    >>> round(gwrsa.matching_rate(plan), 4)
    0.6667
    >>> gwrsa.matching_rate(plan, k=3)
    1.0
    """
    return float(matching_probabilities(plan, k, truth=truth).mean())


def category_matching_rate(
    plan: ArrayLike,
    categories: Categories | ArrayLike,
    k: int = 1,
    *,
    target_categories: Categories | ArrayLike | None = None,
    uncategorised: Uncategorised = "exclude",
) -> float:
    """Share of source items with any of their k most probable targets in a category of theirs (coarse-grained match).

    Parameters
    ----------
    plan : array-like, shape (n, m)
        Not negative; rows need not have the same sum.
    categories : Categories, or array-like, shape (n,) or (n, c)
        A label (string or integer) an item, where None, NaN and "" are no category; or 0/1 membership of c categories, of
        which an item can have none, one or several. No label has a meaning of its own, "others" neither. Rows of
        `Categories` have to be in the order of the plan's, which has no labels: `categories.select(rdm.items)`.
    k : int
        How many targets an item may name, 1 to m.
    target_categories : Categories, or array-like, shape (m,) or (m, c), optional
        In the same form as `categories`. None: the same as `categories`, which needs n == m.
    uncategorised : str
        Items without a category. "exclude": such source items are left out of the mean. "miss": they are in the mean and
        never hit. "category": having none is a category of its own. For the first two a target without a category is
        still a target, which is never a hit; to do without it, leave its row and column out of the plan.

    Returns
    -------
    float
        In [0, 1]. Where t targets are tied for the last s places and h of them would be hits, an item that has not hit
        before counts 1 - C(t - h, s) / C(t, s), the probability that at least one is drawn.

    Raises
    ------
    ValueError
        If the plan is not 2-D, not finite or negative, k is not an integer from 1 to m, categories do not fit the plan, or
        no source item is left to take a mean over.

    Examples
    --------
    >>> plan = [[0.1, 0.4, 0.0], [0.3, 0.1, 0.1], [0.0, 0.5, 0.0]]
    >>> round(gwrsa.category_matching_rate(plan, ["animal", "animal", "tool"]), 4)
    0.6667
    """
    hits, counted = category_probabilities(
        plan, categories, k, target_categories=target_categories, uncategorised=uncategorised
    )
    return float(hits[counted].mean())


def matching_probabilities(plan: ArrayLike, k: int = 1, *, truth: ArrayLike | None = None) -> FloatArray:
    """Of each source item the probability that its own counterpart is among its k most probable targets, were ties put in random order.

    Parameters
    ----------
    plan, k, truth
        As in `matching_rate`, which is their mean, with its errors.

    Returns
    -------
    ndarray, shape (n,), float64
        0 or 1 where nothing is tied.
    """
    values = _plan(plan)
    n, m = values.shape
    k = check.integer("k", k, 1, m)
    own = values[np.arange(n), _truth(truth, n, m)][:, None]
    above, tied = _against(values, own, TIE)
    places = k - np.count_nonzero(above, axis=1)
    return np.asarray(np.clip(places / np.count_nonzero(tied, axis=1), 0.0, 1.0))


def category_probabilities(
    plan: ArrayLike,
    categories: Categories | ArrayLike,
    k: int = 1,
    *,
    target_categories: Categories | ArrayLike | None = None,
    uncategorised: Uncategorised = "exclude",
) -> tuple[FloatArray, BoolArray]:
    """Of each source item the probability that any of its k most probable targets shares a category with it.

    Parameters
    ----------
    plan, categories, k, target_categories, uncategorised
        As in `category_matching_rate`, with its errors.

    Returns
    -------
    hits : ndarray, shape (n,), float64
        0 or 1 where nothing is tied, and 0 for an item that is not counted.
    counted : ndarray, shape (n,), bool
        Which items the category matching rate is the mean over: `hits[counted].mean()`.
    """
    values = _plan(plan)
    n, m = values.shape
    k = check.integer("k", k, 1, m)
    source, target, counted = memberships(n, m, categories, target_categories, uncategorised)
    shared = share_category(source, target)
    above, tied = _against(values, _kth(values, k), TIE)
    n_tied = np.count_nonzero(tied, axis=1)
    n_hits = np.count_nonzero(tied & shared, axis=1)
    chance = hit_probability(n_tied, n_hits, k - np.count_nonzero(above, axis=1))
    return np.where((above & shared).any(axis=1), 1.0, chance) * counted, counted


def top_matches(plan: ArrayLike, k: int = 10) -> IntArray:
    """The k most probable targets of each source item.

    Parameters
    ----------
    plan : array-like, shape (n, m)
        Not negative; rows need not have the same sum.
    k : int
        1 to m.

    Returns
    -------
    ndarray, shape (n, k), int64
        Target indices, most probable first; of tied targets the lower index first.

    Raises
    ------
    ValueError
        If the plan is not 2-D, not finite or negative, or k is not an integer from 1 to m.
    """
    values = _plan(plan)
    n, m = values.shape
    k = check.integer("k", k, 1, m)
    above, tied = _against(values, _kth(values, k))
    places = k - np.count_nonzero(above, axis=1, keepdims=True)
    # Exactly k a row, columns in increasing order, so that a stable sort by value keeps the lower index first.
    columns = (above | (tied & (tied.cumsum(axis=1) <= places))).nonzero()[1].reshape(n, k)
    order = np.argsort(-np.take_along_axis(values, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1).astype(np.int64)


def matching_rate_of_top(top: ArrayLike, k: int = 1, truth: ArrayLike | None = None) -> float:
    """`matching_rate` where only the most probable targets are known; no plan is formed, and ties are as `top` broke them.

    Parameters
    ----------
    top : array-like of int, shape (n, K)
        Target indices of each source item, most probable first, as from `top_matches` or `GWSolution.top`.
    k : int
        1 to K.
    truth : array-like of int, shape (n,), optional
        Index of each source item's counterpart. None: item i is target i.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If top is not 2-D or holds anything but target indices, k is not an integer from 1 to K, or truth does not fit.
    """
    named = _top(top, k)
    own = _truth(truth, len(named), None)
    return float((named == own[:, None]).any(axis=1).mean())


def category_matching_rate_of_top(
    top: ArrayLike,
    categories: Categories | ArrayLike,
    k: int = 1,
    *,
    target_categories: Categories | ArrayLike | None = None,
    uncategorised: Uncategorised = "exclude",
) -> float:
    """`category_matching_rate` where only the most probable targets are known; ties are as `top` broke them.

    Parameters
    ----------
    top : array-like of int, shape (n, K)
        Target indices of each source item, most probable first, as from `top_matches` or `GWSolution.top`.
    categories, target_categories, uncategorised
        As in `category_matching_rate`.
    k : int
        1 to K.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If top is not 2-D or holds anything but target indices, k is not an integer from 1 to K, categories do not fit, or
        no source item is left to take a mean over.
    """
    named = _top(top, k)
    n = len(named)
    source, target, counted = memberships(n, None, categories, target_categories, uncategorised)
    if named.max() >= len(target):
        raise ValueError(f"top must hold indices of {len(target)} targets, counted from 0, got {named.max()}")
    hits = np.zeros(n, dtype=np.bool_)
    for targets in named.T:
        hits |= (source & target[targets]).any(axis=1)
    return float(hits[counted].mean())


def hit_probability(n_tied: ArrayLike, n_hits: ArrayLike, places: ArrayLike) -> FloatArray:
    """1 - C(t - h, s) / C(t, s): that s of t targets, drawn without replacement, hold at least one of h hits.

    Parameters
    ----------
    n_tied, n_hits, places : array-like of int, shapes that broadcast
        t, h and s, with 0 <= h <= t and 0 <= s <= t.

    Returns
    -------
    ndarray, float64
        In [0, 1]; exactly 0 where h or s is 0.
    """
    tied, hits, drawn = np.broadcast_arrays(np.asarray(n_tied), np.asarray(n_hits), np.asarray(places))
    # The ratio is prod_{j < s} (t - h - j) / (t - j), and the same with h and s exchanged: the shorter product is taken.
    # No factor is above 1, so nothing overflows as the binomials themselves do.
    fewer, more = np.minimum(hits, drawn), np.maximum(hits, drawn)
    miss = np.ones(tied.shape)
    for j in range(int(fewer.max(initial=0))):
        left = np.maximum(tied - j, 1)
        miss *= np.where(j < fewer, np.maximum(left - more, 0) / left, 1.0)
    return np.asarray(1.0 - miss)


def _plan(plan: ArrayLike) -> FloatArray:
    for inside in ("lowest_loss", "plan"):
        # Of its class: a column of a table may be called so, and what forms a plan need not do it here.
        if hasattr(type(plan), inside):
            path = "lowest_loss.plan" if inside == "lowest_loss" else inside
            raise ValueError(f"plan must be an array (n, m), got {type(plan).__name__}; pass its .{path}")
    values = check.array("plan", plan, 2)
    if values.min() < 0:
        i, j = (int(x) for x in np.unravel_index(int(values.argmin()), values.shape))
        raise ValueError(f"plan must not be negative, got {values[i, j]} at ({i}, {j})")
    return values


def _kth(plan: FloatArray, k: int) -> FloatArray:
    """The k-th largest value of each row, (n, 1)."""
    at = plan.shape[1] - k
    return np.asarray(np.partition(plan, at, axis=1)[:, at, None])


def _against(plan: FloatArray, value: FloatArray, within: float = 0.0) -> tuple[BoolArray, BoolArray]:
    """Which targets of each row are above its `value` (n, 1), and which are as large, up to `within` of it."""
    above = plan > value * (1 + within)
    return above, (plan >= value * (1 - within)) & ~above


def _indices(name: str, value: ArrayLike, ndim: int) -> IntArray:
    raw = np.asarray(value)
    if raw.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold target indices (integers), got dtype {raw.dtype}")
    if raw.ndim != ndim or raw.size == 0:
        raise ValueError(f"{name} must be {ndim}-D and not empty, got shape {raw.shape}")
    if raw.min() < 0:
        raise ValueError(f"{name} must hold target indices, counted from 0, got {raw.min()}")
    return raw.astype(np.int64, copy=False)


def _top(top: ArrayLike, k: int) -> IntArray:
    named = _indices("top", top, 2)
    return named[:, : check.integer("k", k, 1, named.shape[1])]


def _truth(truth: ArrayLike | None, n: int, m: int | None) -> IntArray:
    if truth is None:
        if m not in (None, n):
            raise ValueError(f"truth must be given where the plan is not square, got None for shape ({n}, {m})")
        return np.arange(n)
    own = _indices("truth", truth, 1)
    if len(own) != n:
        raise ValueError(f"truth must have length {n}, one index a source item, got {len(own)}")
    if m is not None and own.max() >= m:
        raise ValueError(f"truth must hold indices of {m} targets, 0 to {m - 1}, got {own.max()}")
    return own
