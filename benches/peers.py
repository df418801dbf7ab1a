"""Other people's solvers, from the same start at the same problem: time, steps and loss along the way."""

import os
import time
import warnings
from contextlib import suppress
from unittest.mock import patch

import numpy as np
from threadpoolctl import threadpool_limits

from cases import TOL
from gwrsa import _core

THREADS = 2


def _loss(problem, plan, p):
    """GW loss of a plan once it has its marginals; None for what is no plan (a failed run)."""
    total = float(plan.sum())
    if not np.isfinite(total) or abs(total - 1) > 0.1:
        return None
    return problem.gw_loss(_core.round_to_marginals(np.maximum(plan, 0), p, p))


class _Enough(Exception):  # noqa: N818
    """Nothing more is to be measured."""


def pot(c1, c2, start, epsilon, problem, *, symmetric=True, limit=1e9, max_steps=2000, tol=TOL, visit=None, inner=None):
    """POT's entropic GW, one call, followed through the Sinkhorn that it calls: where that returns a plan, an outer step ends.

    One call a step would repeat POT's preparation, about 0.1 of the 0.4 s of a step at n = 1,854, and count it as a step's time. Stops at a
    relative change of `tol`, or after `limit` seconds; the clock stands while a plan is looked at. `visit(step, plan)` sees each plan.
    `inner`: most iterations and tolerance of its Sinkhorn; None: its defaults.
    """
    from ot.gromov import _bregman

    sinkhorn = {} if inner is None else {"numItermax": inner[0], "stopThr": inner[1]}
    p, own = np.full(len(c1), 1 / len(c1)), _bregman.sinkhorn
    seconds, curve, last, began = 0.0, [], start, 0.0

    def followed(*args, **kwargs):
        nonlocal seconds, last, began
        plan = own(*args, **kwargs)
        seconds += time.perf_counter() - began
        loss = _loss(problem, plan, p)
        curve.append((seconds, loss, float(np.linalg.norm(plan - last) / np.linalg.norm(plan))))
        last = plan
        if visit is not None:
            visit(len(curve), plan)
        if loss is None or curve[-1][2] <= tol or seconds >= limit or len(curve) == max_steps:
            raise _Enough
        began = time.perf_counter()
        return plan

    with threadpool_limits(THREADS), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with patch.object(_bregman, "sinkhorn", followed), suppress(_Enough):
            began = time.perf_counter()
            _bregman.entropic_gromov_wasserstein(
                c1,
                c2,
                p,
                p,
                "square_loss",
                epsilon=epsilon,
                symmetric=symmetric,
                G0=start,
                max_iter=max_steps,
                tol=0.0,
                **sinkhorn,
            )
        caught = {str(w.message)[:100] for w in seen}
    _, loss, change = curve[-1]
    return _summary(curve, change <= tol, loss is None) | {"warnings": sorted(caught)}


def torch_plain(c1, c2, start, epsilon, problem, *, limit=120.0):
    """What one would write in torch: float32, log-sum-exp Sinkhorn with warm potentials, constant terms subtracted."""
    import torch

    torch.set_num_threads(THREADS)
    n = len(c1)
    a, b, plan = (torch.tensor(x, dtype=torch.float32) for x in (c1, c2, start))
    a, b = a - a.mean(), b - b.mean()
    log_p = torch.full((n,), -np.log(n), dtype=torch.float32)
    f, g = torch.zeros(n), torch.zeros(n)
    seconds, curve, change, failed = 0.0, [], float("inf"), False
    while change > TOL and seconds < limit and not failed:
        began = time.perf_counter()
        m = a @ plan @ b * (4 / epsilon)
        for _ in range(1000):
            f = log_p - torch.logsumexp(m + g, 1)
            log_k = m + f[:, None]
            old, g = g, log_p - torch.logsumexp(log_k, 0)
            if (torch.exp(log_p) * (torch.exp(old - g) - 1).abs()).sum() < min(1e-3, max(0.1 * change, 3e-6)):
                break
        new = torch.exp(log_k + g)
        change = float((new - plan).norm() / new.norm())
        plan = new
        seconds += time.perf_counter() - began
        loss = _loss(problem, plan.double().numpy(), np.full(n, 1 / n))
        failed = loss is None
        curve.append((seconds, loss, change))
    return _summary(curve, change <= TOL, failed)


def ott(c1, c2, start, epsilon, problem):
    """OTT-JAX at its default stop, float32, dense, warm start; its epsilon is half of POT's. Timed once compiled."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.problems.quadratic.quadratic_problem import QuadraticProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn
    from ott.solvers.quadratic.gromov_wasserstein import GromovWasserstein

    n = len(c1)
    p = np.full(n, 1 / n)
    constant = (c1**2 @ p)[:, None] + (c2**2 @ p)[None, :]
    first = jnp.asarray(constant - 2 * c1 @ start @ c2, dtype=jnp.float32)
    x, y = (jnp.asarray(c, dtype=jnp.float32) for c in (c1, c2))

    @jax.jit
    def run(x, y, first):
        quadratic = QuadraticProblem(Geometry(cost_matrix=x), Geometry(cost_matrix=y))
        solver = GromovWasserstein(linear_solver=Sinkhorn(), epsilon=epsilon / 2, warm_start=True)
        init = LinearProblem(Geometry(cost_matrix=first, epsilon=epsilon / 2), a=quadratic.a, b=quadratic.b)
        out = solver(quadratic, init=init)
        return out.matrix, jnp.sum(out.costs != -1), out.converged

    jax.block_until_ready(run(x, y, first))
    began = time.perf_counter()
    plan, steps, converged = jax.block_until_ready(run(x, y, first))
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "outer_steps": int(steps),
        "says_converged": bool(converged),
        "loss": _loss(problem, np.asarray(plan, dtype=np.float64), p),
    }


def ott_low_rank(c1, c2, problem, *, rank=20, iterations=1000):
    """OTT-JAX's low-rank solver, float32, no entropy, from its own random initialiser.

    It cannot take a plan as its start, only factors of its own kind, and has no epsilon in common with the others: no race to the same
    fixed point, but time and loss of what it finds. Its default of at least 10,000 iterations is cut to `iterations`.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp
    from ott.geometry.geometry import Geometry
    from ott.problems.quadratic.quadratic_problem import QuadraticProblem
    from ott.solvers.quadratic.gromov_wasserstein_lr import LRGromovWasserstein

    solver = LRGromovWasserstein(rank, inner_iterations=100, min_iterations=iterations, max_iterations=iterations)

    @jax.jit
    def run(x, y):
        out = solver(QuadraticProblem(Geometry(cost_matrix=x), Geometry(cost_matrix=y)), rng=jax.random.PRNGKey(0))
        return out.matrix

    x, y = (jnp.asarray(c, dtype=jnp.float32) for c in (c1, c2))
    compiled = run.lower(x, y).compile()
    began = time.perf_counter()
    plan = jax.block_until_ready(compiled(x, y))
    return {
        "seconds": time.perf_counter() - began,
        "rank": rank,
        "iterations": iterations,
        "loss": _loss(problem, np.asarray(plan, dtype=np.float64), np.full(len(c1), 1 / len(c1))),
    }


def _summary(curve, converged, failed):
    losses = [(s, loss) for s, loss, _ in curve if loss is not None]
    last = losses[-1][1] if losses else None
    late = max(1, len(curve) // 4)
    before = curve[-late - 1][0] if len(curve) > late else 0.0
    return {
        "seconds": curve[-1][0],
        "outer_steps": len(curve),
        "seconds_a_step": curve[-1][0] / len(curve),
        "loss": last,
        "seconds_a_late_step": (curve[-1][0] - before) / late,
        "converged": bool(converged),
        "failed": bool(failed),
        "last_change": curve[-1][2],
        "curve": [(round(s, 3), loss, change) for s, loss, change in curve],
    }
