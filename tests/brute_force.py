"""Slow, obvious twins."""

import itertools

import numpy as np


def gw_loss(c1, c2, plan):
    """O(n^2 m^2), straight from the definition."""
    n, m = plan.shape
    return sum(
        (c1[i, k] - c2[j, h]) ** 2 * plan[i, j] * plan[k, h]
        for i, k, j, h in itertools.product(range(n), range(n), range(m), range(m))
    )


def sinkhorn(cost, p, q, epsilon, sweeps):
    """Log-domain, one entry at a time summed."""
    f, g = np.zeros(len(p)), np.zeros(len(q))
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(p), np.log(q)
    for _ in range(sweeps):
        f = log_p - np.logaddexp.reduce(g[None] - cost / epsilon, axis=1)
        g = log_q - np.logaddexp.reduce(f[:, None] - cost / epsilon, axis=0)
    return np.exp(f[:, None] + g[None] - cost / epsilon)


def entropic_gw(c1, c2, p, q, epsilon, init, steps, sweeps=300):
    """Projected mirror steps with the full gradient, symmetric or not."""
    plan = init
    for _ in range(steps):
        gradient = np.zeros_like(plan)
        for i, j in itertools.product(range(len(p)), range(len(q))):
            out = (c1[i, :, None] - c2[j, None, :]) ** 2
            into = (c1[:, i, None] - c2[None, :, j]) ** 2
            gradient[i, j] = ((out + into) * plan).sum()
        plan = sinkhorn(gradient, p, q, epsilon, sweeps)
    return plan


def lowest_permutation(c1, c2):
    """The permutation of least GW loss, by trying them all."""
    n = len(c1)
    return min(itertools.permutations(range(n)), key=lambda s: ((c1 - c2[np.ix_(s, s)]) ** 2).sum())
