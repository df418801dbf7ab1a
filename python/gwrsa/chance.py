"""What a matching rate is by chance, with or without categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.loaders import Categories
from gwrsa.memberships import Uncategorised, memberships, share_category
from gwrsa.metrics import hit_probability


@dataclass(frozen=True)
class Chance:
    """Rates, in [0, 1], of plans that know nothing."""

    mean: float
    """Mean over the simulations."""
    low: float
    """Lower percentile over the simulations."""
    high: float
    """Upper percentile over the simulations."""
    exact: float
    """Expectation in closed form, which `mean` approaches."""
    percentiles: tuple[float, float]
    """Which percentiles `low` and `high` are."""
    n_simulations: int
    """How many random plans."""
    seed: int
    """Of the simulations."""


def chance_level(
    n: int,
    k: int,
    categories: Categories | ArrayLike | None = None,
    *,
    target_categories: Categories | ArrayLike | None = None,
    uncategorised: Uncategorised = "exclude",
    n_simulations: int = 1000,
    seed: int = 0,
    percentiles: tuple[float, float] = (5, 95),
) -> Chance:
    """Chance level of `matching_rate`, or of `category_matching_rate` where categories are given.

    Parameters
    ----------
    n : int
        Number of source items; without categories also of targets.
    k : int
        How many targets an item may name, 1 to the number of targets.
    categories : Categories, or array-like, shape (n,) or (n, c), optional
        As in `category_matching_rate`. None: the chance of naming one's own counterpart.
    target_categories : Categories, or array-like, shape (m,) or (m, c), optional
        As in `category_matching_rate`. None: the same as `categories`.
    uncategorised : str
        Items without a category, as in `category_matching_rate`: "exclude", "category" or "miss". For the chance without
        such items, neither as sources nor as targets, pass the other items only.
    n_simulations : int
        Random plans, at least 1.
    seed : int
        At least 0; the same seed gives the same result.
    percentiles : pair of float
        Of the simulated rates, 0 to 100, lower one first.

    Returns
    -------
    Chance
        `exact` is k / n without categories; else the mean over source items of 1 - C(m - h, k) / C(m, k), where h of the
        m targets share a category with the item (one label an item and k = 1: the sum of squared category shares).

    Raises
    ------
    ValueError
        If an argument is out of range, categories do not fit n, or target_categories come without categories.

    Notes
    -----
    A random plan has independent random entries, so that each source item has its targets in a random order of its own.
    Its items hit independently, with known probabilities: what is simulated is the number of hits, in its exact
    distribution, without forming plans. A random one-to-one assignment has the same expectation and, for k = 1, nearly the
    same percentiles.

    Examples
    --------
    >>> chance = gwrsa.chance_level(1854, 1)
    >>> round(chance.exact, 5), chance.low <= chance.mean <= chance.high
    (0.00054, True)
    >>> gwrsa.chance_level(4, 1, ["a", "a", "b", "b"]).exact
    0.5
    """
    n = check.steps("n", n)
    n_simulations = check.steps("n_simulations", n_simulations)
    seed = check.integer("seed", seed, 0)
    ends = percentile_pair(percentiles)
    probability, n_items = _hits(n, k, categories, target_categories, uncategorised)
    n_counted = int(n_items.sum())
    draws = np.random.default_rng(seed).binomial(n_items, probability, (n_simulations, len(n_items)))
    rates = draws.sum(axis=1) / n_counted
    low, high = np.percentile(rates, ends)
    return Chance(
        mean=float(rates.mean()),
        low=float(low),
        high=float(high),
        exact=float(probability @ n_items / n_counted),
        percentiles=ends,
        n_simulations=n_simulations,
        seed=seed,
    )


def _hits(
    n: int,
    k: int,
    categories: Categories | ArrayLike | None,
    target_categories: Categories | ArrayLike | None,
    uncategorised: Uncategorised,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Distinct probabilities that an item hits, and how many items have each."""
    if categories is None:
        if target_categories is not None:
            raise ValueError("categories must be given where target_categories are, got None")
        return np.array([check.integer("k", k, 1, n) / n]), np.array([n])
    source, target, counted = memberships(n, None, categories, target_categories, uncategorised)
    n_sharing = np.count_nonzero(share_category(source, target), axis=1)
    distinct, n_items = np.unique(n_sharing[counted], return_counts=True)
    return hit_probability(len(target), distinct, check.integer("k", k, 1, len(target))), n_items


def percentile_pair(value: tuple[float, float]) -> tuple[float, float]:
    """Check two percentiles, 0 to 100, the lower one first."""
    ends = check.array("percentiles", value, 1)
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1] <= 100:
        raise ValueError(f"percentiles must be two numbers from 0 to 100, the lower one first, got {value!r}")
    return float(ends[0]), float(ends[1])
