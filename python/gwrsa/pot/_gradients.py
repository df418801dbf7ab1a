"""Values of torch whose gradients are the formulas at the plan, not the trace of the iterations."""

from __future__ import annotations

from typing import Any

import numpy as np

from gwrsa import _core
from gwrsa._validate import FloatArray
from gwrsa.pot._arrays import TINY, Like, functions, needs_gradient
from gwrsa.tensors import host, is_tensor

# Sweeps of the solve for the gradients of the weights, and the L1 error of the marginals at which it ends.
DUAL_SWEEPS, DUAL_TOLERANCE = 10_000, 1e-11


def _with(value: Any, parts: list[tuple[Any, Any]]) -> Any:
    """`value`, whose gradients for the tensors are the given arrays."""
    for tensor, gradient in parts:
        if needs_gradient(tensor):
            slope = tensor.new_tensor(np.asarray(gradient))
            value = value + (slope * (tensor - tensor.detach())).sum()
    return value


def gromov_value(
    like: Like,
    loss: float,
    costs: tuple[Any, Any, Any],
    weights: tuple[Any, Any],
    plan: FloatArray,
    duals: tuple[FloatArray, FloatArray] | None,
    kind: str,
    alpha: float,
    *,
    marginals: tuple[FloatArray, FloatArray],
    constant: bool = True,
) -> Any:
    """The loss, differentiable in M, C1 and C2 with the plan held, and in the weights by the duals.

    `sum_ij T_ij ((f1(C1) a)_i + (f2(C2) b)_j) - <h1(C1) T h2(C2)', T>`, (a, b) the `marginals` that were asked for: a plan of alternating
    projections has others. Without `constant` the second term alone, as `loss` is then.
    """
    value = like(loss)
    M, C1, C2 = costs
    if not needs_gradient(M, C1, C2, *weights) or not np.isfinite(loss):
        return value
    (s1, ds1, d1), (s2, ds2, d2) = _derivatives(C1, kind, first=True), _derivatives(C2, kind, first=False)
    a, b = marginals
    held = float(constant)
    parts = []
    if needs_gradient(C1):
        by_constant = held * ds1 * np.outer(plan.sum(axis=1), a)
        parts.append((C1, alpha * (by_constant - d1 * (plan @ s2 @ plan.T))))
    if needs_gradient(C2):
        by_constant = held * ds2 * np.outer(plan.sum(axis=0), b)
        parts.append((C2, alpha * (by_constant - d2 * (plan.T @ s1 @ plan))))
    if needs_gradient(M):
        parts.append((M, (1 - alpha) * plan))
    if duals is not None:
        parts += zip(weights, duals, strict=True)
    return _with(value, parts)


def _derivatives(C: Any, kind: str, *, first: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """h, the derivative of f, and that of h, of a side."""
    c = np.asarray(host(C), dtype=np.float64)
    _, h = functions(c, kind, first=first)
    if kind == "square":
        return h, 2 * c, np.full_like(c, 1.0 if first else 2.0)
    if first:
        return h, np.log(c + TINY) + c / (c + TINY) - 1, np.ones_like(c)
    return h, np.ones_like(c), 1 / (c + TINY)


def dual_potentials(
    cost: FloatArray, plan: FloatArray, p: FloatArray, q: FloatArray, epsilon: float, *, proximal: bool
) -> tuple[tuple[FloatArray, FloatArray], str | None]:
    """What one unit more of a weight costs, up to a constant: the multipliers of the marginals at the plan.

    And what there is to warn of: None where their own solve has converged.
    """
    if proximal:
        cost = cost - epsilon * np.log(np.maximum(plan, np.finfo(float).tiny))
    _, f, g, status, sweeps, error = _core.sinkhorn(
        cost,
        p,
        q,
        epsilon=epsilon,
        tol=DUAL_TOLERANCE,
        max_sinkhorn=DUAL_SWEEPS,
        precision="float64",
        threads=0,
    )
    warning = None
    if status != "converged":
        warning = (
            f"The gradients of `p` and `q` did not converge: after {sweeps} sweeps of Sinkhorn the marginals are {error:.1e} off. "
            "You might want to increase the regularization parameter `epsilon`."
        )
    return (_centred(epsilon * f), _centred(epsilon * g)), warning


def transport_value(
    like: Like, cost: FloatArray, plan: FloatArray, reg: float, tensors: tuple[Any, Any, Any], mass: float
) -> Any:
    """`<M, T>` with its derivative by M, a and b: T moves with them, by the implicit function theorem.

    With T = exp(f + g - M / reg), `diag(a) x + T y = (T o M) 1` and `T' x + diag(b) y = (T o M)' 1` give dM = T o (1 - (M - x - y) / reg),
    da = x and db = y, the latter two up to a constant.
    """
    value = like(mass * float(np.vdot(cost, plan)))
    a, b, M = tensors
    if not any(is_tensor(x) and x.requires_grad for x in tensors):
        return value
    rows, columns = plan.sum(axis=1), plan.sum(axis=0)
    paid = plan * cost
    i, j = rows > 0, columns > 0
    inner = plan[np.ix_(i, j)]
    left, right = paid.sum(axis=1)[i], paid.sum(axis=0)[j]
    # y is known up to a constant: the matrix of the reduced system has the null vector 1.
    reduced = np.diag(columns[j]) - inner.T @ (inner / rows[i, None]) + np.full((j.sum(), j.sum()), 1.0 / j.sum())
    x, y = np.zeros(len(rows)), np.zeros(len(columns))
    y[j] = np.linalg.solve(reduced, right - inner.T @ (left / rows[i]))
    x[i] = (left - inner @ y[j]) / rows[i]
    slope = mass * plan * (1 - (cost - x[:, None] - y) / reg)
    return _with(value, [(M, slope), (a, _centred(x)), (b, _centred(y))])


def _centred(x: FloatArray) -> FloatArray:
    """Without the mean of what is finite; where there is no weight, 0."""
    finite = np.isfinite(x)
    return np.where(finite, x - x[finite].mean(), 0.0) if finite.any() else np.zeros_like(x)
