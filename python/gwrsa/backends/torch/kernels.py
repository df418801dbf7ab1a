"""Passes over the kernel `K = exp(M + f + g)` (b, n, m), in plain torch: what runs on a CPU, and the twin of the fused ones in `fused`.

A block of rows is read twice while it is in cache, so that a sweep takes one pass over the memory. In a batch the block is the whole.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gwrsa.backends.torch.devices import settled
from gwrsa.backends.torch.operator import NEGLIGIBLE


def exponentiate(kernel: Tensor) -> None:
    """`exp`, in place; on a CPU without subnormal numbers."""
    kernel.exp_()
    if kernel.device.type == "cpu":
        torch.threshold_(kernel, NEGLIGIBLE[kernel.dtype], 0.0)


def chosen(device: torch.device) -> Any:  # noqa: ANN401
    """The module whose passes are used there: `fused` on a card where Triton works, unless GWRSA_TRITON is 0; otherwise this one."""
    if device.type != "cuda" or os.environ.get("GWRSA_TRITON") == "0":
        return sys.modules[__name__]
    if device not in _chosen:
        _chosen[device] = _tried(device)
    return _chosen[device]


_chosen: dict[torch.device, Any] = {}


def _tried(device: torch.device) -> Any:  # noqa: ANN401
    """`fused`, if it can be imported and does what this module does; Triton may find no C compiler, or not know the card."""
    twin = sys.modules[__name__]
    try:
        from gwrsa.backends.torch import fused
    except ImportError:
        return twin
    try:
        with settled(device, 1, 1):
            tried(fused, device)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001
        why = f"{type(error).__name__}: {str(error)[:200]}"
        warnings.warn(
            f"slower passes are used on {device}, where Triton does not work: {why}", RuntimeWarning, stacklevel=2
        )
        return twin
    return fused


def tried(passes: Any, device: torch.device) -> None:  # noqa: ANN401
    """Raise an error where the first sweep of a tiny kernel cannot be made by these passes, or is not that of this module."""
    n, m = 3, 5
    settings: dict[str, Any] = {"dtype": torch.float32, "device": device}
    made = []
    for module in (sys.modules[__name__], passes):
        p = Side.of(torch.full((n,), 1 / n, dtype=torch.float64, device=device), torch.float32)
        kernel = torch.linspace(-1, 0, n * m, **settings).view(1, n, m)
        u, v, one = torch.ones(1, n, **settings), torch.ones(1, m, **settings), torch.ones(1, 1, **settings)
        sums = torch.zeros(1, m, dtype=torch.float64, device=device)
        module.first_sweep(kernel, p, u, v, one, one > 0, sums)
        made.append(torch.cat([kernel.flatten(), u[0], sums[0]]))
    expected, found = made
    if not torch.allclose(found, expected, rtol=1e-4):
        raise ArithmeticError(f"a first sweep made {found.tolist()}, expected {expected.tolist()}")


class Side(NamedTuple):
    """Weights of one side (n,), and which of them are 0."""

    exact: Tensor
    """In float64."""
    real: Tensor
    """In the kernel's precision."""
    none: Tensor | None
    """Where there is no weight; None: nowhere."""
    some: Tensor | None
    """Positions with a weight; None: all."""

    @classmethod
    def of(cls, weights: Tensor, dtype: torch.dtype) -> Side:
        """From weights in float64."""
        none = weights == 0
        if not bool(none.any()):
            return cls(weights, weights.to(dtype), None, None)
        return cls(weights, weights.to(dtype), none, (~none).nonzero()[:, 0])

    def rows(self, at: slice) -> Side:
        """Of a block of rows; without positions."""
        return Side(self.exact[at], self.real[at], None if self.none is None else self.none[at], None)

    def barred(self, exponents: Tensor) -> Tensor:
        """Exponents (..., n), negative infinity where there is no weight, so that nothing there can overflow."""
        return exponents if self.none is None else exponents.masked_fill(self.none, -torch.inf)

    def finite(self, potential: Tensor) -> Tensor:
        """Whether potentials (b, n) are finite wherever there is weight, (b,)."""
        whole = potential.isfinite()
        return (whole if self.none is None else whole | self.none).all(1)


def perhaps(where: Tensor) -> bool:
    """Whether it is so anywhere; on a card, which would have to be waited for, always."""
    return where.device.type != "cpu" or bool(where.any())


def rescaled(weight: Tensor, none: Tensor | None, old: Tensor, sums: Tensor, omega: Tensor) -> Tensor:
    """Scalings (b, n) that bring marginals `old * sums` to `weight` (n,), relaxed by omega (b, 1); 0 where there is no weight."""
    new = weight / sums
    relaxed = omega != 1
    if perhaps(relaxed):
        new = torch.where(relaxed, old * (new / old).pow(omega), new)
    return new if none is None else new.masked_fill_(none, 0.0)


def sweep_rows(kernel: Tensor, p: Side, u: Tensor, v: Tensor, omega: Tensor, active: Tensor, sums: Tensor) -> Tensor:
    """Scale the rows of a block, and add its columns' sums.

    Parameters
    ----------
    kernel : (b, rows, m)
    p : (rows,)
        Weights.
    u : (b, rows)
        Row scalings; new ones are written where `active`.
    v : (b, m)
        Column scalings.
    omega : (b, 1)
        Relaxation, in the kernel's precision; 1: none.
    active : (b, 1)
        Whose scalings change.
    sums : (b, m) float64
        `sum_i u_i K_ij` is added.

    Returns
    -------
    (b,) float64
        L1 error of the row marginals before; 0 where omega is 1, as the rows were then exact.
    """
    products = torch.bmm(kernel, v[:, :, None])[:, :, 0]
    new = rescaled(p.real, p.none, u, products, omega)
    relaxed = omega != 1
    error = sums.new_zeros(len(sums))
    if perhaps(relaxed):
        held = (u * products).sub_(p.real).abs_() * relaxed
        error = (held if p.none is None else held.masked_fill_(p.none, 0.0)).sum(1, dtype=torch.float64)
    u.copy_(torch.where(active, new, u))
    sums += torch.bmm(u[:, None], kernel)[:, 0]
    return error


def first_sweep(kernel: Tensor, p: Side, u: Tensor, v: Tensor, omega: Tensor, active: Tensor, sums: Tensor) -> Tensor:
    """`sweep_rows` of a block that still holds exponents."""
    exponentiate(kernel)
    return sweep_rows(kernel, p, u, v, omega, active, sums)
