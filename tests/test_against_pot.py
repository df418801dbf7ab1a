"""The same fixed point as POT from the same start."""

import warnings

import numpy as np
import ot
import pytest

import gwrsa
from gwrsa import _core
from problems import asymmetric, distances, weights

LIMITS = {"float64": (1e-7, 1e-6), "mixed": (1e-5, 1e-3)}


def pot(c1, c2, p, q, epsilon, start, symmetric):
    """Zero weights make POT divide by zero: it solves on the support."""
    rows, cols = np.flatnonzero(p), np.flatnonzero(q)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inside = ot.gromov.entropic_gromov_wasserstein(
            c1[np.ix_(rows, rows)],
            c2[np.ix_(cols, cols)],
            p[rows],
            q[cols],
            "square_loss",
            epsilon=epsilon,
            symmetric=symmetric,
            G0=start[np.ix_(rows, cols)],
            max_iter=1000,
            tol=1e-12,
            numItermax=5000,
            stopThr=1e-14,
        )
    plan = np.zeros_like(start)
    plan[np.ix_(rows, cols)] = inside
    return plan


def case(name, n):
    c1, c2, m = distances(n, seed=1), distances(n, seed=2), n
    p = q = None
    if name == "n x m":
        m = n // 2 + 3
        c2 = distances(m, seed=2)
    if name == "asymmetric":
        c1, c2 = asymmetric(n, 1), asymmetric(n, 2)
    if name == "weights":
        p, q = weights(n, 1), weights(n, 2)
    if name == "zero weights":
        p, q = weights(n, 1, zeros=7), weights(n, 2, zeros=11)
    p = np.full(n, 1 / n) if p is None else p
    q = np.full(m, 1 / m) if q is None else q
    return c1, c2, p, q


CASES = ("plain", "n x m", "asymmetric", "weights", "zero weights")


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("name", CASES)
def test_same_fixed_point(name, ratio):
    agree(name, 100, ratio)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("plain", "weights"))
def test_same_fixed_point_of_400(name):
    agree(name, 400, 0.3)


def agree(name, n, ratio):
    c1, c2, p, q = case(name, n)
    problem = _core.Problem(c1, c2, p, q)
    start = problem.initial_plan("random", 0, 0)
    epsilon = ratio * problem.critical_epsilon()
    theirs = pot(c1, c2, p, q, epsilon, start, symmetric=name != "asymmetric")
    loss = problem.gw_loss(_core.round_to_marginals(theirs, p, q))
    for precision, (loss_tol, plan_tol) in LIMITS.items():
        ours = gwrsa.entropic_gw(c1, c2, p, q, epsilon=epsilon, init=start, precision=precision, max_outer=3000)
        assert ours.status == "converged", precision
        assert ours.gw_loss == pytest.approx(loss, rel=loss_tol), precision
        assert np.abs(ours.plan - theirs).sum() < plan_tol, precision


def test_loss_of_a_plan_is_that_of_pot():
    c1, c2, p, q = case("weights", 40)
    plan = np.outer(p, q)
    const = ot.gromov.init_matrix(c1, c2, p, q, "square_loss")
    assert _core.Problem(c1, c2, p, q).gw_loss(plan) == pytest.approx(ot.gromov.gwloss(*const, plan), rel=1e-12)


def test_linear_problem_is_that_of_pot():
    cost = np.random.default_rng(0).standard_normal((30, 20))
    p, q = weights(30), weights(20)
    ours = gwrsa.sinkhorn(cost, p, q, epsilon=0.05, tol=1e-12)
    theirs = ot.sinkhorn(p, q, cost, 0.05, method="sinkhorn_log", stopThr=1e-13, numItermax=10000)
    assert ours.status == "converged"
    assert np.abs(ours.plan - theirs).sum() < 1e-9
