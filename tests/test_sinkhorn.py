"""The linear problem: Sinkhorn against its slow twin and the assignment."""

import numpy as np
import pytest

import brute_force
import gwrsa
from problems import weights


def test_sinkhorn_is_its_slow_twin():
    cost, p, q = np.random.default_rng(0).standard_normal((9, 7)), weights(9, 1, zeros=2), weights(7, 2)
    end = gwrsa.sinkhorn(cost, p, q, epsilon=0.3, tol=1e-13)
    assert end.status == "converged"
    assert np.abs(end.plan - brute_force.sinkhorn(cost, p, q, 0.3, 500)).sum() < 1e-10
    assert end.transport_cost == pytest.approx((cost * end.plan).sum())
    f, g = end.potentials
    assert np.abs(np.exp(f[:, None] + g - cost / 0.3) - end.plan).sum() < 1e-10


@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_default_tolerance_is_within_reach_of_the_precision(precision):
    for epsilon in (0.3, 1.0, 1e300):
        end = gwrsa.sinkhorn(np.random.default_rng(0).uniform(size=(50, 40)), epsilon=epsilon, precision=precision)
        assert end.status == "converged"


def test_sinkhorn_at_tiny_epsilon_is_the_assignment():
    from scipy.optimize import linear_sum_assignment

    cost = np.random.default_rng(0).uniform(size=(12, 12))
    end = gwrsa.sinkhorn(cost, epsilon=1e-4, tol=1e-6, max_sinkhorn=200_000)
    rows, cols = linear_sum_assignment(cost)
    assert end.transport_cost == pytest.approx(cost[rows, cols].mean(), rel=1e-3)
    assert (end.plan.argmax(axis=1) == cols).all()
