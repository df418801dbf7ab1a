"""Sweeps that hardly move, in the torch backend: Newton's method for the columns, and kernels that are formed from nothing."""

import numpy as np
import pytest
import torch

import gwrsa
from gwrsa.backends.torch import kernels
from gwrsa.backends.torch.newton import Newton
from gwrsa.backends.torch.sinkhorn import CONVERGED, MAX_SWEEPS, Scaling, Weights
from problems import distances


class Blocks:
    """Exponents of blocks of two that exchange almost nothing with each other; of a smooth matrix for the starts in `smooth`."""

    def __init__(self, n, smooth=()):
        i, j = np.indices((n, n))
        apart = -19.0 - (i * 5 + j) % 7
        self.held = torch.tensor(np.where(i // 2 == j // 2, ((i * 7 + j * 3) % 5) * 0.3, apart))
        self.easy = torch.tensor(np.sin(i + 2.0 * j))
        self.smooth = smooth

    def fill(self, out, at, rows, f, g):
        for k, slot in enumerate(range(at.start, at.stop)):
            m = self.easy if slot in self.smooth else self.held
            out[k] = (m + f[k, :, None] + g[k])[rows].to(out.dtype)


def sides(n, dtype=torch.float64):
    q = 1 + 1e-4 * (torch.arange(n, dtype=torch.float64) % 5)
    return Weights.of(torch.full((n,), 1 / n, dtype=torch.float64), q / q.sum(), dtype)


def tolerance(b, tol=1e-12):
    return torch.full((b,), tol, dtype=torch.float64)


def test_where_sweeps_hardly_move_a_few_passes_end_it():
    n = 12
    weights = sides(n)
    scaling = Scaling(torch.empty(1, n, n, dtype=torch.float64), weights, Blocks(n))
    (ended,), (sweeps,), (error,) = scaling.project(tolerance(1), 3000)
    assert ended == CONVERGED
    assert 200 < sweeps < 3000
    plan = scaling.u[0][:, None] * scaling.kernel[0] * scaling.v[0]
    assert (plan.sum(1) - weights.p.exact).abs().max() < 1e-12
    assert (plan.sum(0) - weights.q.exact).abs().sum().item() == pytest.approx(error, abs=1e-15)
    assert error < 1e-12
    # Passes of a step are counted.
    assert Scaling(torch.empty(1, n, n, dtype=torch.float64), weights, Blocks(n)).project(tolerance(1), sweeps - 1)[
        0
    ] == [MAX_SWEEPS]


def test_starts_that_hardly_move_and_others_do_not_disturb_each_other():
    n = 12

    def project(*smooth, b=1):
        scaling = Scaling(torch.empty(b, n, n, dtype=torch.float64), sides(n), Blocks(n, smooth))
        told = scaling.project(tolerance(b), 3000)
        return list(zip(*told, strict=True)), scaling.v

    (hard,), v_hard = project()
    (easy,), v_easy = project(0)
    together, v = project(1, b=3)
    assert hard[0] == easy[0] == CONVERGED
    assert easy[1] < 200 < hard[1]
    assert [t[:2] for t in together] == [hard[:2], easy[:2], hard[:2]]
    assert torch.allclose(v, torch.cat([v_hard, v_easy, v_hard]), rtol=1e-9)


def begun(n=12, none=()):
    """A step after 30 sweeps, and its start; no weight in the rows `none`."""
    p = torch.ones(n, dtype=torch.float64)
    p[list(none)] = 0
    weights = Weights.of(p / p.sum(), torch.full((n,), 1 / n, dtype=torch.float64), torch.float64)
    scaling = Scaling(torch.empty(1, n, n, dtype=torch.float64), weights, Blocks(n))
    scaling.project(tolerance(1, 1e-15), 30)
    rows = [slice(0, 5), slice(5, n)]
    return Newton(kernels, scaling.kernel, weights, (scaling.u, scaling.v), rows), scaling, weights


@pytest.mark.parametrize("none", [(), (3, 8)])
def test_a_product_is_that_with_the_hessian(none):
    newton, scaling, weights = begun(none=none)
    plan = scaling.u[0][:, None] * scaling.kernel[0] * scaling.v[0]
    some = weights.p.exact > 0
    part = plan[some]
    held = plan.sum(0)
    hessian = torch.diag(held) - part.T @ (part / weights.p.exact[some][:, None])
    x = torch.sin(torch.arange(12, dtype=torch.float64))
    got = newton.product(x[None], held[None])[0]
    assert torch.allclose(got, hessian @ x, rtol=0, atol=1e-15)


def test_a_step_that_gains_nothing_leaves_the_scalings():
    newton, scaling, _ = begun()
    before = scaling.v.clone()
    # No passes left for the step itself.
    passes, error = newton.step(1.0, 1)
    assert error is None
    assert passes <= 2
    assert torch.equal(before, scaling.v)


def test_a_kernel_formed_from_nothing_keeps_what_is_known_of_the_columns():
    n = 12
    rng = np.random.default_rng(0)
    g = torch.tensor(rng.normal(size=(1, n)) * 5)
    exponents = Blocks(n)
    scaling = Scaling(torch.empty(1, n, n, dtype=torch.float64), sides(n), exponents)
    scaling.g.copy_(g)
    scaling.v.copy_(torch.tensor(np.exp(rng.normal(size=(1, n)))))
    known = g + scaling.v.log()
    scaling.project(tolerance(1), 1)
    f = -(exponents.held + known).amax(1)
    want = -(exponents.held + f[:, None]).amax(0)
    assert torch.allclose(scaling.f[0], f, atol=1e-12)
    assert torch.allclose(scaling.g[0], want, atol=1e-12)
    assert torch.allclose(scaling.kernel[0], (exponents.held + f[:, None] + want).exp(), rtol=1e-12)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("init", ["uniform", "random"])
def test_plans_close_to_a_permutation_are_those_of_the_core(seed, init):
    """Sweeps alone leave an error of 1e-9 to 1e-8 after a million of them."""
    c = distances(12, seed=seed)
    c = c / c.max()
    args = {"epsilon": 1e-2, "init": init, "precision": "float64"}
    rust, ours = (gwrsa.entropic_gw(c, c, **args, backend=backend) for backend in ("rust", "torch"))
    assert ours.status == rust.status == "converged"
    assert ours.n_sinkhorn < 50_000
    # The loss is what is left of far larger terms: plans that are 2e-9 apart differ by 1e-7 of it.
    assert ours.gw_loss == pytest.approx(rust.gw_loss, rel=1e-6, abs=1e-12)
    assert np.abs(ours.plan - rust.plan).sum() < 1e-7
