"""Arrays of numpy or torch in, the same out; what the functions of this package share."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from gwrsa import _core, tensors
from gwrsa import _validate as check
from gwrsa._validate import FloatArray

LOSSES = {"square_loss": "square", "kl_loss": "kl"}
FAILED = "Solver failed to produce a transport plan. You might want to increase the regularization parameter `epsilon`."
NOT_CONVERGED = (
    "Sinkhorn did not converge. You might want to increase the number of iterations `numItermax` or the "
    "regularization parameter `reg`."
)
TINY = 1e-18
"""Under the logarithms of the Kullback-Leibler loss, as in POT and in the core."""
# Below this the marginals of a float64 computation are not known.
LEAST_TOLERANCE = 1e-14
# Weights and first plans may be off by what single precision rounds, and are then put right.
ROUNDED = 1e-4


@dataclass(frozen=True)
class Like:
    """Type, dtype and device of what is returned."""

    tensor: Any
    """A tensor on the right device with the right dtype, or None for numpy."""
    dtype: Any
    """Of numpy."""

    def __call__(self, value: Any) -> Any:
        """A float64 array or number in this type."""
        if self.tensor is not None:
            import torch

            return torch.as_tensor(value, dtype=self.tensor.dtype, device=self.tensor.device)
        return np.asarray(value, dtype=self.dtype)[()]

    def stacked(self, values: list[Any]) -> Any:
        """Numbers in this type as a vector, with their gradients."""
        if self.tensor is not None:
            import torch

            return torch.stack(values)
        return np.stack(values)


def like(first: Any, *others: Any) -> Like:
    """What the arguments are: all of one library, as in POT; lists are numpy's."""
    given = [x for x in (first, *others) if x is not None and not isinstance(x, (list, tuple))]
    kinds = {tensors.is_tensor(x) for x in given}
    if len(kinds) > 1:
        raise ValueError(
            "All array should be from the same type/backend. "
            f"Current types are : {sorted({type(x).__name__ for x in given})}"
        )
    if kinds == {True}:
        tensor = first if tensors.is_tensor(first) else given[0]
        if not tensor.is_floating_point():
            import torch

            tensor = tensor.detach().to(torch.float64)
        return Like(tensor.detach(), None)
    dtype = np.asarray(first).dtype
    return Like(None, dtype if dtype.kind == "f" else np.dtype(np.float64))


def needs_gradient(*values: Any) -> bool:
    """Whether one of them is a tensor that takes a gradient."""
    return any(tensors.is_tensor(x) and x.requires_grad for x in values)


def weights(name: str, value: Any, n: int) -> FloatArray:
    """Probability vector of length n; None or an empty one is uniform."""
    if value is None or len(value) == 0:
        return np.full(n, 1.0 / n)
    out = check.array(name, value, 1)
    total = out.sum()
    return check.weights(name, out / total if 0 < abs(total - 1) <= ROUNDED else out, n)


def first_plan(G0: Any, p: FloatArray, q: FloatArray, *, exact: bool = True) -> FloatArray:
    """The plan to begin at; None is pq'. With these marginals, if `exact`; otherwise as it is."""
    if G0 is None:
        return np.outer(p, q)
    plan = check.array("G0", G0, 2)
    if plan.shape != (len(p), len(q)):
        raise ValueError(f"G0 must have shape {(len(p), len(q))}, got {plan.shape}")
    if (plan < 0).any():
        raise ValueError(f"G0 must not be negative, got a least entry of {plan.min()}")
    if not exact:
        return plan
    error = np.abs(plan.sum(axis=1) - p).sum() + np.abs(plan.sum(axis=0) - q).sum()
    if error > ROUNDED:
        raise ValueError(f"G0 must have the marginals p and q, got an L1 error of {error:.3g}")
    return _core.round_to_marginals(plan, p, q)


def known_loss(loss_fun: str) -> str:
    """The core's name of a loss of POT's."""
    if loss_fun not in LOSSES:
        raise ValueError(f"Unknown `loss_fun='{loss_fun}'`. Use one of: {tuple(LOSSES)}.")
    return LOSSES[loss_fun]


def sides(C1: Any, C2: Any, p: Any, q: Any) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Costs and weights, checked, in float64."""
    c1, c2 = check.square("C1", C1), check.square("C2", C2)
    return c1, c2, weights("p", p, len(c1)), weights("q", q, len(c2))


def linear_cost(M: Any, alpha: Any, shape: tuple[int, int]) -> tuple[FloatArray | None, float]:
    """Cost between features and weight of the structures; M is None where there are no features."""
    if M is None:
        return None, 1.0
    cost = check.array("M", M, 2)
    if cost.shape != shape:
        raise ValueError(f"M must have shape {shape}, got {cost.shape}")
    return cost, check.share("alpha", number(alpha))


def functions(C: FloatArray, loss: str, *, first: bool) -> tuple[FloatArray, FloatArray]:
    """f1 and h1 of the first side, or f2 and h2 of the second."""
    if loss == "square":
        return C**2, C if first else 2 * C
    return (C * np.log(C + TINY) - C, C) if first else (C, np.log(C + TINY))


def outer_sum(f1: FloatArray, f2: FloatArray, p: FloatArray, q: FloatArray) -> FloatArray:
    """`f1 p 1' + 1 (f2 q)'`, what of GW(T) and its gradient does not depend on a plan with these marginals."""
    total: FloatArray = (f1 @ p)[:, None] + f2 @ q
    return total


def report(changes: list[float], verbose: bool) -> None:
    """POT's table of changes, at the end."""
    for k, change in enumerate(changes if verbose else ()):
        if k % 20 == 0:
            print("{:5s}|{:12s}".format("It.", "Err") + "\n" + "-" * 19)  # noqa: T201
        print(f"{10 * k:5d}|{change:8e}|")  # noqa: T201


def number(value: Any) -> Any:
    """The number in an array or a tensor of one entry; anything else as it is."""
    held = tensors.host(value)
    return held.item() if isinstance(held, np.ndarray) and held.size == 1 else held


def whole(value: Any) -> Any:
    """A number of steps, which POT only compares with its own count: 1e4 is 10,000; anything else as it is."""
    steps = number(value)
    fraction = isinstance(steps, Real) and not isinstance(steps, Integral)
    return int(steps) if fraction and float(steps).is_integer() else steps


def tolerance(name: str, value: Any, least: float = LEAST_TOLERANCE) -> float:
    """A tolerance as POT takes it: 0 or less is as small as there is."""
    limit = float(number(value))
    if math.isnan(limit):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return max(limit, least)


def warn(message: str) -> None:
    """A UserWarning at the line that called the public function."""
    warnings.warn(message, UserWarning, stacklevel=4)
