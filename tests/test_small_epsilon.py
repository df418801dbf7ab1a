"""Epsilon so small that plans are nearly permutations, and costs far from their usual range."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import gwrsa


def distances(n, seed=1):
    """Of n points, the largest 1."""
    x = np.random.default_rng(seed).normal(size=(n, 3))
    c = cdist(x, x)
    return c / c.max()


@pytest.mark.parametrize("n", [12, 60])
@pytest.mark.parametrize("epsilon", [1e-4, 1e-5, 1e-6])
def test_what_float32_cannot_resolve_is_not_called_converged(n, epsilon):
    """Mixed precision is then float64: the plan of objects with themselves stays the diagonal, of loss 0."""
    c, diagonal = distances(n), np.eye(n) / n
    found = gwrsa.entropic_gw(c, c, epsilon=epsilon, init=diagonal)
    assert found.status == "converged"
    assert np.abs(found.plan - diagonal).sum() < 1e-4
    assert found.gw_loss < 1e-6


def test_above_it_mixed_precision_is_mixed():
    c = distances(60)
    mixed = gwrsa.entropic_gw(c, c, epsilon=1e-2, tol=1e-5)
    double = gwrsa.entropic_gw(c, c, epsilon=1e-2, tol=1e-5, precision="float64")
    assert 0 < np.abs(mixed.plan - double.plan).sum() < 1e-3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("init", ["uniform", "random", "diagonal"])
def test_plans_close_to_a_permutation_get_their_marginals(seed, epsilon, init):
    """Sweeps alone leave an error of 1e-9 to 1e-8 after a million of them."""
    c = distances(12, seed)
    init = np.eye(12) / 12 if init == "diagonal" else init
    found = gwrsa.entropic_gw(c, c, epsilon=epsilon, init=init, precision="float64")
    assert found.status == "converged"
    assert found.n_sinkhorn < 50_000


def test_an_inner_loop_that_gets_no_farther_ends_the_solve():
    """A column whose mass would have to come through entries below the floating-point range."""
    c = 1000 * distances(12, 0)
    found = gwrsa.entropic_gw(c, c, epsilon=1e-3, init="random", precision="float64")
    assert found.status == "max_sinkhorn"
    assert found.n_outer < 500
    assert found.marginal_error > 1e-2


@pytest.mark.parametrize("n", [12, 60])
@pytest.mark.parametrize("epsilon", [1e-3, 1e-2, 1, 1e4])
@pytest.mark.parametrize("init", ["uniform", "random"])
def test_a_large_constant_between_all_objects_breaks_nothing(n, epsilon, init):
    a = np.random.default_rng(1).random((n, n))
    c = (a + a.T) / 2 + 1000
    np.fill_diagonal(c, 0)
    ended = {
        precision: gwrsa.entropic_gw(c, c, epsilon=epsilon, init=init, precision=precision, max_outer=60)
        for precision in ("mixed", "float64")
    }
    assert all(found.status != "numerical_error" for found in ended.values())
    for found in ended.values():
        assert np.abs(found.plan.sum(0) - 1 / n).sum() < 1e-12


@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_features_of_any_size_keep_the_digits_of_the_loss(precision):
    """Also where the matched ones cost nothing: 0 is not left of the difference of two numbers of 1e20."""
    c, cost = distances(12), 1e20 * (1 - np.eye(12))
    found = gwrsa.entropic_gw(c, c, epsilon=1e-2, features=cost, precision=precision)
    assert found.status == "converged"
    assert 0 <= found.gw_loss < 1e-12
    plan = np.asarray(found.plan)
    assert found.gw_loss == pytest.approx(0.5 * float((cost * plan).sum()), abs=1e-12)


def test_an_epsilon_at_the_end_of_the_range_is_the_product_plan():
    c = distances(12)
    found = gwrsa.entropic_gw(c, c, epsilon=1.7e308)
    assert found.status == "converged"
    assert np.allclose(found.plan, 1 / 144)
    assert np.isfinite(found.objective)


@pytest.mark.parametrize("cost", [[[1.7e308]], [[0.0, -1.7e308], [1.0, 2.0]]])
def test_a_transport_cost_beyond_the_range_is_named(cost):
    with pytest.raises(ValueError, match=r"cost must stay below 1e300 times epsilon, got 1\.7e308 with epsilon"):
        gwrsa.sinkhorn(cost, epsilon=0.1)


def test_starts_of_either_precision_in_one_search():
    """A range of epsilon that goes beyond what float32 resolves: every start as if it were alone."""
    c = distances(30)
    found = gwrsa.align(
        gwrsa.RDM(c), gwrsa.RDM(c), search="multistart", n_starts=6, epsilon=(1e-5, 1e-1), absolute=True, seed=3
    )
    least = [start.epsilon for start in found.starts]
    assert min(least) < 1e-4
    assert max(least) > 1e-2
    for start in found.starts:
        if start.status == "converged":
            alone = gwrsa.entropic_gw(c, c, epsilon=start.epsilon, init=start.plan, precision="float64", tol=1e-6)
            assert alone.gw_loss == pytest.approx(start.gw_loss, abs=1e-5)


def test_sweeps_that_were_stretched_to_the_end_say_how_far_off_they_are():
    c1 = np.array([[0, 0.24104303, 4.35972225], [0.24104303, 0, 4.77131783], [4.35972225, 4.77131783, 0]])
    q = np.array([0.66261494, 0.33738506])
    found = gwrsa.entropic_gw(
        *(c1, c1[:2, :2], None, q), epsilon=1e-20, init="uniform", precision="float64", max_outer=30, max_sinkhorn=100
    )
    assert found.status == "max_sinkhorn"
    assert 0 < found.marginal_error < 1
