"""The choice model of the odd-one-out task: objects are kept together in proportion to the exponential of their similarity.

    P(i and j | i, j, k) = exp(s_ij) / (exp(s_ij) + exp(s_ik) + exp(s_jk)),   s = X X', the dot products of an embedding

Zheng, Pereira, Baker & Hebart (2019), https://openreview.net/forum?id=ryxSrhC9KX; Hebart, Zheng, Pereira & Baker (2020),
https://doi.org/10.1038/s41562-020-00951-3.

The probabilities depend on the scale of the embedding, which cosine distances do not. An embedding that was rescaled when it
was published has to be brought back to the scale of the choices first: `calibrate`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gwrsa import _core, labelled
from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.embedding import Embedding
from gwrsa.same_items import check_same_labels
from gwrsa.triplets import Triplets, as_triplets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gwrsa.labelled import Labelled

# Triplets whose vectors are gathered at a time.
_CHUNK = 1 << 14
# Quartiles of the dot products that are further apart than this make most choices certain: exp(10) is 22,000.
_CERTAIN = 10.0


def choice_similarity(embedding: Embedding | Labelled, *, threads: int | None = None) -> FloatArray:
    """Probability that two objects are kept together, averaged over all third objects.

    Parameters
    ----------
    embedding : Embedding, DataFrame or DataArray, n objects
        On the scale of the choices; see `calibrate`.
    threads : int, optional
        None: one a core. The result does not depend on it.

    Returns
    -------
    float64, shape (n, n)
        Symmetric, in [0, 1], mean 1/3 over the pairs, diagonal 1. The mean over the n - 2 third objects; published matrices may
        be divided by n instead. All `n^2 (n - 1) / 2` terms are summed in float64, to a relative error of 1e-12.
        1 - this is `embedding.rdm("choice")`.

    Warns
    -----
    UserWarning
        If dot products differ by so much that nearly every choice is certain: the embedding is on another scale.

    Raises
    ------
    ValueError
        If there are fewer than 3 objects, or a dot product is not finite.

    Examples
    --------
    >>> embedding = gwrsa.Embedding([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> gwrsa.choice_similarity(embedding).round(3).tolist()
    [[1.0, 0.576, 0.212], [0.576, 1.0, 0.212], [0.212, 0.212, 1.0]]
    """
    embedding = labelled.embedding("embedding", embedding)
    if len(embedding) < 3:
        raise ValueError(f"embedding must have at least 3 objects for a choice, got {len(embedding)}")
    n_threads = check.threads("threads", threads)
    with np.errstate(over="ignore", invalid="ignore"):
        products = embedding.values @ embedding.values.T
    if not np.isfinite(products).all():
        raise ValueError(
            f"embedding must have finite dot products, got values up to {np.abs(embedding.values).max():.3g}; scale it down"
        )
    low, high = np.percentile(products[np.triu_indices(len(products), 1)], (25, 75))
    if high - low > _CERTAIN:
        warnings.warn(
            f"embedding has dot products from {low:.3g} to {high:.3g} between their quartiles, so that nearly every choice is certain: "
            "bring it to the scale of the choices first, by gwrsa.calibrate or gwrsa rdm --calibrate",
            stacklevel=2,
        )
    return _core.choice_probabilities(products, threads=n_threads)


def odd_one_out_probabilities(embedding: Embedding | Labelled, triplets: Triplets | ArrayLike) -> FloatArray:
    """Probability that each object of a triplet is named as the odd one out.

    Parameters
    ----------
    embedding : Embedding, DataFrame or DataArray
        Of the objects of the triplets, on the scale of the choices; see `calibrate`.
    triplets : Triplets or array-like, shape (n_triplets, 3)
        The order of the objects in a row means nothing here.

    Returns
    -------
    float64, shape (n_triplets, 3)
        In the columns of the triplets; rows sum to 1. Column 2 is the likelihood of the answers.

    Raises
    ------
    ValueError
        If the labels differ in content or order, or the triplets name objects that the embedding has not.

    Examples
    --------
    >>> embedding = gwrsa.Embedding([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> gwrsa.odd_one_out_probabilities(embedding, [[0, 1, 2]]).round(3).tolist()
    [[0.212, 0.212, 0.576]]
    """
    embedding = labelled.embedding("embedding", embedding)
    similar = _kept(embedding, _fitting(embedding, triplets))
    odds = np.exp(similar - similar.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float64)


def odd_one_out_accuracy(embedding: Embedding | Labelled, triplets: Triplets | ArrayLike) -> float:
    """Share of triplets whose odd one out is the object left by the most similar pair; chance is 1/3.

    The scale of the embedding does not matter. Ties are shared: two pairs that are most similar count half.

    Parameters
    ----------
    embedding : Embedding, DataFrame or DataArray
        Of the objects of the triplets, of any scale.
    triplets : Triplets or array-like, shape (n_triplets, 3)
        Answers: the odd one out in column 2.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        As `odd_one_out_probabilities`.

    Examples
    --------
    >>> embedding = gwrsa.Embedding([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> gwrsa.odd_one_out_accuracy(embedding, [[0, 1, 2], [0, 2, 1]])
    0.5
    """
    embedding = labelled.embedding("embedding", embedding)
    similar = _kept(embedding, _fitting(embedding, triplets))
    best = similar == similar.max(axis=1, keepdims=True)
    return float((best[:, 2] / best.sum(axis=1)).mean())


def calibrate(embedding: Embedding | Labelled, triplets: Triplets | ArrayLike) -> Embedding:
    """The embedding times the number that makes the answers most likely: on the scale of the choices.

    Parameters
    ----------
    embedding : Embedding, DataFrame or DataArray
        Of any scale.
    triplets : Triplets or array-like, shape (n_triplets, 3)
        Answers, of the same kind of people as the embedding.

    Returns
    -------
    Embedding
        Values times `sqrt(a)`, where `a` maximises the likelihood of the answers with dot products times `a` (a concave problem
        in one number); `a` is in meta as "choice_scale".

    Raises
    ------
    ValueError
        If the embedding predicts the answers no better than chance (the best scale would be 0), or all of them (infinity), or as
        `odd_one_out_probabilities`.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> answers = gwrsa.sample_triplets(made_up.human, 20000)
    >>> larger = gwrsa.Embedding(10 * made_up.human.values, made_up.human.items)
    >>> round(gwrsa.calibrate(larger, answers).meta["choice_scale"] * 100, 1)
    1.0
    """
    from scipy.optimize import brentq

    embedding = labelled.embedding("embedding", embedding)
    similar = _kept(embedding, _fitting(embedding, triplets))
    # Only differences from the pair that was kept matter; in units of their size, the scale is near 1.
    lead = similar[:, 2:] - similar[:, :2]
    unit = float(np.abs(lead).max())
    lead = lead / unit if unit else lead
    if lead.mean() <= 0:
        raise ValueError(
            f"embedding must predict the triplets better than chance, got a mean lead of {lead.mean():.3g}"
        )
    if lead.min() >= 0:
        raise ValueError(
            "triplets must hold answers that the embedding does not predict, got none: no scale is the best"
        )

    def slope(log_scale: float) -> float:
        """Derivative of the mean log-likelihood by the scale: the lead, weighted by the probability of the other answer."""
        scaled = lead * np.exp(log_scale)
        floor = np.minimum(scaled.min(axis=1, keepdims=True), 0)
        odds = np.exp(floor - scaled)
        return float((lead * odds / (np.exp(floor) + odds.sum(axis=1, keepdims=True))).sum() / len(lead))

    low, high = 0.0, 0.0
    while slope(low) <= 0:
        low -= 2.0
    while slope(high) >= 0:
        high += 2.0
    scale = float(np.exp(brentq(slope, low, high, xtol=1e-12))) / unit
    return Embedding(
        embedding.values * np.sqrt(scale), embedding.items, embedding.name, {**embedding.meta, "choice_scale": scale}
    )


def sample_triplets(embedding: Embedding | Labelled, n_triplets: int, seed: int = 0) -> Triplets:
    """Answers of someone who chooses with the probabilities of an embedding, to triplets drawn uniformly with replacement.

    Parameters
    ----------
    embedding : Embedding, DataFrame or DataArray
        On the scale of the choices; see `calibrate`.
    n_triplets : int
        How many.
    seed : int
        Of all draws.

    Returns
    -------
    Triplets
        With the labels and the name of the embedding.

    Raises
    ------
    ValueError
        If there are fewer than 3 objects.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> gwrsa.sample_triplets(made_up.human, 1000, seed=1)
    Triplets('simulated human', 1000 of 100 objects, labelled)
    """
    embedding = labelled.embedding("embedding", embedding)
    n = len(embedding)
    if n < 3:
        raise ValueError(f"embedding must have at least 3 objects for a choice, got {n}")
    size = check.integer("n_triplets", n_triplets, 1)
    rng = np.random.default_rng(check.integer("seed", seed, 0))
    # Three distinct objects: each draw steps over those before it.
    first, second, third = (rng.integers(0, n - taken, size) for taken in range(3))
    second += second >= first
    for earlier in (np.minimum(first, second), np.maximum(first, second)):
        third += third >= earlier
    shown = Triplets(np.stack([first, second, third], axis=1), embedding.items, n, embedding.name)
    up_to = odd_one_out_probabilities(embedding, shown)[:, :2].cumsum(axis=1)
    odd = (rng.random((size, 1)) >= up_to).sum(axis=1)
    order = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]
    return Triplets(np.take_along_axis(shown.indices, order, axis=1), embedding.items, n, embedding.name)


def _fitting(embedding: Embedding, triplets: Triplets | ArrayLike) -> Triplets:
    """Triplets of the objects of the embedding."""
    given = as_triplets("triplets", triplets)
    if given.items is None:  # without labels the largest index is all that is known
        # An array names rows by itself; a file of answers may be of another order.
        if isinstance(triplets, Triplets) and embedding.items is not None:
            warnings.warn(
                f"embedding has labels and triplets have none: indices of objects are taken as its {len(embedding)} rows",
                stacklevel=3,
            )
        return Triplets(given.indices, None, len(embedding), given.name)
    check_same_labels(
        (embedding.name, given.name),
        (embedding.items, given.items),
        (len(embedding), given.n_items),
        ("embedding", "triplets"),
    )
    return given


def _kept(embedding: Embedding, triplets: Triplets) -> FloatArray:
    """Dot products of the pair that is left when the object in column 0, 1 or 2 is the odd one out, shape (n_triplets, 3)."""
    return np.concatenate(list(_products(embedding.values, triplets)))


def _products(values: FloatArray, triplets: Triplets) -> Iterator[FloatArray]:
    for start in range(0, len(triplets), _CHUNK):
        a, b, c = (values[column] for column in triplets.indices[start : start + _CHUNK].T)
        yield np.stack([np.einsum("ij,ij->i", x, y) for x, y in ((b, c), (a, c), (a, b))], axis=1)
