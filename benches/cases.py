"""The reference problems: what is solved, on which data, at which epsilon."""

from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

import gwrsa
from gwrsa.solve import build_problem

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "things"
TOL = 1e-5

# Lowest GW losses known before this search, at absolute epsilon 5e-3, 2e-3, 1e-3.
LOWEST_KNOWN = {
    "spose66 vs CLIP, histogram-matched": (0.02868, 0.02336, 0.02125),
    "spose66 vs CLIP, raw": (0.07527, 0.07196, 0.07024),
    "group1 vs group2, raw": (0.01301, 0.00505, 0.00346),
    "male vs female, raw": (0.01152, 0.00610, 0.00498),
}
SEARCH_EPSILONS = (5e-3, 2e-3, 1e-3)


@cache
def embedding(name):
    """One of the THINGS embeddings, labelled."""
    return gwrsa.Embedding.load(DATA / f"{name}.npy", items=DATA / "unique_id.txt")


def pair(name):
    """Source and target of a reference problem, or of a row of `LOWEST_KNOWN`."""
    human, clip = "human_spose66", "model_clip_vitb32"
    if name in {"R1", "spose66 vs CLIP, histogram-matched"}:
        source = embedding(human).rdm()
        return source, embedding(clip).rdm().match_histogram(source)
    if name in {"R2", "spose66 vs CLIP, raw"}:
        return embedding(human), embedding(clip)
    if name == "R3":
        return embedding("human_male").rdm("euclidean"), embedding("human_female").rdm("euclidean")
    if name == "R4":
        chosen = np.sort(np.random.default_rng(0).permutation(len(embedding(human)))[:200])
        items = [embedding(human).items[i] for i in chosen]
        source = embedding(human).select(items).rdm()
        return source, embedding(clip).select(items).rdm().match_histogram(source)
    if name == "R6":
        # Distances of points and of their noisy permutation, each times a factor of its own: asymmetric, of full rank.
        rng = np.random.default_rng(0)
        points = rng.standard_normal((1000, 5))
        moved = points[rng.permutation(1000)] + 0.3 * rng.standard_normal((1000, 5))
        return tuple(cdist(x, x) * (0.5 + rng.random((1000, 1000))) for x in (points, moved))
    one, other = {
        "group1 vs group2, raw": ("human_group1", "human_group2"),
        "male vs female, raw": ("human_male", "human_female"),
    }[name]
    return embedding(one), embedding(other)


def squares(name):
    """The two dissimilarity matrices as peers take them."""
    return tuple(
        side if isinstance(side, np.ndarray) else (side.rdm() if isinstance(side, gwrsa.Embedding) else side).square()
        for side in pair(name)
    )


def problem(name):
    """The same, ready to be solved by gwrsa."""
    return build_problem(*pair(name))


def simulated(n, rank=66):
    """Two related embeddings of n objects."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((27, rank))
    source = np.abs(centres[rng.integers(27, size=n)] + 0.7 * rng.standard_normal((n, rank)))
    return gwrsa.Embedding(source), gwrsa.Embedding(source + 0.5 * rng.standard_normal((n, rank)))
