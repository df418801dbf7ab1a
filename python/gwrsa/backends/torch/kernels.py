"""Passes over the kernel `K = exp(M + f + g)` (b, n, m), in plain torch: what runs on a CPU, and the twin of the fused ones in `fused`.

A block of rows is read twice while it is in cache, so that a sweep takes one pass over the memory. In a batch the block is the whole.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gwrsa.backends.torch.operator import NEGLIGIBLE


def exponentiate(kernel: Tensor) -> None:
    """`exp`, in place; on a CPU without subnormal numbers."""
    kernel.exp_()
    if kernel.device.type == "cpu":
        torch.nn.functional.threshold_(kernel, NEGLIGIBLE[kernel.dtype], 0.0)


def rescaled(weight: Tensor, old: Tensor, sums: Tensor, omega: Tensor) -> Tensor:
    """Scalings (b, n) that bring marginals `old * sums` to `weight` (n,), relaxed by omega (b, 1); 0 where there is no weight."""
    plain = weight / sums
    relaxed = old * (plain / old).pow(omega)
    return torch.where(omega == 1, plain, relaxed).masked_fill_(weight == 0, 0.0)


def sweep_rows(kernel: Tensor, p: Tensor, u: Tensor, v: Tensor, omega: Tensor, active: Tensor, sums: Tensor) -> Tensor:
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
    new = rescaled(p, u, products, omega)
    error = ((u * products).sub_(p).abs_() * (omega != 1)).masked_fill_(p == 0, 0.0).sum(1, dtype=torch.float64)
    u.copy_(torch.where(active, new, u))
    sums += torch.bmm(u[:, None], kernel)[:, 0]
    return error
