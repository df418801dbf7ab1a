"""Sinkhorn: the linear entropic problem by POT's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

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
_Pair: TypeAlias = tuple[FloatArray, FloatArray]


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
        Potentials to begin with, log(u) and log(v); for the two methods with "stabilized" or "scaling" times reg, as in POT. Where b has k
        columns one pair for all of them, a list of k pairs, or arrays of shapes (ns, k) and (nt, k).
    **kwargs
        POT's `tau`, `print_period`, `epsilon0` and `numInnerItermax` are accepted and do nothing.

    Returns
    -------
    T : (ns, nt)
        The plan, rounded onto the marginals; (k,) costs where b has k columns. No gradient flows through it.
    log : dict
        "err" (the last error, of each problem), "niter", "n_iter", "u", "v", and their logarithms, "log_u", "log_v", "logu", "logv",
        times reg "alpha", "beta", "warmstart", of shapes (ns, k) and (nt, k) where b has k columns. Only if `log`.

    Warns
    -----
    UserWarning
        Where it did not converge, or `reg` is 0: the plan is then ab'.

    Raises
    ------
    ValueError
        If an argument is invalid, such as a negative `reg`, or weights whose sums differ.
    """
    reg = arrays.number(reg)
    if method.lower() not in METHODS:
        raise ValueError(f"Unknown method '{method}'.")
    warmstart = _warm(warmstart, method, reg)
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
    reg = arrays.number(reg)
    if method.lower() not in METHODS2:
        raise ValueError(f"Unknown method '{method}'.")
    warmstart = _warm(warmstart, method, reg)
    return _solve(a, b, M, reg, numItermax, stopThr, verbose, log, warn, warmstart, kwargs, value=True)


def _warm(warmstart: Any, method: str, reg: float) -> _Pair | list[_Pair] | None:
    """Potentials in units of reg: one pair, or one a column of b. POT's stabilised methods take them in units of the cost."""
    if warmstart is None:
        return None
    unit = reg if method.lower() in ("sinkhorn_stabilized", "sinkhorn_epsilon_scaling") and reg > 0 else 1.0
    if not hasattr(warmstart, "__len__") or len(warmstart) == 0:
        raise ValueError(f"warmstart must be a pair of potentials, got {warmstart!r}")
    given = list(warmstart)
    if isinstance(given[0], (list, tuple)) and len(given[0]) == 2 and np.ndim(tensors.host(given[0][0])) > 0:
        return [_pair(pair, unit) for pair in given]
    if len(given) == 2 and all(np.ndim(tensors.host(x)) == 2 for x in given):
        f, g = (_finite(x, 2).T for x in given)
        if len(f) != len(g):
            raise ValueError(f"warmstart must be of as many columns on both sides, got {len(f)} and {len(g)}")
        return [_pair(pair, unit) for pair in zip(f, g, strict=True)]
    return _pair(given, unit)


def _pair(given: Any, unit: float) -> _Pair:
    if len(given) != 2:
        raise ValueError(f"warmstart must be a pair of potentials, got {len(given)} of them")
    f, g = (_finite(x, 1) / unit for x in given)
    return f, g


def _finite(x: Any, ndim: int) -> FloatArray:
    """Potentials; minus infinity is that of an object without weight, which no plan depends on."""
    held = tensors.host(x)
    if isinstance(held, np.ndarray) and held.dtype.kind == "f":
        held = np.where(np.isneginf(held), 0.0, held)
    return check.array("warmstart", held, ndim)


@dataclass(frozen=True)
class _End:
    """How a problem ended."""

    out: Any
    """What is asked of it, as POT gives it: the plan, or what it costs."""
    f: FloatArray
    g: FloatArray
    """Potentials of the plan with its mass, in units of reg, of which only the sum is determined."""
    warning: str | None
    sweeps: int
    error: float


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
    like = arrays.like(M, a if len(a) else None, b if len(b) else None)
    several = np.ndim(tensors.host(b)) == 2
    columns, warm = _columns(b, warmstart) if several else ([b], [_only(warmstart)])
    ends = []
    for column, pair in zip(columns, warm, strict=True):
        problem = _Problem(a, column, M, cost, reg, like)
        ends.append(problem.solved(numItermax, stopThr, pair, warn=warn, value=several or value))
        if ends[-1].warning is not None:
            arrays.warn(ends[-1].warning)
        arrays.report([ends[-1].error], verbose)
    out = like.stacked([end.out for end in ends]) if several else ends[0].out
    return (out, _record(like, ends, reg, several=several)) if log else out


def _columns(b: Any, warmstart: _Pair | list[_Pair] | None) -> tuple[list[Any], list[_Pair | None]]:
    """Each column of b, and the potentials to begin with there."""
    k = b.shape[1] if hasattr(b, "shape") else len(b[0])
    warm: list[_Pair | None] = [*warmstart] if isinstance(warmstart, list) else [warmstart] * k
    if len(warm) != k:
        raise ValueError(f"warmstart must be a pair for each of the {k} columns of b, got {len(warm)}")
    return [b[:, i] if hasattr(b, "shape") else [row[i] for row in b] for i in range(k)], warm


def _only(warmstart: _Pair | list[_Pair] | None) -> _Pair | None:
    if not isinstance(warmstart, list):
        return warmstart
    if len(warmstart) != 1:
        raise ValueError(f"warmstart must be one pair where b has one column, got {len(warmstart)}")
    return warmstart[0]


@dataclass(frozen=True)
class _Problem:
    """One column of b."""

    a: Any
    b: Any
    M: Any
    cost: FloatArray
    """M as an array."""
    reg: float
    like: arrays.Like

    def solved(self, numItermax: int, stopThr: float, warm: _Pair | None, *, warn: bool, value: bool) -> _End:
        """The end, of whose plan no more is kept than what is asked."""
        (p, mass), (q, total) = _weights("a", self.a, self.cost.shape[0]), _weights("b", self.b, self.cost.shape[1])
        if abs(mass - total) > arrays.ROUNDED * max(mass, total):
            raise ValueError(f"a and b must have the same sum, got {mass} and {total}")
        if self.reg == 0:
            out = self._out(np.outer(p, q), mass, failed=True, value=value)
            zero = "Warning: numerical errors: reg must be positive, got 0"
            return _End(out, np.full(len(p), np.log(mass)), np.zeros(len(q)), zero, 0, np.inf)
        plan, f, g, status, sweeps, error = _core.sinkhorn(
            self.cost,
            p,
            q,
            epsilon=check.positive("reg", self.reg),
            tol=arrays.tolerance("stopThr", stopThr),
            max_sinkhorn=check.steps("numItermax", arrays.whole(numItermax)),
            precision="float64",
            threads=0,
            warm=warm,
        )
        failed = status == "numerical_error"
        spoken = arrays.NOT_CONVERGED if status == "max_sinkhorn" and warn else None
        why = "Warning: numerical errors" if failed else spoken
        return _End(self._out(plan, mass, failed=failed, value=value), f + np.log(mass), g, why, sweeps, error)

    def _out(self, plan: FloatArray, mass: float, *, failed: bool, value: bool) -> Any:
        """The plan; or `<M, T>`, infinite where there is none."""
        if not value:
            return self.like(mass * plan)
        given = self.a, self.b, self.M
        return self.like(np.inf) if failed else transport_value(self.like, self.cost, plan, self.reg, given, mass)


def _weights(name: str, value: Any, n: int) -> tuple[FloatArray, float]:
    """Weights divided by their sum, and the sum."""
    if len(value) == 0:
        return np.full(n, 1.0 / n), 1.0
    out = check.array(name, value, 1)
    mass = float(out.sum())
    if not mass > 0:
        raise ValueError(f"{name} must have a positive sum, got {mass}")
    return check.weights(name, out / mass, n), mass


def _record(like: arrays.Like, ends: list[_End], reg: float, *, several: bool) -> dict[str, Any]:
    """All keys of POT's methods: the scalings by their several names; of several problems a column each."""
    halved = [_halfway(end.f, end.g) for end in ends]
    f, g = (np.stack(sides, axis=1) if several else sides[0] for sides in zip(*halved, strict=True))
    with np.errstate(over="ignore"):
        u, v = like(np.exp(f)), like(np.exp(g))
    log_u, log_v, alpha, beta = like(f), like(g), like(reg * f), like(reg * g)
    sweeps = max(end.sweeps for end in ends)
    return {
        "err": [like(end.error) for end in ends],
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


def _halfway(f: FloatArray, g: FloatArray) -> _Pair:
    """The potentials with equal means, so that neither overflows before it must."""
    finite = [x[np.isfinite(x)] for x in (f, g)]
    shift = 0.5 * (finite[1].mean() - finite[0].mean())
    return f + shift, g - shift
