"""Newton's method for the column potentials of one start, where sweeps hardly move any more: the core's `newton`, where it is explained.

With exact rows the gradient of the dual in the log scalings of the columns is `q - c`, c the column sums, and minus its Hessian is
`S = diag(c) - T' diag(1 / p) T` (Peyre & Cuturi 2019, section 4.3). Conjugate gradients take one product with S, a pass over the kernel,
for each of its different eigenvalues. The host decides after every pass: such starts are few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from gwrsa.backends.torch.kernels import Side

# As in the core.
_RESIDUAL = 1e-2
_FARTHEST = 3.0
_HALVINGS = 4


class Step(NamedTuple):
    """What a step took and came to."""

    passes: int
    """Over the kernel."""
    error: float | None
    """Of the columns, in L1, the rows exact; None: it did not go down, and the scalings are what they were but for exact rows."""


class Newton:
    """Steps of one start. Its tensors are views, which the steps write."""

    def __init__(
        self,
        passes: ModuleType,
        kernel: Tensor,
        weights: tuple[Side, Side],
        scalings: tuple[Tensor, Tensor],
        rows: Iterable[slice],
    ) -> None:
        """Of a kernel (1, n, m), weights (p, q) and scalings u (1, n) and v (1, m); `rows` are the blocks that a pass goes by."""
        self.passes, self.kernel, self.rows = passes, kernel, tuple(rows)
        self.p, self.q = weights
        self.u, self.v = scalings

    def step(self, before: float, most: int) -> Step:
        """One step of at most `most` passes, from an error of `before`."""
        old = self.v.clone()
        # The error of the last sweep is that before its column step.
        held = self._exact_rows()
        start = min(self._error(held), before)
        direction, passes = self._direction(held, most - 2)
        passes += 1
        farthest = float(direction.abs().max())
        length = min(1.0, _FARTHEST / farthest) if farthest > 0 else 0.0
        for _ in range(_HALVINGS + 1):
            if not length > 0 or passes >= most:
                break
            self.v.copy_(old.double() * (length * direction).exp())
            passes += 1
            error = self._error(self._exact_rows())
            if error < (1 - 0.1 * length) * start:
                return Step(passes, error)
            length *= 0.5
        self.v.copy_(old)
        self._exact_rows()
        return Step(passes + 1, None)

    def _exact_rows(self) -> Tensor:
        """Rows made exact, columns left as they are: the sums of these, (1, m)."""
        sums, one = torch.zeros_like(self.v, dtype=torch.float64), torch.ones_like(self.v[:, :1])
        for block, rows in self._blocks():
            self.passes.sweep_rows(block, self.p.rows(rows), self.u[:, rows], self.v, one, one > 0, sums)
        return sums.mul_(self.v)

    def _error(self, held: Tensor) -> float:
        return float((held - self.q.exact).abs_().sum())

    def _direction(self, held: Tensor, most: int) -> tuple[Tensor, int]:
        """Solves `S d = q - c` by conjugate gradients, scaled by diag(c): d, and the passes it took, fewer than `most`."""
        residual = self.q.exact - held
        solution = torch.zeros_like(residual)
        z = _divided(residual, held)
        step, norm = z.clone(), float((residual * z).sum())
        enough = _RESIDUAL * _RESIDUAL * norm
        passes = 0
        while passes < min(most - 1, residual.shape[1]) and norm > enough:
            passes += 1
            moved = self.product(step, held)
            curvature = float((step * moved).sum())
            if not curvature > 0:
                break
            along = norm / curvature
            solution.add_(step, alpha=along)
            residual.sub_(moved, alpha=along)
            z = _divided(residual, held)
            last, norm = norm, float((residual * z).sum())
            step.mul_(norm / last).add_(z)
        return solution, passes

    def product(self, x: Tensor, held: Tensor) -> Tensor:
        """`S x` of x (1, m) in float64, in one pass over the kernel; `held` are the column sums."""
        scaled = (self.v * x).to(self.v.dtype)
        sums = torch.zeros_like(held)
        for block, rows in self._blocks():
            u, p = self.u[:, rows], self.p.rows(rows)
            through = u / p.real * u * torch.bmm(block, scaled[:, :, None])[:, :, 0]
            through = through if p.none is None else through.masked_fill(p.none, 0.0)
            sums += torch.bmm(through[:, None], block)[:, 0]
        return held * x - self.v * sums

    def _blocks(self) -> Iterator[tuple[Tensor, slice]]:
        return ((self.kernel[:, rows], rows) for rows in self.rows)


def _divided(residual: Tensor, held: Tensor) -> Tensor:
    return torch.where(held > 0, residual / held, 0.0)
