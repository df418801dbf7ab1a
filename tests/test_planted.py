"""Problems with a known answer: recovered up to the noise, and up to what no method could tell apart."""

import numpy as np
import pytest

import gwrsa
from problems import points


def turned(x, order, noise, seed=0):
    """The points in another order, turned, with noise."""
    rng = np.random.default_rng([seed, 1])
    turn = np.linalg.qr(rng.standard_normal((x.shape[1], x.shape[1])))[0]
    return x[order] @ turn + noise * rng.standard_normal(x.shape)


@pytest.mark.parametrize(("noise", "recovered"), [(0.0, 1.0), (0.05, 0.97), (0.2, 0.6)])
def test_a_permutation_is_recovered_up_to_the_noise(noise, recovered):
    n = 80
    x = points(n, 6, seed=1)
    order = np.random.default_rng(2).permutation(n)
    source, target = gwrsa.Embedding(x), gwrsa.Embedding(turned(x, order, noise))
    best = gwrsa.align(source, target, metric="euclidean", epsilon=0.02, progress=False).lowest_loss
    assert (order[best.top[:, 0]] == np.arange(n)).mean() >= recovered


@pytest.mark.parametrize("noise", [0.1, 0.3, 1.0])
def test_no_worse_than_from_the_planted_permutation(noise):
    n = 80
    x = points(n, 6, seed=1)
    order = np.random.default_rng(2).permutation(n)
    source, target = gwrsa.Embedding(x), gwrsa.Embedding(turned(x, order, noise))
    best = gwrsa.align(source, target, metric="euclidean", epsilon=0.05, progress=False).lowest_loss
    planted = np.zeros((n, n))
    planted[order, np.arange(n)] = 1 / n
    known = gwrsa.entropic_gw(source, target, metric="euclidean", epsilon=best.epsilon, init=planted, tol=1e-5)
    assert known.converged
    assert best.gw_loss <= 1.002 * known.gw_loss


def test_blocks_are_recovered_and_nothing_within_them():
    groups, size = 6, 10
    centres = points(groups, 3, seed=5)
    of = np.repeat(np.arange(groups), size)
    c = 0.2 * (1 - np.eye(groups * size)) + np.linalg.norm(centres[of][:, None] - centres[of][None], axis=2)
    rdm = gwrsa.RDM(c)
    order = np.random.default_rng(6).permutation(groups * size)
    shuffled = gwrsa.RDM(c[np.ix_(order, order)])
    found = gwrsa.align(rdm, shuffled, categories=of, target_categories=of[order], progress=False)
    best = found.lowest_loss
    assert best.category[1] == 1.0
    blocks = best.plan[:, np.argsort(order)].reshape(groups, size, groups, size)
    assert np.trace(blocks.sum(axis=(1, 3))) > 0.75
    assert np.ptp(blocks, axis=(1, 3)).max() < 1e-4 * best.plan.max()


def test_a_ring_is_matched_up_to_its_symmetries():
    n = 48
    angle = 2 * np.pi * np.arange(n) / n
    ring = gwrsa.Embedding(np.column_stack([np.cos(angle), np.sin(angle)]))
    best = gwrsa.align(ring, ring, metric="euclidean", epsilon=0.02, progress=False).lowest_loss
    # Where each object is sent to: round the ring once, in either direction, from any place.
    place = np.angle(best.plan @ np.exp(1j * angle))
    step = np.angle(np.exp(1j * (np.roll(place, -1) - place)))
    assert abs(step.sum()) == pytest.approx(2 * np.pi)
    assert np.abs(step) == pytest.approx(2 * np.pi / n, rel=0.05)
    steps = (best.top[:, 0][None] - np.outer([1, -1], np.arange(n))) % n
    rate = max((row == shift).mean() + (row == (shift + 1) % n).mean() for row in steps for shift in range(n))
    assert rate == 1.0
