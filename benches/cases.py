"""The reference problems: what is solved, on which data, at which epsilon."""

import time
from functools import cache
from pathlib import Path
from statistics import median

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
def embedding(name, n=None):
    """One of the THINGS embeddings, labelled; with `n`, of so many objects drawn at random, the same for all."""
    whole = gwrsa.Embedding.load(DATA / f"{name}.npy", items=DATA / "unique_id.txt")
    if n is None:
        return whole
    chosen = np.sort(np.random.default_rng(0).permutation(len(whole))[:n])
    return whole.select([whole.items[i] for i in chosen])


def pair(name, n=None):
    """Source and target of a reference problem, or of a row of `LOWEST_KNOWN`; None: of its own size."""
    human, clip = "human_spose66", "model_clip_vitb32"
    if name in {"R1", "R4", "spose66 vs CLIP, histogram-matched"}:
        n = n or (200 if name == "R4" else None)
        source = embedding(human, n).rdm()
        return source, embedding(clip, n).rdm().match_histogram(source)
    if name in {"R2", "spose66 vs CLIP, raw"}:
        return embedding(human, n), embedding(clip, n)
    if name == "R3":
        return embedding("human_male", n).rdm("euclidean"), embedding("human_female", n).rdm("euclidean")
    if name == "R6":
        # Distances of points and of their noisy permutation, each times a factor of its own: asymmetric, of full rank.
        rng, n = np.random.default_rng(0), n or 1000
        points = rng.standard_normal((n, 5))
        moved = points[rng.permutation(n)] + 0.3 * rng.standard_normal((n, 5))
        return tuple(cdist(x, x) * (0.5 + rng.random((n, n))) for x in (points, moved))
    one, other = {
        "group1 vs group2, raw": ("human_group1", "human_group2"),
        "male vs female, raw": ("human_male", "human_female"),
    }[name]
    return embedding(one, n), embedding(other, n)


def squares(name, n=None):
    """The two dissimilarity matrices as peers take them."""
    return tuple(
        side if isinstance(side, np.ndarray) else (side.rdm() if isinstance(side, gwrsa.Embedding) else side).square()
        for side in pair(name, n)
    )


def problem(name, n=None):
    """The same, ready to be solved by gwrsa."""
    return build_problem(*pair(name, n))


def building(name, n=None, repeats=5):
    """Seconds (median) in which gwrsa makes its problem of a pair: ranks found, costs factored. Peers are given square arrays."""
    sides, seconds = pair(name, n), []
    for _ in range(repeats):
        began = time.perf_counter()
        build_problem(*sides)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def simulated(n, rank=66):
    """Two related embeddings of n objects."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((27, rank))
    source = np.abs(centres[rng.integers(27, size=n)] + 0.7 * rng.standard_normal((n, rank)))
    return gwrsa.Embedding(source), gwrsa.Embedding(source + 0.5 * rng.standard_normal((n, rank)))
