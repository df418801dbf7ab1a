"""entropic_gw and sinkhorn: brute force, invariances, the failures seen elsewhere, messages."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import brute_force
import gwrsa
from gwrsa import _core
from problems import asymmetric, distances, points, weights
from solvers import SOLVERS

CHOSEN = {}


@pytest.fixture(autouse=True, scope="module", params=SOLVERS)
def solver(request):
    """Every test here is of every backend and device."""
    CHOSEN.clear()
    CHOSEN.update(request.param)
    return request.param


def solve(c1, c2, p=None, q=None, *, epsilon=0.2, precision="float64", tol=1e-10, **settings):
    return gwrsa.entropic_gw(c1, c2, p, q, epsilon=epsilon, precision=precision, tol=tol, **CHOSEN, **settings)


@pytest.mark.parametrize("zeros", [0, 1])
@pytest.mark.parametrize("make", [distances, asymmetric])
def test_brute_force_at_six(make, zeros):
    c1, c2, p, q = make(6, seed=1), make(5, seed=2), weights(6, 1, zeros), weights(5, 2, zeros)
    init = _core.Problem(c1, c2, p, q).initial_plan("random", 3, 0)
    ours = solve(c1, c2, p, q, init=init, epsilon=0.6, max_outer=2000)
    # The twin takes plain steps, of which it needs more.
    slow = brute_force.entropic_gw(c1, c2, p, q, 0.6, init, steps=150)
    assert ours.status == "converged"
    assert np.abs(ours.plan - slow).sum() < 1e-7
    assert ours.gw_loss == pytest.approx(brute_force.gw_loss(c1, c2, ours.plan), rel=1e-10)
    positive = ours.plan[ours.plan > 0]
    assert ours.objective == pytest.approx(ours.gw_loss + 0.6 * (positive * np.log(positive)).sum(), rel=1e-9)


def test_least_epsilon_finds_the_best_permutation_of_six():
    c1 = distances(6, seed=3)
    order = np.random.default_rng(0).permutation(6)
    c2 = c1[np.ix_(order, order)]
    ends = [solve(c1, c2, epsilon=0.01, init="random", seed=s, tol=1e-8, max_outer=4) for s in range(20)]
    best = min(ends, key=lambda s: s.gw_loss)
    wanted = brute_force.lowest_permutation(c1, c2)
    assert best.gw_loss < 1e-3
    assert tuple(best.plan.argmax(axis=1)) == tuple(wanted)


@pytest.mark.parametrize("precision", ["mixed", "float64"])
@pytest.mark.parametrize(("n", "m"), [(30, 30), (30, 17), (1, 4)])
def test_plan_has_the_marginals(n, m, precision):
    p, q = weights(n, 1, zeros=n // 10), weights(m, 2)
    end = solve(distances(n), distances(m, seed=1), p, q, precision=precision, tol=1e-6)
    assert end.plan.shape == (n, m)
    assert (end.plan >= 0).all()
    assert np.abs(end.plan.sum(axis=1) - p).sum() + np.abs(end.plan.sum(axis=0) - q).sum() < 1e-12


def test_objects_permuted_plan_permuted():
    c1, c2 = distances(25, seed=1), distances(20, seed=2)
    init = _core.Problem(c1, c2, weights(25), weights(20)).initial_plan("random", 0, 0)
    order = np.random.default_rng(1).permutation(25)
    one = solve(c1, c2, weights(25), weights(20), init=init)
    two = solve(c1[np.ix_(order, order)], c2, weights(25)[order], weights(20), init=init[order])
    assert np.abs(two.plan - one.plan[order]).sum() < 1e-7


def test_exchanged_sides_transpose_the_plan():
    c1, c2, p, q = distances(25, seed=1), distances(20, seed=2), weights(25), weights(20)
    init = _core.Problem(c1, c2, p, q).initial_plan("random", 0, 0)
    one, two = solve(c1, c2, p, q, init=init), solve(c2, c1, q, p, init=np.ascontiguousarray(init.T))
    assert np.abs(two.plan.T - one.plan).sum() < 1e-7


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e4, 1e12])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_units_do_not_matter(scale, precision):
    c1, c2 = distances(20, seed=1), distances(20, seed=2)
    init = _core.Problem(c1, c2, weights(20), weights(20)).initial_plan("random", 0, 0)
    args = {"init": init, "precision": precision, "tol": 1e-6}
    one = solve(c1, c2, weights(20), weights(20), **args)
    two = solve(scale * c1, scale * c2, weights(20), weights(20), epsilon=0.2 * scale**2, **args)
    assert two.status == "converged"
    assert two.gw_loss == pytest.approx(scale**2 * one.gw_loss, rel=2e-5)


def test_a_column_without_weight_starves_no_row():
    # The largest entry of every row lies in a column where no mass may go, farther above the others than single precision reaches.
    at = np.array([0, 0, 0, 0, 0, -0.6923, 0.8024])
    c1, c2 = np.zeros((5, 5)), (at[:, None] - at) ** 2
    c1[3, 1] = 0.7424
    p, q = np.array([0, 0, 1, 1, 1]) / 3, np.array([0, 0, 1, 1, 1, 1, 1]) / 5
    ends = [
        solve(c1, c2, p, q, epsilon=1e-3 * c1.max() * c2.max(), precision=precision, max_outer=20, tol=1e-6)
        for precision in ("mixed", "float64")
    ]
    assert [end.status for end in ends] == ["converged"] * 2
    assert ends[0].gw_loss == pytest.approx(ends[1].gw_loss, rel=1e-6)


def test_zero_weights_are_the_problem_without_the_objects():
    c1, c2, p = distances(20, seed=1), distances(15, seed=2), weights(20, zeros=6)
    init = np.outer(p, weights(15))
    whole = solve(c1, c2, p, weights(15), init=init)
    part = solve(c1[6:, 6:], c2, p[6:], weights(15), init=init[6:])
    assert np.abs(whole.plan[6:] - part.plan).sum() < 1e-7
    assert whole.plan[:6].sum() == 0


@pytest.mark.parametrize("metric", ["cosine", "correlation", "sqeuclidean", "euclidean", "inner_product"])
def test_embedding_is_its_dissimilarities(metric):
    a, b = gwrsa.Embedding(points(40, 5, 1)), gwrsa.Embedding(points(40, 6, 2))
    dense = [x.rdm(metric).square() for x in (a, b)]
    epsilon = 0.4 * _core.Problem(*dense, weights(40), weights(40)).critical_epsilon()
    args = {"epsilon": epsilon, "init": "random", "seed": 1}
    one, two = solve(a, b, metric=metric, **args), solve(*dense, **args)
    three = solve(a.rdm(metric), b.rdm(metric), **args)
    assert one.gw_loss == pytest.approx(two.gw_loss, rel=1e-8)
    assert np.abs(one.plan - two.plan).sum() < 1e-6
    assert np.abs(three.plan - two.plan).sum() < 1e-6


def test_top_is_that_of_the_plan():
    end = solve(distances(30, seed=1), distances(25, seed=2), init="random", epsilon=0.1)
    top = end.top(4)
    by_plan = np.take_along_axis(end.plan, top, axis=1)
    assert top.shape == (30, 4)
    assert np.allclose(by_plan, -np.sort(-end.plan, axis=1)[:, :4], rtol=1e-6, atol=1e-12)
    with pytest.raises(ValueError, match="k must be between 1 and 25, got 26"):
        end.top(26)


def test_potentials_make_the_plan_up_to_the_cost():
    c1, c2, p = distances(12, seed=1), distances(12, seed=2), np.full(12, 1 / 12)
    epsilon = 0.7 * _core.Problem(c1, c2, p, p).critical_epsilon()
    end = solve(c1, c2, epsilon=epsilon, init="random", tol=1e-12)
    f, g = end.potentials
    # T = exp(M + f + g) with M = 4 / epsilon C1 T C2 up to terms of the row and of the column, which a double difference removes.
    left = np.log(end.plan) - 4 / epsilon * c1 @ end.plan @ c2

    def double_centred(x):
        return x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean()

    assert np.abs(double_centred(left)).max() < 1e-6
    assert f.shape == g.shape == p.shape


# What goes wrong elsewhere


def test_underflow_never_wins_with_loss_zero():
    c1, c2 = distances(50, seed=1), distances(50, seed=2)
    for precision in ("mixed", "float64"):
        # Steps of a thousand sweeps, whose fixed cost in torch is a hundred times what so few objects take.
        steps = 50 if CHOSEN["backend"] == "rust" else 5
        end = solve(c1, c2, epsilon=1e-6, precision=precision, tol=1e-6, max_outer=steps, init="random")
        assert not end.failed
        assert end.gw_loss == pytest.approx(brute_force_loss(c1, c2, end.plan), rel=1e-9)
        assert end.gw_loss > 0.01
        assert end.plan.sum() == pytest.approx(1.0)


def test_loss_is_not_negative_when_the_inner_loop_is_cut_short():
    c1 = distances(30, seed=1)
    end = solve(c1, c1, epsilon=0.01, max_sinkhorn=1, max_outer=5, init="random")
    assert end.status == "max_sinkhorn"
    assert end.gw_loss == pytest.approx(brute_force_loss(c1, c1, end.plan), rel=1e-9, abs=1e-12)
    assert end.gw_loss >= 0


def brute_force_loss(c1, c2, plan):
    p, q = plan.sum(axis=1), plan.sum(axis=0)
    return float(p @ c1**2 @ p + q @ c2**2 @ q - 2 * np.vdot(c1 @ plan @ c2.T, plan))


def test_integer_matrices():
    c1 = np.abs(np.subtract.outer(np.arange(9), np.arange(9)))
    c2 = np.abs(np.subtract.outer(np.arange(7), np.arange(7)))
    whole, real = solve(c1, c2, init="random"), solve(c1.astype(float), c2.astype(float), init="random")
    assert np.array_equal(whole.plan, real.plan)
    assert whole.plan.sum() == pytest.approx(1.0)
    assert np.array_equal(solve(c1.astype(np.int8), c2.astype(np.uint16), init="random").plan, real.plan)


@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_identical_matrices_stop(precision):
    c = distances(40, seed=1)
    end = solve(c, c, epsilon=0.02, init=np.eye(40) / 40, precision=precision, tol=1e-6)
    assert end.status == "converged"
    assert (end.plan.argmax(axis=1) == np.arange(40)).all()


def test_noise_of_float32_is_no_asymmetry():
    c1, c2 = distances(40, seed=1), distances(40, seed=2)
    noisy = c1 * (1 + 1e-8 * np.random.default_rng(0).standard_normal((40, 40)))
    clean = solve(c1, c2, init="random")
    shaken = solve(noisy, c2, init="random")
    assert shaken.gw_loss == pytest.approx(clean.gw_loss, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_is_named(bad):
    c = distances(5)
    c[1, 2] = bad
    with pytest.raises(ValueError, match=r"c2 must be finite, got -?(nan|inf) at \(1, 2\)"):
        solve(distances(5), c)


def test_initial_plan_that_does_not_fit():
    c = distances(5)
    with pytest.raises(ValueError, match="init must have the marginals p and q"):
        solve(c, c, init=np.eye(5))
    with pytest.raises(ValueError, match="init must be finite, got nan"):
        solve(c, c, init=np.full((5, 5), np.nan))
    with pytest.raises(ValueError, match=r"init must have shape \(5, 5\), got \(4, 5\)"):
        solve(c, c, init=np.full((4, 5), 1 / 20))
    with pytest.raises(ValueError, match="init must not be negative"):
        solve(c, c, init=np.eye(5) / 5 - 1e-3 + 1e-3 * 5 * np.roll(np.eye(5), 1, axis=1))


@pytest.mark.parametrize("n", [10, 100, 600])
def test_stopping_does_not_depend_on_size(n):
    c, other = distances(10, seed=1), distances(10, seed=2)
    grown, grown_other = (np.kron(a, np.ones((n // 10, n // 10))) for a in (c, other))
    init = np.outer(weights(10, 1), weights(10, 2))
    init = _core.round_to_marginals(init, np.full(10, 0.1), np.full(10, 0.1))
    big = np.kron(init, np.ones((n // 10, n // 10))) / (n // 10) ** 2
    small = solve(c, other, init=init, epsilon=0.3, tol=1e-7)
    end = solve(grown, grown_other, init=big, epsilon=0.3, tol=1e-7)
    assert end.status == small.status == "converged"
    assert abs(end.n_outer - small.n_outer) <= 1
    assert end.gw_loss == pytest.approx(small.gw_loss, rel=1e-6)


def test_which_loop_ran_out_is_said():
    c1, c2 = distances(30, seed=1), distances(30, seed=2)
    assert solve(c1, c2, init="random", max_outer=1).status == "max_outer"
    constant = np.ones((30, 30)) - np.eye(30)
    stuck = solve(constant, c2, weights(30), weights(30, 1), epsilon=1e-3, max_sinkhorn=1, max_outer=3, init="random")
    assert stuck.status == "max_sinkhorn"
    assert stuck.marginal_error > 1e-3


def test_tiny_epsilon_in_single_precision_is_that_of_double():
    # Of a problem on whose way no two optima are so close that rounding decides between them.
    c1, c2 = distances(60, seed=5), distances(60, seed=6)
    init = _core.Problem(c1, c2, weights(60), weights(60)).initial_plan("profile", 0, 0)
    args = {"init": init, "epsilon": 5e-3, "tol": 1e-6, "max_outer": 3000}
    double = solve(c1, c2, weights(60), weights(60), **args)
    mixed = solve(c1, c2, weights(60), weights(60), **args, precision="mixed")
    assert mixed.gw_loss == pytest.approx(double.gw_loss, rel=1e-4)


def test_constant_dissimilarities_give_the_product_plan():
    c = np.ones((8, 8)) - np.eye(8)
    end = solve(c, np.zeros((5, 5)))
    assert end.status == "converged"
    assert np.allclose(end.plan, 1 / 40)


# Threads and interrupts


@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_threads_do_not_change_a_bit(precision):
    a, b = gwrsa.Embedding(points(300, 8, 1)), gwrsa.Embedding(points(280, 9, 2))
    # Torch sums in another order with other threads; that rounding sends a random start into another basin.
    bitwise = CHOSEN["backend"] == "rust"
    init = "random" if bitwise else "spectral"
    args = {"epsilon": 0.05, "init": init, "precision": precision, "tol": 1e-5, "max_outer": 60}
    one, two, three = (solve(a, b, threads=t, **args) for t in (1, 2, 3))
    most = 0 if bitwise else {"mixed": 1e-3, "float64": 1e-9}[precision]
    assert np.abs(one.plan - two.plan).sum() <= most
    assert np.abs(one.plan - three.plan).sum() <= most


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a process there, it does not interrupt it")
def test_ctrl_c_ends_a_solve_within_a_second():
    code = """
import json, signal, sys, numpy as np, gwrsa
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the parent ignores it
x = np.random.default_rng(0).standard_normal((1500, 1500))
c = np.abs(x + x.T); np.fill_diagonal(c, 0)
print("ready", flush=True)
try:
    gwrsa.entropic_gw(c, c[::-1, ::-1].copy(), epsilon=1e-3, tol=1e-15, max_outer=10**6, max_sinkhorn=10**6, init="random",
        **json.loads(sys.argv[1]))
except KeyboardInterrupt:
    sys.exit(7)
"""
    process = subprocess.Popen([sys.executable, "-c", code, json.dumps(CHOSEN)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(4)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 7
    process.stdout.close()
    # Torch ends the product at hand first, and then takes itself down.
    assert time.monotonic() - began < (1.0 if CHOSEN["backend"] == "rust" else 5.0)


def test_other_python_threads_run_while_a_solve_does():
    ticks = []
    stop = threading.Event()

    def count():
        while not stop.wait(0.005):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=count)
    thread.start()
    began = time.monotonic()
    solve(distances(400, seed=1), distances(400, seed=2), init="random", epsilon=0.05, tol=1e-14, max_outer=100)
    ended = time.monotonic()
    stop.set()
    thread.join()
    during = [t for t in ticks if began < t < ended]
    assert len(during) > 0.2 * (ended - began) / 0.005


def test_strides_and_dtypes_do_not_matter():
    c1, c2 = distances(20, seed=1), distances(20, seed=2)
    plain = solve(c1, c2, init="random").plan
    big = np.zeros((40, 60))
    big[::2, ::3] = c1
    assert np.array_equal(solve(big[::2, ::3], np.asfortranarray(c2), init="random").plan, plain)
    assert np.array_equal(solve(c1.tolist(), c2.astype(">f8"), init="random").plan, plain)


@given(
    n=st.integers(1, 12),
    m=st.integers(1, 12),
    exponent=st.integers(-12, 12),
    ratio=st.floats(-5, 3),
    seed=st.integers(0, 1000),
    precision=st.sampled_from(["mixed", "float64"]),
)
def test_any_problem_gives_a_plan_or_says_why_not(n, m, exponent, ratio, seed, precision):
    scale = 10.0**exponent
    c1, c2 = scale * asymmetric(n, seed), scale * asymmetric(m, seed + 1)
    p, q = weights(n, seed), weights(m, seed + 1)
    end = solve(
        c1,
        c2,
        p,
        q,
        epsilon=scale**2 * 10.0**ratio,
        precision=precision,
        tol=None,
        init="random",
        max_outer=30,
        max_sinkhorn=50,
    )
    assert not np.isnan(end.gw_loss)
    if not end.failed:
        assert np.isfinite(end.plan).all()
        assert np.abs(end.plan.sum(axis=1) - p).sum() + np.abs(end.plan.sum(axis=0) - q).sum() < 1e-11
        assert end.gw_loss >= 0


@pytest.mark.parametrize("init", ["uniform", "random", "spectral", "profile"])
def test_costs_that_are_all_zero_are_solved(init):
    found = gwrsa.entropic_gw(np.zeros((5, 5)), np.zeros((6, 6)), epsilon=1.0, init=init)
    assert found.gw_loss == 0.0


def test_a_difference_of_potentials_counts_in_an_asymmetric_cost():
    # Centred it vanishes but for its means; any asymmetry of two items is one.
    up = np.arange(5.0)
    for c in (np.array([[0.6, 0.3], [0.1, 0.0]]), distances(5, seed=1) + 0.2 * np.subtract.outer(up, up)):
        w = weights(len(c))
        end = solve(c, c, w, w, epsilon=0.3, init="random", tol=1e-9)
        apart = (c[:, None, :, None] - c[None, :, None, :]) ** 2
        assert end.gw_loss == pytest.approx(np.einsum("ijkl,ij,kl", apart, end.plan, end.plan), rel=1e-9)
