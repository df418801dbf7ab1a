"""Entropic Gromov-Wasserstein, plain and fused, by mirror steps (PGD) or proximal ones (PPA)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gwrsa import _core, tensors
from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.pot import _arrays as arrays
from gwrsa.pot._gradients import dual_potentials, gromov_value


def entropic_gromov_wasserstein(
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
    solver: str = "PGD",
    warmstart: bool = False,
    verbose: bool = False,
    log: bool = False,
    **kwargs: Any,
) -> Any:
    """The entropic Gromov-Wasserstein coupling, as `ot.gromov.entropic_gromov_wasserstein`.

    Parameters
    ----------
    C1, C2 : array-like, shapes (ns, ns) and (nt, nt)
        Dissimilarities, of numpy or torch. Need not be symmetric.
    p, q : array-like, shapes (ns,) and (nt,), optional
        Weights that sum to 1; zeros are allowed. None: uniform.
    loss_fun : str
        "square_loss", or "kl_loss" for dissimilarities that are not negative.
    epsilon : float
        Regularisation ("PGD"), or inverse of the length of a step ("PPA"). Positive.
    symmetric : bool, optional
        Unused: whether the costs are symmetric is seen, and the gradient is right in either case.
    G0 : array-like, shape (ns, nt), optional
        First plan, with the marginals p and q. None: pq'.
    max_iter : int
        Most outer steps.
    tol : float
        Frobenius norm of the change of the plan, looked at every ten steps, at which to stop.
    solver : str
        "PGD" (Peyre, Cuturi & Solomon 2016) or "PPA" (Xu et al. 2019).
    warmstart : bool
        Unused: inner loops always begin at the potentials of the last one.
    verbose : bool
        Print the changes, at the end.
    log : bool
        Return the record too.
    **kwargs
        Of the inner loops: `numItermax` (1000), `stopThr` (1e-9, here an L1 error) and `warn` (True).

    Returns
    -------
    T : (ns, nt)
        The plan, rounded onto the marginals.
    log : dict
        "err", the changes, and "gw_dist". Only if `log`.

    Warns
    -----
    UserWarning
        Where an inner loop did not converge in the last step, or the solve for the gradients of p and q, or the numbers left the range:
        the plan is then pq' and the loss infinite.

    Raises
    ------
    ValueError
        If an argument is invalid.
    """
    return _solve(
        None, C1, C2, p, q, loss_fun, epsilon, 1.0, G0, max_iter, tol, solver, verbose, log, kwargs, value=False
    )


def entropic_gromov_wasserstein2(
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
    solver: str = "PGD",
    warmstart: bool = False,
    verbose: bool = False,
    log: bool = False,
    **kwargs: Any,
) -> Any:
    """The Gromov-Wasserstein loss of that coupling, without entropy, as `ot.gromov.entropic_gromov_wasserstein2`.

    Arguments, warnings and errors as in `entropic_gromov_wasserstein`.

    Returns
    -------
    gw_dist : float or tensor
        GW(T). Of tensors it is differentiable by C1, C2, p and q: the gradients are those of the regularised objective at its minimum,
        GW(T) + epsilon sum T log T, by the envelope theorem (with "PPA": of GW(T)); those of p and q are centred. Of a solve that
        `max_iter` has ended they are the same formulas at a plan that is no minimum, and so no derivatives.
    log : dict
        As there, with "T", the plan. Only if `log`.
    """
    return _solve(
        None, C1, C2, p, q, loss_fun, epsilon, 1.0, G0, max_iter, tol, solver, verbose, log, kwargs, value=True
    )


def entropic_fused_gromov_wasserstein(
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
    solver: str = "PGD",
    warmstart: bool = False,
    verbose: bool = False,
    log: bool = False,
    **kwargs: Any,
) -> Any:
    """The entropic fused coupling, as `ot.gromov.entropic_fused_gromov_wasserstein`.

    Parameters
    ----------
    M : array-like, shape (ns, nt)
        Cost between features.
    alpha : float
        Weight of the structures, 0 to 1; that of M is 1 - alpha.
    others
        As in `entropic_gromov_wasserstein`, and so are warnings and errors.

    Returns
    -------
    T : (ns, nt)
        The plan, rounded onto the marginals.
    log : dict
        "err" and "fgw_dist". Only if `log`.
    """
    return _solve(
        M, C1, C2, p, q, loss_fun, epsilon, alpha, G0, max_iter, tol, solver, verbose, log, kwargs, value=False
    )


def entropic_fused_gromov_wasserstein2(
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
    solver: str = "PGD",
    warmstart: bool = False,
    verbose: bool = False,
    log: bool = False,
    **kwargs: Any,
) -> Any:
    """The fused loss of that coupling, without entropy, as `ot.gromov.entropic_fused_gromov_wasserstein2`.

    Arguments as in `entropic_fused_gromov_wasserstein`.

    Returns
    -------
    fgw_dist : float or tensor
        alpha GW(T) + (1 - alpha) <M, T>, differentiable by M too, otherwise as in `entropic_gromov_wasserstein2`.
    log : dict
        As there, with "T", "quad_loss" and "lin_loss", the two parts. Only if `log`.
    """
    return _solve(
        M, C1, C2, p, q, loss_fun, epsilon, alpha, G0, max_iter, tol, solver, verbose, log, kwargs, value=True
    )


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
    solver: str,
    verbose: bool,
    log: bool,
    kwargs: dict[str, Any],
    *,
    value: bool,
) -> Any:
    if solver not in ("PGD", "PPA"):
        raise ValueError(f"Unknown solver '{solver}'. Pick one in ['PGD', 'PPA'].")
    kind = arrays.known_loss(loss_fun)
    options: dict[str, Any] = {"numItermax": 1000, "stopThr": 1e-9, "warn": True}
    unknown = kwargs.keys() - options
    if unknown:
        raise TypeError(f"keyword arguments of the inner loops are {sorted(options)}, got {sorted(unknown)}")
    options |= kwargs
    like = arrays.like(C1, C2, M, p, q, G0)
    c1, c2, a, b = arrays.sides(C1, C2, p, q)
    cost, share = arrays.linear_cost(M, alpha, (len(a), len(b)))
    first = arrays.first_plan(G0, a, b)
    epsilon = check.positive("epsilon", arrays.number(epsilon))
    problem = _core.Problem(c1, c2, a, b, loss=kind, linear=cost, alpha=share, whole=True)
    steps = check.integer("max_iter", arrays.whole(max_iter), 0, check.MOST_STEPS)
    changes: list[float] = []
    if steps == 0:
        plan, loss = first, problem.gw_loss(first)
    else:
        (raw,) = problem.solve(
            [(first, [epsilon])],
            precision="float64",
            tol=arrays.tolerance("tol", tol, np.finfo(float).tiny),
            max_outer=steps,
            max_sinkhorn=check.steps("numItermax", arrays.whole(options["numItermax"])),
            level_tol=1.0,
            level_max_outer=1,
            threads=0,
            literal=(solver == "PPA", arrays.tolerance("stopThr", options["stopThr"])),
        )
        changes, loss = raw.changes, raw.gw_loss
        failed = raw.status == "numerical_error"
        plan = np.outer(a, b) if failed else raw.plan()
        if failed:
            arrays.warn(arrays.FAILED)
        elif raw.status == "max_sinkhorn" and options["warn"]:
            arrays.warn(arrays.NOT_CONVERGED)
    arrays.report(changes, verbose)
    T = like(plan)
    if not value and not log:
        return T
    name = "gw_dist" if M is None else "fgw_dist"
    record: dict[str, Any] = {"err": [like(x) for x in changes]}
    duals = None
    if arrays.needs_gradient(p, q) and np.isfinite(loss):
        gradient = share * _quadratic_gradient(c1, c2, a, b, plan, kind)
        gradient = gradient if cost is None else gradient + (1 - share) * cost
        duals, unsure = dual_potentials(gradient, plan, a, b, epsilon, proximal=solver == "PPA")
        if unsure is not None and options["warn"]:
            arrays.warn(unsure)
    record[name] = gromov_value(like, loss, (M, C1, C2), (p, q), plan, duals, kind, share, marginals=(a, b))
    return finished(record, name, T, M, plan, share, value=value, log=log)


def finished(
    record: dict[str, Any], name: str, T: Any, M: Any, plan: FloatArray, share: float, *, value: bool, log: bool
) -> Any:
    """Plan and record; of the functions that end in 2 the value, with a record that holds more."""
    if not value:
        return T, record
    record["T"] = T
    if M is not None:
        linear = (M * T).sum() if tensors.is_tensor(M) else np.vdot(np.asarray(M, dtype=np.float64), plan)
        record["lin_loss"] = (1 - share) * linear
        record["quad_loss"] = record[name] - record["lin_loss"]
    return (record[name], record) if log else record[name]


def _quadratic_gradient(
    c1: FloatArray, c2: FloatArray, p: FloatArray, q: FloatArray, plan: FloatArray, kind: str
) -> FloatArray:
    """Of GW(T) by T, that of a minimum over plans: 2 (const - h1(C1) T h2(C2)'), symmetrised."""
    (f1, h1), (f2, h2) = arrays.functions(c1, kind, first=True), arrays.functions(c2, kind, first=False)
    return arrays.outer_sum(f1 + f1.T, f2 + f2.T, p, q) - h1 @ plan @ h2.T - h1.T @ plan @ h2
