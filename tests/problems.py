"""Random problems for tests."""

import numpy as np

import gwrsa


def points(n, dims=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dims)) * np.linspace(1.0, 0.4, dims)


def distances(n, dims=4, seed=0):
    x = points(n, dims, seed)
    return np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))


def asymmetric(n, seed=0):
    return distances(n, seed=seed) + np.random.default_rng(seed + 1).uniform(0, 0.5, (n, n))


def weights(n, seed=0, zeros=0):
    w = np.random.default_rng(seed).uniform(0.5, 1.5, n)
    w[:zeros] = 0.0
    return w / w.sum()


def pair(n=60, noise=0.02, seed=0):
    x = points(n, 6, seed)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0]
    y = x @ turn + noise * np.random.default_rng(seed + 1).standard_normal(x.shape)
    items = [f"object {i}" for i in range(n)]
    return gwrsa.Embedding(x, items, name="x"), gwrsa.Embedding(y, items, name="y")
