"""Sinkhorn: the linear entropic problem by POT's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from gwrsa import _core, tensors
from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.pot import _arrays as arrays
from gwrsa.pot._gradients import transport_value

METHODS = ("sinkhorn", "sinkhorn_log", "greenkhorn", "sinkhorn_stabilized", "sinkhorn_epsilon_scaling")
METHODS2 = ("sinkhorn", "sinkhorn_log", "sinkhorn_stabilized")
# Of POT's other methods; there is nothing for them to set.
OPTIONS = {"tau", "print_period", "epsilon0", "numInnerItermax"}


def sinkhorn(
    a: Any,
    b: Any,
    M: Any,
    reg: float,
    method: str = "sinkhorn",
    numItermax: int = 1000,
    stopThr: float = 1e-9,
    verbose: bool = False,
    log: bool = False,
    warn: bool = True,
    warmstart: Any = None,
    **kwargs: Any,
) -> Any:
    """The plan of entropic optimal transport, as `ot.sinkhorn`.

    Parameters
    ----------
    a, b : array-like, shapes (ns,) and (nt,)
        Weights with equal sums; zeros are allowed. Empty: uniform. b of shape (nt, k): k problems, of which the costs are returned.
    M : array-like, shape (ns, nt)
        Cost, of numpy or torch.
    reg : float
        Regularisation.
    method : str
        One of POT's five: all mean the same stabilised iteration.
    numItermax : int
        Most sweeps.
    stopThr : float
        L1 error of the marginals (POT: Euclidean norm of that of the columns, looked at every ten sweeps).
    verbose : bool
        Print the error, at the end.
    log : bool
        Return the record too.
    warn : bool
        Warn where it has not converged.
    warmstart : pair of array-like, shapes (ns,) and (nt,), optional
        Potentials to begin with, log(u) and log(v); for the two methods with "stabilized" or "scaling" times reg, as in POT.
    **kwargs
        POT's `tau`, `print_period`, `epsilon0` and `numInnerItermax` are accepted and do nothing.

    Returns
    -------
    T : (ns, nt)
        The plan, rounded onto the marginals; (k,) costs where b has k columns. No gradient flows through it.
    log : dict
        "err" (the last error), "niter", "n_iter", "u", "v", and their logarithms, "log_u", "log_v", "logu", "logv", times reg "alpha",
        "beta", "warmstart". Only if `log`.

    Warns
    -----
    UserWarning
        Where it did not converge, or `reg` is 0: the plan is then ab'.

    Raises
    ------
    ValueError
        If an argument is invalid, such as a negative `reg`, or weights whose sums differ.
    """
    if method.lower() not in METHODS:
        raise ValueError(f"Unknown method '{method}'.")
    warmstart = _in_units_of_reg(warmstart, method, reg)
    return _solve(a, b, M, reg, numItermax, stopThr, verbose, log, warn, warmstart, kwargs, value=False)


def sinkhorn2(
    a: Any,
    b: Any,
    M: Any,
    reg: float,
    method: str = "sinkhorn",
    numItermax: int = 1000,
    stopThr: float = 1e-9,
    verbose: bool = False,
    log: bool = False,
    warn: bool = False,
    warmstart: Any = None,
    **kwargs: Any,
) -> Any:
    """The cost <M, T> of that plan, without entropy, as `ot.sinkhorn2`.

    Arguments, warnings and errors as in `sinkhorn`; `method` is one of "sinkhorn", "sinkhorn_log" and "sinkhorn_stabilized".

    Returns
    -------
    W : float or tensor, or (k,)
        The cost; infinite where `reg` is 0. Of tensors it is differentiable by M, a and b: the exact derivative at convergence, by the
        implicit function theorem; those of a and b are centred.
    log : dict
        As there. Only if `log`.
    """
    if method.lower() not in METHODS2:
        raise ValueError(f"Unknown method '{method}'.")
    warmstart = _in_units_of_reg(warmstart, method, reg)
    return _solve(a, b, M, reg, numItermax, stopThr, verbose, log, warn, warmstart, kwargs, value=True)


def _in_units_of_reg(warmstart: Any, method: str, reg: float) -> Any:
    """POT's stabilised methods take potentials in units of the cost."""
    if warmstart is None or isinstance(warmstart, list):
        return warmstart
    unit = reg if method.lower() in ("sinkhorn_stabilized", "sinkhorn_epsilon_scaling") and reg > 0 else 1.0
    return tuple(check.array("warmstart", x, 1) / unit for x in warmstart)


def _solve(
    a: Any,
    b: Any,
    M: Any,
    reg: float,
    numItermax: int,
    stopThr: float,
    verbose: bool,
    log: bool,
    warn: bool,
    warmstart: Any,
    kwargs: dict[str, Any],
    *,
    value: bool,
) -> Any:
    unknown = kwargs.keys() - OPTIONS
    if unknown:
        raise TypeError(f"keyword arguments are {sorted(OPTIONS)}, got {sorted(unknown)}")
    cost = check.array("M", M, 2)
    empty_a, empty_b = len(a) == 0, len(b) == 0
    like = arrays.like(M, None if empty_a else a, None if empty_b else b)
    if not empty_b and np.ndim(tensors.host(b)) == 2:
        k = b.shape[1] if hasattr(b, "shape") else len(b[0])
        columns = [b[:, i] if hasattr(b, "shape") else [row[i] for row in b] for i in range(k)]
        warm = warmstart if isinstance(warmstart, list) else [warmstart] * k
        ends = [
            _solve(a, c, M, reg, numItermax, stopThr, verbose, True, warn, w, kwargs, value=True)
            for c, w in zip(columns, warm, strict=True)
        ]
        values = like.stacked([end[0] for end in ends])
        if not log:
            return values
        records = [end[1] for end in ends]
        record: dict[str, Any] = {
            key: like(np.stack([np.asarray(tensors.host(r[key])) for r in records], axis=1))
            for key in ("u", "v", "log_u", "log_v")
        }
        sweeps = max(r["niter"] for r in records)
        return values, record | {"err": [r["err"][-1] for r in records], "niter": sweeps, "n_iter": sweeps}
    (p, mass), (q, total) = _weights("a", a, cost.shape[0]), _weights("b", b, cost.shape[1])
    if abs(mass - total) > arrays.ROUNDED * max(mass, total):
        raise ValueError(f"a and b must have the same sum, got {mass} and {total}")
    if reg == 0:
        arrays.warn("Warning: numerical errors: reg must be positive, got 0")
        plan, f, g, status, sweeps, error = (
            np.outer(p, q),
            np.zeros(len(p)),
            np.zeros(len(q)),
            "numerical_error",
            0,
            np.inf,
        )
    else:
        plan, f, g, status, sweeps, error = _core.sinkhorn(
            cost,
            p,
            q,
            epsilon=check.positive("reg", reg),
            tol=arrays.tolerance("stopThr", stopThr),
            max_sinkhorn=check.steps("numItermax", numItermax),
            precision="float64",
            threads=0,
            warm=warmstart,
        )
        if status == "numerical_error":
            arrays.warn("Warning: numerical errors")
        elif status == "max_sinkhorn" and warn:
            arrays.warn(arrays.NOT_CONVERGED)
    arrays.report([error], verbose)
    if not value:
        out = like(mass * plan)
    elif status == "numerical_error":
        out = like(np.inf)
    else:
        out = transport_value(like, cost, plan, reg, (a, b, M), mass)
    return (out, _record(like, f + np.log(mass), g, reg, sweeps, error)) if log else out


def _weights(name: str, value: Any, n: int) -> tuple[FloatArray, float]:
    """Weights divided by their sum, and the sum."""
    if len(value) == 0:
        return np.full(n, 1.0 / n), 1.0
    out = check.array(name, value, 1)
    mass = float(out.sum())
    if not mass > 0:
        raise ValueError(f"{name} must have a positive sum, got {mass}")
    return check.weights(name, out / mass, n), mass


def _record(like: arrays.Like, f: FloatArray, g: FloatArray, reg: float, sweeps: int, error: float) -> dict[str, Any]:
    """All keys of POT's methods: the scalings by their several names."""
    # Only the sum of the two is determined: halfway, so that neither overflows before it must.
    finite = [x[np.isfinite(x)] for x in (f, g)]
    shift = 0.5 * (finite[1].mean() - finite[0].mean())
    f, g = f + shift, g - shift
    with np.errstate(over="ignore"):
        u, v = like(np.exp(f)), like(np.exp(g))
    log_u, log_v, alpha, beta = like(f), like(g), like(reg * f), like(reg * g)
    return {
        "err": [like(error)],
        "niter": sweeps,
        "n_iter": sweeps,
        "u": u,
        "v": v,
        "log_u": log_u,
        "log_v": log_v,
        "logu": log_u,
        "logv": log_v,
        "alpha": alpha,
        "beta": beta,
        "warmstart": (alpha, beta),
    }
