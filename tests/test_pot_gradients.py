"""Gradients of POT's twins: finite differences of the objective; by the weights by a solve of their own, which warns where it failed."""

import warnings
from itertools import product

import numpy as np
import ot
import pytest

import gwrsa.pot as twins
from gwrsa import _core
from gwrsa.pot import _gradients
from pot_twins import GW, sides, theirs
from problems import distances, weights

torch = pytest.importorskip("torch")
NAMES = ("entropic_gromov_wasserstein2", "entropic_fused_gromov_wasserstein2")


def leaves(n=9, m=7):
    c1, c2 = distances(n, seed=1), distances(m, seed=2)
    M = np.random.default_rng(3).uniform(size=(n, m))
    given = (M, c1 / c1.max(), c2 / c2.max(), weights(n, 1), weights(m, 2))
    return [torch.tensor(x, requires_grad=True) for x in given]


def call(name, sides, **options):
    M, c1, c2, p, q = sides
    args = (M, c1, c2) if "fused" in name else (c1, c2)
    return getattr(twins, name)(*args, p=p, q=q, epsilon=0.1, **options)


@pytest.mark.parametrize("solver", ["PGD", "PPA"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_weights_that_have_not_converged_warn(monkeypatch, name, solver):
    # As it is they converge, and nothing is said: here a warning would be an error.
    call(name, leaves(), solver=solver).backward()
    monkeypatch.setattr(_gradients, "DUAL_SWEEPS", 1)
    message = r"gradients of `p` and `q` did not converge: after 1 sweeps of Sinkhorn the marginals are .* off\. You might want"
    with pytest.warns(UserWarning, match=message) as said:
        call(name, leaves(), solver=solver)
    assert [w.filename for w in said] == [__file__]  # once, at the line of the call
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(name, leaves(), solver=solver, warn=False)
        # Nothing is solved for gradients that nobody asks for.
        M, c1, c2, p, q = leaves()
        call(name, (M, c1, c2, p.detach(), q.detach()), solver=solver)


def test_gradients_of_weights_without_potentials_are_no_nan(monkeypatch):
    def failed(cost, p, q, **_):
        return (
            np.full(cost.shape, np.nan),
            np.full(len(p), np.nan),
            np.full(len(q), np.nan),
            "numerical_error",
            3,
            np.nan,
        )

    _, _, _, p, q = sides = leaves()
    monkeypatch.setattr(_core, "sinkhorn", failed)
    with pytest.warns(UserWarning, match="gradients of `p` and `q` did not converge"):
        call(NAMES[0], sides).backward()
    assert torch.isfinite(p.grad).all()
    assert torch.isfinite(q.grad).all()


def objective(name, kind, epsilon, c1, c2, p, q, M):
    """GW(T) + epsilon sum T log T at POT's minimum."""
    args = (M, c1, c2) if "fused" in name else (c1, c2)
    options = {"tol": 1e-14, "stopThr": 1e-14, "numItermax": 2000, "max_iter": 300, "log": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value, log = theirs(name + "2")(*args, p=p, q=q, loss_fun=kind, epsilon=epsilon, **options)
    return value + epsilon * np.sum(log["T"] * np.log(log["T"]))


@pytest.mark.parametrize(("name", "kind"), list(product(GW, ("square_loss", "kl_loss"))))
def test_gradients_are_finite_differences_of_the_objective(name, kind):
    c1, c2, p, q, M, _ = sides(6, 5)
    known = {"c1": c1, "c2": c2, "p": p, "q": q, "M": M}
    epsilon, step, rng = 0.3, 1e-5, np.random.default_rng(5)
    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in known.items()}
    args = [leaves[key] for key in (("M", "c1", "c2") if "fused" in name else ("c1", "c2"))]
    value = getattr(twins, name + "2")(
        *args, p=leaves["p"], q=leaves["q"], loss_fun=kind, epsilon=epsilon, tol=1e-13, max_iter=3000, stopThr=1e-13
    )
    value.backward()
    for key in known if "fused" in name else known.keys() - {"M"}:
        way = rng.standard_normal(known[key].shape)
        if key in ("p", "q"):
            way -= way.mean()
        if key in ("c1", "c2"):
            way += way.T
        ends = [objective(name, kind, epsilon, **(known | {key: known[key] + sign * step * way})) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float((leaves[key].grad * torch.tensor(way)).sum()) == pytest.approx(slope, rel=2e-4, abs=1e-7), key
        if key in ("p", "q"):
            assert float(leaves[key].grad.sum()) == pytest.approx(0, abs=1e-9)


def test_gradients_of_sinkhorn2_are_those_of_pot():
    _, _, p, q, M, _ = sides(8, 6)
    slopes = []
    for solve in (twins.sinkhorn2, ot.sinkhorn2):
        a, b, cost = (torch.tensor(x, requires_grad=True) for x in (p, q, M))
        solve(a, b, cost, 0.2, method="sinkhorn_log", numItermax=5000, stopThr=1e-14).backward()
        slopes.append([a.grad - a.grad.mean(), b.grad - b.grad.mean(), cost.grad])
    for ours, known in zip(*slopes, strict=True):
        assert float((ours - known).abs().max()) < 1e-8
        assert float(known.abs().max()) > 1e-3


def test_gradients_of_alternating_steps_hold_the_plan():
    c1, c2, p, q, M, _ = sides()
    leaf = torch.tensor(M, requires_grad=True)
    fixed = [torch.tensor(x) for x in (c1, c2, p, q)]
    value, log = twins.BAPG_fused_gromov_wasserstein2(leaf, *fixed, epsilon=5.0, max_iter=20, log=True)
    value.backward()
    assert torch.allclose(leaf.grad, 0.5 * log["T"])


@pytest.mark.parametrize("kind", ["square_loss", "kl_loss"])
@pytest.mark.parametrize("of", ["gw_dist", "loss"])
def test_gradients_of_alternating_steps_by_the_costs_are_those_at_the_plan(of, kind):
    c1, c2, p, q, _, _ = sides()
    leaves = [torch.tensor(c, requires_grad=True) for c in (c1, c2)]
    settings = {"epsilon": 5.0, "max_iter": 3, "marginal_loss": of == "gw_dist", "loss_fun": kind}
    _, log = twins.BAPG_gromov_wasserstein2(*leaves, torch.tensor(p), torch.tensor(q), log=True, **settings)
    plan = log["T"].detach().numpy()
    # Its rows are off, so that they are no stand-in for p.
    assert np.abs(plan.sum(axis=1) - p).sum() > 1e-3

    def at(a, b):
        constant, h1, h2 = ot.gromov.init_matrix(a, b, p, q, kind)
        return float(np.vdot((constant if of == "gw_dist" else 0) - h1 @ plan @ h2.T, plan))

    log[of].backward()
    for cost, leaf in zip((c1, c2), leaves, strict=True):
        way = np.random.default_rng(len(cost)).random(cost.shape)
        moved = [[cost + s * 1e-6 * way if c is cost else c for c in (c1, c2)] for s in (1, -1)]
        ends = [at(*costs) for costs in moved]
        slope = (ends[0] - ends[1]) / 2e-6
        assert float((leaf.grad * torch.tensor(way)).sum()) == pytest.approx(slope, rel=1e-5)
