"""Bregman alternating projected gradient: feasible on one side only, and without a regularisation of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from gwrsa import _core
from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.pot import _arrays as arrays
from gwrsa.pot._gradients import gromov_value
from gwrsa.pot.gromov import finished

# L1 error of the rows above which a plan is no coupling to speak of.
FAR_OFF = 0.3
# Logarithms of the largest and the smallest float64 above 0.
_LARGEST, _SMALLEST = float(np.log(np.finfo(np.float64).max)), float(np.log(np.nextafter(0.0, 1.0)))


def BAPG_gromov_wasserstein(
    C1: Any,
    C2: Any,
    p: Any = None,
    q: Any = None,
    loss_fun: str = "square_loss",
    epsilon: float = 0.1,
    symmetric: bool | None = None,
    G0: Any = None,
    max_iter: int = 1000,
    tol: float = 1e-9,
    marginal_loss: bool = False,
    verbose: bool = False,
    log: bool = False,
) -> Any:
    """The Gromov-Wasserstein plan by alternating projections, as `ot.gromov.BAPG_gromov_wasserstein`.

    Parameters
    ----------
    C1, C2, p, q, loss_fun, symmetric, max_iter, tol, verbose, log
        As in `entropic_gromov_wasserstein`.
    G0 : array-like, shape (ns, nt), optional
        First plan, not negative, of any marginals. None: pq'.
    epsilon : float
        Inverse of the length of a step; the larger, the closer the rows come to p.
    marginal_loss : bool
        Whether the terms of the marginals, f1(C1) p and f2(C2) q, are part of the gradient: the rows that a step ends with are not p,
        and so they matter.

    Returns
    -------
    T : (ns, nt)
        The plan; its columns sum to q, its rows nearly to p.
    log : dict
        "err", "gw_dist", and without `marginal_loss` "loss": gw_dist less those terms. Only if `log`.

    Warns
    -----
    UserWarning
        Where the rows are more than 0.3 off p in L1, or the numbers left the range.

    Raises
    ------
    ValueError
        If an argument is invalid.
    """
    return _solve(
        None, C1, C2, p, q, loss_fun, epsilon, 1.0, G0, max_iter, tol, marginal_loss, verbose, log, value=False
    )


def BAPG_gromov_wasserstein2(
    C1: Any,
    C2: Any,
    p: Any = None,
    q: Any = None,
    loss_fun: str = "square_loss",
    epsilon: float = 0.1,
    symmetric: bool | None = None,
    G0: Any = None,
    max_iter: int = 1000,
    tol: float = 1e-9,
    marginal_loss: bool = False,
    verbose: bool = False,
    log: bool = False,
) -> Any:
    """The loss of that plan, as `ot.gromov.BAPG_gromov_wasserstein2`.

    Arguments, warnings and errors as in `BAPG_gromov_wasserstein`.

    Returns
    -------
    gw_dist : float or tensor
        <const(p, q) - h1(C1) T h2(C2)', T>. Of tensors it is differentiable by C1 and C2, with the plan held; not by p and q.
    log : dict
        As there, with "T", the plan. Only if `log`.
    """
    return _solve(
        None, C1, C2, p, q, loss_fun, epsilon, 1.0, G0, max_iter, tol, marginal_loss, verbose, log, value=True
    )


def BAPG_fused_gromov_wasserstein(
    M: Any,
    C1: Any,
    C2: Any,
    p: Any = None,
    q: Any = None,
    loss_fun: str = "square_loss",
    epsilon: float = 0.1,
    symmetric: bool | None = None,
    alpha: float = 0.5,
    G0: Any = None,
    max_iter: int = 1000,
    tol: float = 1e-9,
    marginal_loss: bool = False,
    verbose: bool = False,
    log: bool = False,
) -> Any:
    """The fused plan by alternating projections, as `ot.gromov.BAPG_fused_gromov_wasserstein`.

    Parameters
    ----------
    M : array-like, shape (ns, nt)
        Cost between features.
    alpha : float
        Weight of the structures, 0 to 1; that of M is 1 - alpha.
    others
        As in `BAPG_gromov_wasserstein`, and so are warnings and errors.

    Returns
    -------
    T : (ns, nt)
        The plan; its columns sum to q, its rows nearly to p.
    log : dict
        "err", "fgw_dist", and without `marginal_loss` "loss". Only if `log`.
    """
    return _solve(
        M, C1, C2, p, q, loss_fun, epsilon, alpha, G0, max_iter, tol, marginal_loss, verbose, log, value=False
    )


def BAPG_fused_gromov_wasserstein2(
    M: Any,
    C1: Any,
    C2: Any,
    p: Any = None,
    q: Any = None,
    loss_fun: str = "square_loss",
    epsilon: float = 0.1,
    symmetric: bool | None = None,
    alpha: float = 0.5,
    G0: Any = None,
    max_iter: int = 1000,
    tol: float = 1e-9,
    marginal_loss: bool = False,
    verbose: bool = False,
    log: bool = False,
) -> Any:
    """The fused loss of that plan, as `ot.gromov.BAPG_fused_gromov_wasserstein2`.

    Arguments, warnings and errors as in `BAPG_fused_gromov_wasserstein`.

    Returns
    -------
    fgw_dist : float or tensor
        As in `BAPG_gromov_wasserstein2`; differentiable by M too.
    log : dict
        As there, with "T", "quad_loss" and "lin_loss", the two parts. Only if `log`.
    """
    return _solve(M, C1, C2, p, q, loss_fun, epsilon, alpha, G0, max_iter, tol, marginal_loss, verbose, log, value=True)


def _solve(
    M: Any,
    C1: Any,
    C2: Any,
    p: Any,
    q: Any,
    loss_fun: str,
    epsilon: float,
    alpha: float,
    G0: Any,
    max_iter: int,
    tol: float,
    marginal_loss: bool,
    verbose: bool,
    log: bool,
    *,
    value: bool,
) -> Any:
    kind = arrays.known_loss(loss_fun)
    like = arrays.like(C1, C2, M, p, q, G0)
    c1, c2, a, b = arrays.sides(C1, C2, p, q)
    cost, share = arrays.linear_cost(M, alpha, (len(a), len(b)))
    (f1, h1), (f2, h2) = arrays.functions(c1, kind, first=True), arrays.functions(c2, kind, first=False)
    linear = None if cost is None else (1 - share) * cost
    if marginal_loss:
        # Twice the constant, averaged over the costs and their transposes.
        marginal = share * arrays.outer_sum(f1 + f1.T, f2 + f2.T, a, b)
        linear = marginal if linear is None else linear + marginal
    # Its own plans miss the marginals of the rows, and one may be gone on from.
    first = arrays.first_plan(G0, a, b, exact=False)
    epsilon = check.positive("epsilon", arrays.number(epsilon))
    plan, changes, _, _ = _core.Problem(c1, c2, a, b, loss=kind).bapg(
        first,
        linear=linear,
        alpha=share,
        epsilon=epsilon,
        tol=arrays.tolerance("tol", tol, -np.inf),
        max_outer=check.integer("max_iter", arrays.whole(max_iter), 0, check.MOST_STEPS),
        threads=0,
    )
    constant = arrays.outer_sum(f1, f2, a, b)
    failed = not np.isfinite(plan).all()
    if failed:
        plan, loss = np.outer(a, b), float("inf")
    else:
        loss = share * float(np.vdot(constant - h1 @ plan @ h2.T, plan))
        loss += 0.0 if cost is None else (1 - share) * float(np.vdot(cost, plan))
    off = float(np.abs(plan.sum(axis=1) - a).sum())
    if failed:
        arrays.warn(arrays.FAILED)
    elif off > FAR_OFF:
        arrays.warn(f"{arrays.FAILED} Its rows are {off:.2g} off p in L1.")
    elif _leaves_float64(first, h1, h2, linear, share, epsilon):
        arrays.warn(
            f"POT's kernel leaves the range of float64 at epsilon {epsilon}: there is no plan of its own to compare with this one."
        )
    arrays.report(changes, verbose)
    T = like(plan)
    if not value and not log:
        return T
    name = "gw_dist" if M is None else "fgw_dist"
    record: dict[str, Any] = {"err": [like(x) for x in changes]}
    record[name] = gromov_value(like, loss, (M, C1, C2), (p, q), plan, None, kind, share, marginals=(a, b))
    if not marginal_loss:
        less = loss - share * float(np.vdot(constant, plan))
        record["loss"] = gromov_value(
            like, less, (M, C1, C2), (p, q), plan, None, kind, share, marginals=(a, b), constant=False
        )
    return finished(record, name, T, M, plan, share, value=value, log=log)


def _leaves_float64(
    first: FloatArray, h1: FloatArray, h2: FloatArray, linear: FloatArray | None, share: float, epsilon: float
) -> bool:
    """Whether POT's first step divides by 0 or infinity, so that its plan is NaN; the core works with logarithms."""
    with np.errstate(divide="ignore"):
        logs = np.log(first)
    symmetric = np.array_equal(h1, h1.T) and np.array_equal(h2, h2.T)
    products = h1 @ first @ h2.T
    logs += share / epsilon * (2 * products if symmetric else products + h1.T @ first @ h2)
    if linear is not None:
        logs -= linear / epsilon
    highest = logs.max(axis=1)
    return bool((highest > _LARGEST).any() or (highest < _SMALLEST).any())
