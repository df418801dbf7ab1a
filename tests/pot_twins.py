"""POT's functions beside their twins, and a small problem for both."""

import warnings

import numpy as np
import ot

import gwrsa
import gwrsa.pot as twins
from problems import asymmetric, distances, weights

GW = ("entropic_gromov_wasserstein", "entropic_fused_gromov_wasserstein")


def theirs(name):
    return getattr(ot, name, None) or getattr(ot.gromov, name)


def sides(n=12, m=9, *, symmetric=True, uniform=False):
    c1 = distances(n, seed=1) if symmetric else np.abs(asymmetric(n, 1))
    c2 = distances(m, seed=2) if symmetric else np.abs(asymmetric(m, 2))
    p, q = (np.full(n, 1 / n), np.full(m, 1 / m)) if uniform else (weights(n, 1), weights(m, 2))
    M = np.random.default_rng(3).uniform(size=(n, m))
    start = gwrsa.sinkhorn(np.random.default_rng(4).uniform(size=(n, m)), p, q, epsilon=0.5, tol=1e-13).plan
    # Away from 0, whose logarithm no sweep gets over soon.
    return c1 / c1.max() + 0.3, c2 / c2.max() + 0.3, p, q, M, start


def both(name, args, **options):
    """What we and they return for the same call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(twins, name)(*args, **options), theirs(name)(*args, **options)
