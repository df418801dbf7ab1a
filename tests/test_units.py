"""Neither the unit of the dissimilarities nor how little an object weighs changes what is found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gwrsa
from gwrsa.solve import build_problem
from problems import asymmetric, distances, pair, points
from solvers import SOLVERS

MAKE = {"dense": distances, "asymmetric": asymmetric, "factored": lambda n, seed: gwrsa.Embedding(points(n, 3, seed))}


@pytest.fixture(scope="module", params=SOLVERS)
def solver(request):
    return request.param


def times(side, by):
    """A side whose dissimilarities are so many times as large."""
    return side * by if isinstance(side, np.ndarray) else gwrsa.Embedding(side.values * by)


def sides(kind):
    return MAKE[kind](24, seed=1), MAKE[kind](20, seed=2)


@pytest.mark.parametrize("precision", ["mixed", "float64"])
@pytest.mark.parametrize("kind", MAKE)
@settings(max_examples=6)
@given(one=st.integers(-40, 40), other=st.integers(-40, 40))
def test_a_power_of_two_does_not_change_a_bit(solver, precision, kind, one, other):
    a, b = sides(kind)
    args = {"init": "random", "precision": precision, "metric": "sqeuclidean", **solver}
    epsilon = 0.3 * build_problem(a, b, metric="sqeuclidean").critical_epsilon()
    plain = gwrsa.entropic_gw(a, b, epsilon=epsilon, **args)
    assert not plain.failed
    # Squared distances of points that are so many times as far from one another.
    power = 2 if kind == "factored" else 1
    there = times(a, 2.0**one), times(b, 2.0**other)
    found = gwrsa.entropic_gw(*there, epsilon=epsilon * 2.0 ** (power * (one + other)), **args)
    assert (found.status, found.n_outer, found.n_sinkhorn) == (plain.status, plain.n_outer, plain.n_sinkhorn)
    assert np.array_equal(found.plan, plain.plan)
    assert all(np.array_equal(f, g) for f, g in zip(found.potentials, plain.potentials, strict=True))
    assert found.gw_loss == pytest.approx(build_problem(*there, metric="sqeuclidean").gw_loss(found.plan), rel=1e-6)
    same = gwrsa.entropic_gw(times(a, 2.0**one), times(b, 2.0**one), epsilon=epsilon * 4.0 ** (power * one), **args)
    assert same.gw_loss == 4.0 ** (power * one) * plain.gw_loss
    assert same.objective == 4.0 ** (power * one) * plain.objective


@pytest.mark.parametrize("precision", ["mixed", "float64"])
@given(exponent=st.floats(-12, 12))
def test_any_unit_is_solved(solver, precision, exponent):
    by = 10.0**exponent
    a, b = distances(24, seed=1), distances(20, seed=2)
    # One solution: below the critical epsilon another rounding may find another.
    epsilon = 1.2 * build_problem(a, b).critical_epsilon()
    plain, found = (
        gwrsa.entropic_gw(s * a, s * b, epsilon=s**2 * epsilon, precision=precision, tol=1e-5, **solver)
        for s in (1.0, by)
    )
    assert found.status == "converged"
    assert np.abs(found.plan - plain.plan).sum() < (1e-3 if precision == "mixed" else 1e-5)
    assert found.gw_loss == pytest.approx(by**2 * plain.gw_loss, rel=1e-4)


@pytest.mark.parametrize("power", [-120, -40, 40, 120])
def test_a_search_in_another_unit_is_the_same_search(power):
    a, b = (side.rdm("euclidean") for side in pair(30, noise=0.2))
    there = [gwrsa.RDM(side.dissimilarities * 2.0**power, side.items) for side in (a, b)]
    plain, found = (gwrsa.align(*both, epsilon=0.2, progress=False) for both in ((a, b), there))
    unit = ["critical_epsilon", "gw_loss", "objective", "epsilon", "seconds"]
    rest = [c for c in plain.table if c not in unit]
    assert found.table[rest].equals(plain.table[rest])
    for column in ("gw_loss", "objective", "epsilon"):
        assert (found.table[column] == plain.table[column] * 4.0**power).all()
    for here, other in zip(plain.starts, found.starts, strict=True):
        assert np.array_equal(here.plan, other.plan)


@given(exponents=st.tuples(*[st.floats(-30, -6)] * 3))
def test_objects_of_little_weight_have_their_counterparts(exponents):
    # A distinct pair of objects each, so that every row has one clear answer, however little it weighs.
    a = gwrsa.Embedding(points(24, 3, 5))
    p = np.r_[[10.0**e for e in exponents], np.full(21, 1.0)]
    p /= p.sum()
    epsilon = 0.02 * build_problem(a, a, p, p, metric="sqeuclidean").critical_epsilon()
    # From the answer: which optimum is found is not the question here.
    begin = np.diag(p)
    mixed, double = (
        gwrsa.entropic_gw(a, a, p, p, epsilon=epsilon, init=begin, metric="sqeuclidean", precision=precision, tol=1e-5)
        for precision in ("mixed", "float64")
    )
    assert not mixed.failed
    assert np.abs(mixed.plan.sum(1) - p).max() < 1e-12
    assert np.array_equal(mixed.top(1)[3:, 0], np.arange(3, 24))
    rows = [s.plan / s.plan.sum(1, keepdims=True) for s in (mixed, double)]
    assert np.abs(rows[0] - rows[1]).sum(1).max() < 0.02
    assert np.array_equal(mixed.top(1), double.top(1))


def test_torch_couples_objects_of_the_least_weight_it_takes():
    a = gwrsa.Embedding(points(24, 3, 5))
    p = np.r_[1.1e-8, 1e-6, np.full(22, 1.0)]
    p /= p.sum()
    args = {"epsilon": 0.02 * build_problem(a, a, p, p, metric="sqeuclidean").critical_epsilon(), "init": np.diag(p)}
    rust, ours = (
        gwrsa.entropic_gw(a, a, p, p, metric="sqeuclidean", tol=1e-5, backend=backend, **args)
        for backend in ("rust", "torch")
    )
    assert not ours.failed
    rows = [s.plan / s.plan.sum(1, keepdims=True) for s in (rust, ours)]
    assert np.abs(rows[0] - rows[1]).sum(1).max() < 0.02


def test_weights_that_single_precision_cannot_hold_are_refused(solver):
    a = gwrsa.Embedding(points(6, 3))
    p = np.r_[1e-40, np.full(5, 0.2)]
    said = "p must be 0 or at least .* in mixed precision, got 1e-40 at position 0; use float64"
    with pytest.raises(ValueError, match=said):
        gwrsa.entropic_gw(a, a, p, epsilon=0.1, **solver)
    with pytest.raises(ValueError, match=said):
        gwrsa.align(a, a, p=p, epsilon=0.1, absolute=True, progress=False, **solver)
    found = gwrsa.entropic_gw(a, a, p, epsilon=0.1, precision="float64", **solver)
    assert not found.failed
    assert found.plan.sum(1) == pytest.approx(p, abs=1e-12)
