"""The twins of POT's functions: the same plans, losses, keys, warnings; arrays as they came."""

import inspect
import warnings
from itertools import product

import numpy as np
import ot
import pytest
import torch

import gwrsa
import gwrsa.pot as twins
from pot_twins import GW, both, sides, theirs
from problems import distances, weights

NAMES = [name for name in twins.__all__ if not name.startswith("sinkhorn")]


@pytest.mark.parametrize("name", twins.__all__)
def test_signatures_are_those_of_pot(name):
    def parameters(f):
        return [(p.name, p.default, p.kind) for p in inspect.signature(f).parameters.values()]

    assert parameters(getattr(twins, name)) == parameters(theirs(name))


@pytest.mark.parametrize(
    ("name", "solver", "loss", "symmetric", "steps"),
    list(product(GW, ("PGD", "PPA"), ("square_loss", "kl_loss"), (True, False), (1, 12))),
)
def test_each_step_is_that_of_pot(name, solver, loss, symmetric, steps):
    c1, c2, p, q, M, start = sides(symmetric=symmetric)
    args = (M, c1, c2) if "fused" in name else (c1, c2)
    options = {"loss_fun": loss, "epsilon": 0.1, "solver": solver, "G0": start, "log": True}
    options |= {"max_iter": steps, "tol": 0, "numItermax": 2000, "stopThr": 1e-12}
    (ours, log), (known, known_log) = both(name, args, p=p, q=q, **options)
    assert np.abs(ours - known).sum() < 1e-8
    assert log.keys() == known_log.keys()
    assert np.allclose(log["err"], known_log["err"], rtol=1e-6, atol=1e-9)
    key = "fgw_dist" if "fused" in name else "gw_dist"
    assert log[key] == pytest.approx(known_log[key], rel=1e-7)


@pytest.mark.parametrize("name", GW)
@pytest.mark.parametrize(("n", "m", "i", "j"), [(10, 10, 5, 5), (8, 8, 3, 3), (9, 6, 3, 2), (6, 9, 2, 3)])
def test_a_proximal_step_gives_no_mass_to_what_has_none(name, n, m, i, j):
    """Plans of two blocks, not symmetric, whose sums are the weights up to rounding only."""
    c1, c2, p, q, M, _ = sides(n, m, uniform=True)
    rows, columns = (np.random.default_rng(size).permutation(size) for size in (n, m))
    start = np.zeros((n, m))
    start[np.ix_(rows[:i], columns[:j])] = 1 / n / j
    start[np.ix_(rows[i:], columns[j:])] = 1 / n / (m - j)
    args = (M, c1, c2) if "fused" in name else (c1, c2)
    options = {"epsilon": 0.05, "max_iter": 60, "tol": 0, "numItermax": 1000, "stopThr": 1e-12}
    ours, known = both(name, args, p=p, q=q, G0=start, solver="PPA", **options)
    assert np.abs(known - start).sum() > 0.5
    assert (known[start == 0] == 0).all()
    assert ours[start == 0].max() < 1e-6
    # Sweeps over what is nearly nothing end slowly.
    assert np.abs(ours - known).sum() < 1e-3


@pytest.mark.parametrize(
    ("name", "loss", "symmetric", "marginal"),
    list(
        product(
            [n for n in NAMES if n.startswith("BAPG") and not n.endswith("2")],
            ("square_loss", "kl_loss"),
            (True, False),
            (True, False),
        )
    ),
)
@pytest.mark.parametrize("turned", [False, True])
def test_alternating_steps_are_those_of_pot(name, loss, symmetric, marginal, turned):
    c1, c2, p, q, M, start = sides(symmetric=symmetric)
    if turned:
        c1, c2, p, q, M, start = c2, c1, q, p, M.T, start.T
    args = (M, c1, c2) if "fused" in name else (c1, c2)
    options = {"loss_fun": loss, "epsilon": 1.0, "G0": start, "marginal_loss": marginal, "max_iter": 25, "tol": 0}
    (ours, log), (known, known_log) = both(name, args, p=p, q=q, log=True, **options)
    assert np.isfinite(known).all()
    assert np.abs(ours - known).sum() < 1e-10
    assert log.keys() == known_log.keys()
    for key in log:
        assert np.allclose(log[key], known_log[key], rtol=1e-8, atol=1e-12), key


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("BAPG") and not n.endswith("2")])
def test_alternating_steps_go_on_from_a_plan_of_their_own(name):
    c1, c2, p, q, M, _ = sides()
    args, options = (M, c1, c2) if "fused" in name else (c1, c2), {"p": p, "q": q, "epsilon": 1.0, "tol": 0}
    half, _ = both(name, args, **options, max_iter=6)
    assert np.abs(half.sum(axis=1) - p).sum() > 1e-3
    ours, known = both(name, args, **options, G0=half, max_iter=9)
    assert np.abs(ours - known).sum() < 1e-10
    assert np.abs(ours - both(name, args, **options, max_iter=15)[0]).sum() < 1e-10


def test_a_plan_of_alternating_steps_is_put_onto_the_marginals_as_the_page_says():
    c1, c2, p, q, _, _ = sides()
    plan = twins.BAPG_gromov_wasserstein(c1, c2, p, q, epsilon=5.0, max_iter=6)
    with pytest.raises(ValueError, match="G0 must have the marginals"):
        twins.entropic_gromov_wasserstein(c1, c2, p, q, epsilon=0.05, G0=plan)
    nearest = twins.sinkhorn(p, q, -np.log(np.maximum(plan, 1e-300)), 1.0)
    # Rows and columns are scaled, and nothing else.
    ratio = nearest / plan
    assert np.allclose(ratio * ratio[0, 0], ratio[:, :1] * ratio[:1], rtol=1e-6)
    ours, known = both(GW[0], (c1, c2, p, q), epsilon=0.05, G0=nearest, max_iter=5, stopThr=1e-12)
    assert np.abs(ours - known).sum() < 1e-7


@pytest.mark.parametrize("unit", [1 / 50, 1 / 3, 7.0, 300.0])
@pytest.mark.parametrize("loss", ["square_loss", "kl_loss"])
@pytest.mark.parametrize("name", [n for n in NAMES if not n.endswith("2")])
def test_units_other_than_1_are_those_of_pot(name, loss, unit):
    c1, c2, p, q, M, start = sides()
    c1, c2 = unit * c1, unit * c2
    size = unit**2 if loss == "square_loss" else unit * max(1.0, abs(np.log(unit)))
    args = (size * M, c1, c2) if "fused" in name else (c1, c2)
    options = {"loss_fun": loss, "epsilon": size, "G0": start, "max_iter": 8, "tol": 0, "log": True}
    if not name.startswith("BAPG"):
        options |= {"numItermax": 2000, "stopThr": 1e-12}
    (ours, log), (known, known_log) = both(name, args, p=p, q=q, **options)
    assert np.isfinite(known).all()
    assert np.abs(ours - known).sum() < 1e-8
    for key in {"gw_dist", "fgw_dist"} & set(log):
        assert log[key] == pytest.approx(known_log[key], rel=1e-7)


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith("2")])
def test_values_and_records_of_the_functions_that_end_in_2(name):
    c1, c2, p, q, M, _ = sides()
    args = (M, c1, c2, p, q) if "fused" in name else (c1, c2, p, q)
    (ours, log), (known, known_log) = both(name, args, epsilon=0.5, max_iter=40, log=True)
    assert ours == pytest.approx(known, rel=1e-7)
    assert log.keys() == known_log.keys()
    for key in log.keys() - {"err", "T"}:
        assert log[key] == pytest.approx(known_log[key], rel=1e-6), key
    alone, known_alone = both(name, args, epsilon=0.5, max_iter=40)
    assert alone == ours
    assert known_alone == pytest.approx(ours, rel=1e-7)


def test_default_stop_is_that_of_pot():
    c1, c2, p, q, _, _ = sides(30, 30)
    (ours, log), (known, known_log) = both(GW[0], (c1, c2, p, q), epsilon=0.02, log=True)
    assert len(log["err"]) == len(known_log["err"])
    assert log["err"][-1] < 1e-9
    assert np.abs(ours - known).sum() < 1e-7


@pytest.mark.parametrize("loss", ["square", "kl"])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_our_own_call_has_both(loss, precision):
    c1, c2, p, q, M, start = sides(40, 30)
    epsilon = 0.1
    known = ot.gromov.entropic_fused_gromov_wasserstein(
        M, c1, c2, p, q, f"{loss}_loss", epsilon, alpha=0.7, G0=start, tol=1e-12, stopThr=1e-13, numItermax=2000
    )
    value = ot.gromov.entropic_fused_gromov_wasserstein2(
        M, c1, c2, p, q, f"{loss}_loss", epsilon, alpha=0.7, G0=start, tol=1e-12, stopThr=1e-13, numItermax=2000
    )
    # Turned about, so that the cost between features turns with them.
    for turned in (False, True):
        a, b, w, v, x, g = (c2, c1, q, p, M.T, start.T) if turned and loss == "square" else (c1, c2, p, q, M, start)
        end = gwrsa.entropic_gw(
            a, b, w, v, epsilon=epsilon, features=x, alpha=0.7, loss=loss, init=g, precision=precision
        )
        assert end.status == "converged"
        plan = end.plan.T if end.plan.shape != known.shape else end.plan
        assert np.abs(plan - known).sum() < {"mixed": 2e-3, "float64": 1e-6}[precision]
        assert end.gw_loss == pytest.approx(value, rel={"mixed": 1e-4, "float64": 1e-6}[precision])


@pytest.mark.parametrize("metric", ["cosine", "correlation", "sqeuclidean"])
def test_the_kl_loss_takes_representations_as_it_takes_their_dissimilarities(metric):
    rng = np.random.default_rng(3)
    one, two = (gwrsa.Embedding(np.abs(rng.standard_normal((40, 5)))) for _ in range(2))
    squares = [side.rdm(metric).square() for side in (one, two)]
    settings = {"epsilon": 0.2 * squares[0].mean(), "loss": "kl", "precision": "float64"}
    known = gwrsa.entropic_gw(*squares, **settings)
    assert known.converged
    for sides_ in ((one, two), (one.rdm(metric), two.rdm(metric))):
        end = gwrsa.entropic_gw(*sides_, metric=metric, **settings)
        assert end.gw_loss == known.gw_loss
        assert np.array_equal(end.plan, known.plan)


def test_features_of_either_side_are_their_squared_distances():
    c1, c2, _, _, _, _ = sides(20, 15)
    x, y = (np.random.default_rng(i).standard_normal((n, 3)) for i, n in ((1, 20), (2, 15)))
    given = gwrsa.entropic_gw(c1, c2, epsilon=0.05, features=ot.dist(x, y), precision="float64")
    made = gwrsa.entropic_gw(c1, c2, epsilon=0.05, features=(x, y), precision="float64")
    assert np.abs(given.plan - made.plan).sum() < 1e-8
    assert given.status == made.status == "converged"
    alone = gwrsa.sinkhorn(ot.dist(x, y), epsilon=0.05, tol=1e-12)
    without = gwrsa.entropic_gw(c1, c2, epsilon=0.05, features=(x, y), alpha=0.0, precision="float64")
    assert np.abs(without.plan - alone.plan).sum() < 1e-7
    assert without.gw_loss == pytest.approx(alone.transport_cost, rel=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", twins.__all__)
def test_arrays_come_back_as_they_went_in(name, dtype):
    c1, c2, p, q, M, _ = (torch.tensor(x, dtype=dtype) for x in sides())
    if name.startswith("sinkhorn"):
        args, options = (p, q, M, 0.5), {}
    else:
        args, options = (
            (M, c1, c2, p, q) if "fused" in name else (c1, c2, p, q),
            {"epsilon": 5.0 if "BAPG" in name else 0.5, "max_iter": 20},
        )
    ours = getattr(twins, name)(*args, **options)
    assert isinstance(ours, torch.Tensor)
    assert ours.dtype == dtype
    host = getattr(twins, name)(*(x.numpy() if torch.is_tensor(x) else x for x in args), **options)
    assert host.dtype == ours.numpy().dtype
    assert np.array_equal(host, ours.numpy())
    assert ours.shape == (() if name.endswith("2") else M.shape)


@pytest.mark.parametrize("held", [np.array, np.atleast_1d, torch.tensor, np.float32])
@pytest.mark.parametrize("name", twins.__all__)
def test_numbers_may_be_arrays_and_steps_may_be_floats(name, held):
    c1, c2, p, q, M, _ = sides()
    if name.startswith("sinkhorn"):
        args, options, steps = (p, q, M, 0.5), {"stopThr": 2.0**-20}, {"numItermax": 100}
    else:
        args = (M, c1, c2, p, q) if "fused" in name else (c1, c2, p, q)
        options = {"epsilon": 8.0 if "BAPG" in name else 0.5, "tol": 2.0**-20}
        options |= {"alpha": 0.75} if "fused" in name else {}
        steps = {"max_iter": 20} | ({} if "BAPG" in name else {"numItermax": 100})
    known = getattr(twins, name)(*args, **options, **steps)
    # Powers of 2, which float32 has exactly.
    args = (*args[:3], held(args[3])) if name.startswith("sinkhorn") else args
    given = {key: held(value) for key, value in options.items()} | {key: held(float(n)) for key, n in steps.items()}
    assert np.array_equal(getattr(twins, name)(*args, **given), known)


@pytest.mark.parametrize(
    "method", ["sinkhorn", "sinkhorn_log", "greenkhorn", "sinkhorn_stabilized", "sinkhorn_epsilon_scaling"]
)
def test_sinkhorn_by_each_name(method):
    _, _, p, q, M, _ = sides(20, 15)
    (ours, log), (known, known_log) = both(
        "sinkhorn", (p, q, M, 0.1), method=method, numItermax=20_000, stopThr=1e-12, log=True
    )
    assert np.abs(ours - known).sum() < 1e-6
    assert known_log.keys() <= log.keys()
    f, g = log["log_u"], log["log_v"]
    assert np.abs(np.exp(f[:, None] + g - M / 0.1) - ours).sum() < 1e-9
    warm = twins.sinkhorn(
        p,
        q,
        M,
        0.1,
        method=method,
        warmstart=(log["alpha"], log["beta"]) if "st" in method or "sc" in method else (f, g),
        log=True,
    )
    assert warm[1]["niter"] <= 2
    assert log["niter"] > 2
    assert np.abs(warm[0] - ours).sum() < 1e-8


def test_several_columns_and_masses_other_than_1():
    _, _, p, q, M, _ = sides(20, 15)
    columns = np.stack([q, weights(15, 7)], axis=1)
    (ours, log), (known, known_log) = both(
        "sinkhorn2", (p, columns, M, 0.1), numItermax=20_000, stopThr=1e-12, log=True
    )
    assert np.allclose(ours, known, rtol=1e-8)
    assert log["u"].shape == known_log["u"].shape
    (_, log), (_, known_log) = both("sinkhorn", (p, columns, M, 0.1), method="sinkhorn_stabilized", log=True)
    assert known_log.keys() <= log.keys()
    assert np.allclose(log["alpha"], 0.1 * log["log_u"])
    heavy = twins.sinkhorn(3 * p, 3 * q, M, 0.1)
    assert np.allclose(heavy, 3 * twins.sinkhorn(p, q, M, 0.1), atol=1e-12)


@pytest.mark.parametrize("method", ["sinkhorn", "sinkhorn_stabilized"])
def test_potentials_to_begin_with_are_taken_in_every_form(method):
    _, _, p, q, M, _ = sides(20, 15)
    columns = np.stack([q, weights(15, 7)], axis=1)
    options = {"method": method, "log": True}
    exactly = options | {"numItermax": 20_000, "stopThr": 1e-12}
    _, cold = twins.sinkhorn(p, q, M, 0.1, **exactly)
    names = ("log_u", "log_v") if method == "sinkhorn" else ("alpha", "beta")
    f, g = (cold[name] for name in names)
    assert cold["niter"] > 2
    for pair in ((f, g), [f, g], [f.tolist(), g.tolist()], [torch.tensor(f), torch.tensor(g)]):
        assert twins.sinkhorn(p, q, M, 0.1, **options, warmstart=pair)[1]["niter"] <= 2
    _, cold = twins.sinkhorn(p, columns, M, 0.1, **exactly)
    f, g = (cold[name] for name in names)
    pairs = list(zip(f.T, g.T, strict=True))
    for warm in ((f, g), pairs, [(torch.tensor(x), y.tolist()) for x, y in pairs]):
        assert twins.sinkhorn(p, columns, M, 0.1, **options, warmstart=warm)[1]["niter"] <= 3
    for wrong, b, message in (
        (pairs, q, "one pair where b has one column, got 2"),
        (pairs[:1], columns, "a pair for each of the 2 columns of b, got 1"),
        ((f, g[:, :1]), columns, "as many columns on both sides, got 2 and 1"),
        ([f[:, 0]], q, "a pair of potentials, got 1 of them"),
    ):
        with pytest.raises(ValueError, match=message):
            twins.sinkhorn(p, b, M, 0.1, method=method, warmstart=wrong)


@pytest.mark.parametrize("method", ["sinkhorn", "sinkhorn_log", "sinkhorn_stabilized"])
def test_records_of_several_columns_are_those_of_pot(method):
    _, _, p, q, M, _ = sides(20, 15)
    columns = np.stack([q, weights(15, 7), weights(15, 8)], axis=1)
    options = {"method": method, "numItermax": 20_000, "stopThr": 1e-12, "log": True}
    (_, log), (_, known) = both("sinkhorn", (p, columns, M, 0.1), **options)
    assert known.keys() <= log.keys()
    for key in known.keys() - {"err", "niter", "n_iter", "warmstart"}:
        assert log[key].shape == known[key].shape, key
    for record in (known, log):
        f, g = record.get("logu", record.get("log_u")), record.get("logv", record.get("log_v"))
        f, g = (np.log(record["u"]), np.log(record["v"])) if f is None else (f, g)
        plans = np.exp(f[:, None] + g[None] - M[..., None] / 0.1)
        assert np.allclose(plans.sum(axis=0), columns, atol=1e-9)
        assert np.allclose(plans.sum(axis=1), p[:, None], atol=1e-7)
    assert [x.shape for x in log["warmstart"]] == [(20, 3), (15, 3)]
    again = twins.sinkhorn(p, columns, M, 0.1, method="sinkhorn_stabilized", warmstart=log["warmstart"], log=True)
    assert again[1]["niter"] <= 3
    assert len(again[1]["err"]) == 3


@pytest.mark.parametrize("name", ["sinkhorn", "sinkhorn2"])
def test_potentials_of_objects_without_weight_are_taken(name):
    _, _, p, q, M, _ = sides(20, 15)
    p[3] = 0.0
    p /= p.sum()
    (ours, log), (known, _) = both(name, (p, q, M, 0.1), method="sinkhorn_log", stopThr=1e-11, log=True)
    assert log["log_u"][3] == -np.inf
    assert np.allclose(ours, known, atol=1e-9)
    warm, record = getattr(twins, name)(p, q, M, 0.1, warmstart=(log["log_u"], log["log_v"]), log=True)
    assert record["niter"] <= 2
    assert np.allclose(warm, ours, atol=1e-9)
    with pytest.raises(ValueError, match="warmstart must be finite"):
        twins.sinkhorn(p, q, M, 0.1, warmstart=(log["log_u"] + np.nan, log["log_v"]))


def test_warnings_name_the_line_of_the_call():
    _, _, p, q, M, _ = sides()
    for b in (q, np.stack([q, q], axis=1)):
        with pytest.warns(UserWarning, match="did not converge") as said:
            twins.sinkhorn(p, b, M, 0.01, numItermax=1)
        assert {w.filename for w in said} == {__file__}


def test_failures_warn_and_do_not_look_like_success():
    c1, c2, p, q, M, _ = sides()
    with pytest.warns(UserWarning, match="reg must be positive"):
        assert twins.sinkhorn2(p, q, M, 0.0) == np.inf
    with pytest.warns(UserWarning, match="did not converge"):
        twins.sinkhorn(p, q, M, 0.01, numItermax=1)
    with pytest.warns(UserWarning, match="did not converge"):
        twins.entropic_gromov_wasserstein(c1, c2, p, q, epsilon=0.01, numItermax=1, max_iter=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        twins.entropic_gromov_wasserstein(c1, c2, p, q, epsilon=0.01, numItermax=1, max_iter=3, warn=False)
    with pytest.warns(UserWarning, match="Solver failed"):
        twins.BAPG_gromov_wasserstein(c1, c2, p, q, epsilon=1e-4, max_iter=5)


@pytest.mark.parametrize("marginal_loss", [True, False])
@pytest.mark.parametrize(("epsilon", "fails"), [(1e-3, True), (0.1, False)])
def test_where_bapg_of_pot_has_no_plan_there_is_a_warning_and_one_here(epsilon, fails, marginal_loss):
    # The same objects in turn: one permutation fits both structure and features.
    c, features = distances(6, seed=1), np.random.default_rng(2).standard_normal((6, 2))
    M = ot.dist(features, features[::-1])
    options = {"epsilon": epsilon, "max_iter": 10, "marginal_loss": marginal_loss, "loss_fun": "kl_loss"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ot.gromov.BAPG_fused_gromov_wasserstein(M, c, c[::-1, ::-1], **options)
    assert np.isnan(theirs).any() == fails
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        plan = twins.BAPG_fused_gromov_wasserstein(M, c, c[::-1, ::-1], **options)
    assert plan.argmax(axis=1).tolist() == [5, 4, 3, 2, 1, 0]
    assert any("range of float64" in str(w.message) for w in said) == fails


def test_small_epsilon_where_pot_has_no_plan():
    c1, c2, p, q, _, _ = sides(uniform=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = ot.gromov.entropic_gromov_wasserstein2(c1, c2, p, q, epsilon=1e-5, max_iter=20)
    ours, log = twins.entropic_gromov_wasserstein2(c1, c2, p, q, epsilon=1e-5, max_iter=20, log=True, warn=False)
    assert not known > 1e-6  # 0 or not a number
    assert ours > 1e-4
    assert np.abs(log["T"].sum(axis=0) - q).sum() < 1e-10


def test_zero_steps_and_printing(capsys):
    c1, c2, p, q, _, start = sides()
    assert np.allclose(twins.entropic_gromov_wasserstein(c1, c2, p, q, G0=start, max_iter=0), start)
    (_, log), _ = both(GW[0], (c1, c2, p, q), max_iter=21, tol=0, log=True, verbose=True)
    ours, known = capsys.readouterr().out.split("It.")[1:]
    assert [x.split("|")[0] for x in ours.splitlines()] == [x.split("|")[0] for x in known.splitlines()]
    assert len(log["err"]) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solver": "other"}, "Unknown solver"),
        ({"loss_fun": "other"}, "Unknown `loss_fun"),
        ({"epsilon": 0}, "epsilon must be positive"),
        ({"G0": np.full((12, 9), -1.0)}, "G0 must not be negative"),
        ({"G0": np.full((12, 9), 1.0)}, "G0 must have the marginals"),
        ({"G0": np.ones((3, 3))}, "G0 must have shape"),
        ({"p": np.ones(12)}, "p must sum to 1"),
        ({"alpha": 1.5}, "alpha must be between 0 and 1"),
        ({"M": np.ones((3, 3))}, "M must have shape"),
        ({"C1": np.ones((3, 4))}, "C1 must be square"),
        ({"C2": torch.ones((9, 9))}, "same type/backend"),
        ({"max_iter": -1}, "max_iter must be between 0"),
        ({"max_iter": 2.5}, "max_iter must be an integer"),
        ({"max_iter": np.inf}, "max_iter must be an integer"),
        ({"epsilon": np.array([0.1, 0.2])}, "epsilon must be a positive number"),
        ({"epsilon": torch.ones(1, dtype=torch.bool)}, "epsilon must be a positive number"),
        ({"tol": np.nan}, "tol must be a number, got nan"),
        ({"solver": "PPA", "stopThr": np.nan}, "stopThr must be a number, got nan"),
    ],
)
def test_invalid_arguments(change, message):
    c1, c2, p, q, M, _ = sides()
    with pytest.raises(ValueError, match=message):
        twins.entropic_fused_gromov_wasserstein(**({"M": M, "C1": c1, "C2": c2, "p": p, "q": q} | change))


def test_more_invalid_arguments():
    c1, c2, p, q, M, _ = sides()
    with pytest.raises(TypeError, match="numItermx"):
        twins.entropic_gromov_wasserstein(c1, c2, numItermx=3)
    with pytest.raises(TypeError, match="other"):
        twins.sinkhorn(p, q, M, 1.0, other=3)
    with pytest.raises(ValueError, match="c2 must not be negative"):
        twins.entropic_gromov_wasserstein(c1, c2 - 0.5, loss_fun="kl_loss")
    with pytest.raises(ValueError, match="same sum"):
        twins.sinkhorn(p, 2 * q, M, 1.0)
    with pytest.raises(ValueError, match="stopThr must be a number"):
        twins.sinkhorn(p, q, M, 1.0, stopThr=np.nan)
    with pytest.raises(ValueError, match="tol must be a number"):
        twins.BAPG_gromov_wasserstein(c1, c2, tol=np.nan)
    with pytest.raises(ValueError, match="features must make a cost of shape"):
        gwrsa.entropic_gw(c1, c2, epsilon=0.1, features=M.T)
    with pytest.raises(ValueError, match="alpha must be between"):
        gwrsa.entropic_gw(c1, c2, epsilon=0.1, features=M, alpha=2)
    with pytest.raises(ValueError, match="loss must be one of"):
        gwrsa.entropic_gw(c1, c2, epsilon=0.1, loss="other")
    with pytest.raises(ValueError, match="init must be one of"):
        gwrsa.entropic_gw(c1, c2, epsilon=0.1, loss="kl", init="spectral")
    for options in ({"features": M}, {"loss": "kl"}):
        with pytest.raises(ValueError, match="with backend 'torch'"):
            gwrsa.entropic_gw(c1, c2, epsilon=0.1, backend="torch", **options)
