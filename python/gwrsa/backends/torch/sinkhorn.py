"""Projection on the marginals, for a batch of kernels at once: the core's `sinkhorn`, each start at its own pace.

The plan is `T = diag(u) K diag(v)`, `K = exp(M + f + g)`: scalings in the kernel's precision, potentials absorbed in float64. How a start
stands is kept on the device; the host asks every few sweeps. What has ended is not changed by the sweeps of the others, so that the outcome
depends neither on the batch nor on how often the host asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gwrsa.backends.torch import graphs, kernels
from gwrsa.backends.torch.kernels import Side
from gwrsa.backends.torch.newton import Newton
from gwrsa.backends.torch.relaxation import Relaxation
from gwrsa.backends.torch.slots import Slots

RUNNING, CONVERGED, MAX_SWEEPS, NUMERICAL_ERROR = range(4)
# Of a sweep; hardly moving starts wait for a step of Newton's method.
_GOOD, _STRETCHED, _BROKEN, _HARDLY_MOVING = range(4)
# As in the core.
_MAX_STABILISATIONS = 20
_PATIENCE = 200
_CLOSE = 1e-3
_SLOW = 1.9
_ABSORB_AT = {torch.float32: 1e10, torch.float64: 1e60}
# Sweeps between two questions of the host; on a CPU asking costs nothing.
_SWEEPS = {"cpu": 1, "cuda": 8}
_BLOCK_BYTES = {"cpu": 1 << 23, "cuda": 1 << 24}


class Exponents(Protocol):
    """Where the exponents of a batch come from."""

    def fill(self, out: Tensor, at: slice, rows: slice, f: Tensor, g: Tensor) -> None:
        """Write `M + f + g` of some starts and rows; f (b, n), g (b, m) in float64."""
        ...


class Weights(NamedTuple):
    """Weights p (n,) and q (m,)."""

    p: Side
    q: Side

    @classmethod
    def of(cls, p: Tensor, q: Tensor, dtype: torch.dtype) -> Weights:
        """From weights in float64."""
        return cls(Side.of(p, dtype), Side.of(q, dtype))


class Scaling(Slots):
    """Kernels, scalings and potentials of a batch."""

    def __init__(self, kernel: Tensor, weights: Weights, exponents: Exponents) -> None:
        b, n, m = kernel.shape
        device, self.dtype = kernel.device, kernel.dtype
        self.weights, self.exponents, self.passes = weights, exponents, kernels.chosen(device)
        self.kernel = kernel
        self.u, self.v = kernel.new_ones(b, n), kernel.new_ones(b, m)
        self.f = torch.zeros(b, n, dtype=torch.float64, device=device)
        self.g = torch.zeros(b, m, dtype=torch.float64, device=device)
        self.fresh = [True] * b
        self.relaxation = Relaxation(b, device)
        self.sums = torch.zeros_like(self.g)
        self.error, self.tol, self.omega, self.sweeps, self.stabilisations, self.patience = torch.ones(
            6, b, dtype=torch.float64, device=device
        ).unbind()
        self.ended, self.outcome = torch.zeros(2, b, dtype=torch.int64, device=device).unbind()
        self.max_sweeps = 0
        self._burst = graphs.Repeated(_SWEEPS[device.type], device)

    def take(self, index: Tensor) -> None:
        """Keep these starts; their kernels are formed anew."""
        kernel = self.kernel[: len(index)]
        del self.kernel
        super().take(index)
        self.kernel = kernel
        self.fresh = [self.fresh[i] for i in index.tolist()]
        self.relaxation.take(index)
        self._burst.forget()

    def load(self, slot: int, potentials: tuple[Tensor, Tensor] | None, factor: float) -> None:
        """Begin a start anew, from potentials of another epsilon times `factor`, or from none."""
        self.fresh[slot] = potentials is None
        self.relaxation.forget(slice(slot, slot + 1))
        self.f[slot] = 0
        self.g[slot] = 0
        if potentials is not None:
            for to, given, side in zip((self.f, self.g), potentials, self.weights, strict=True):
                to[slot] = side.barred((given * factor).nan_to_num(0.0, 0.0, 0.0).to(self.dtype))
        self.u[slot] = 1
        self.v[slot] = 1

    def potentials(self) -> tuple[Tensor, Tensor]:
        """With the scalings absorbed: `T = exp(M + f + g)`; -inf where a weight is 0."""
        return self.f + self.u.double().log(), self.g + self.v.double().log()

    def column_potentials(self) -> Tensor:
        """Of the columns alone, numbers wherever there is weight, whatever was going on when an interrupt came."""
        found = self.g + self.v.double().log()
        found = torch.where(found.isfinite(), found, self.g)
        return self.weights.q.barred(found.nan_to_num(0.0, 0.0, 0.0))

    def shift(self, by: Tensor, where: Tensor) -> None:
        """Move the potentials, of rows and then of columns (b, n + m), before the next projection; not where sweeps are slow."""
        by = by * (where & (self.relaxation.omega <= _SLOW))[:, None]
        self.f += by[:, : self.f.shape[1]]
        self.g += by[:, self.f.shape[1] :]

    def project(
        self, tol: Tensor, max_sweeps: int, mark: Callable[[str], None] = lambda _: None
    ) -> tuple[list[int], list[int], list[float]]:
        """Scale until the column marginals are within `tol` (b,) of q in L1; how each ended, its sweeps, and its error then.

        `mark` is told what is done next: "kernel" or "sweeps".
        """
        self.max_sweeps = max_sweeps
        self.tol.copy_(tol)
        self.error.fill_(torch.inf)
        self.omega.fill_(1)
        self.sweeps.fill_(1)
        self.patience.fill_(_PATIENCE)
        for x in (self.stabilisations, self.ended, self.outcome):
            x.zero_()
        self.relaxation.begin()
        self._begin()
        mark("sweeps")
        while True:
            ended, outcome = torch.stack([self.ended, self.outcome]).tolist()
            if RUNNING not in ended:
                break
            mended = False
            for slot, (end, how) in enumerate(zip(ended, outcome, strict=True)):
                if end == RUNNING and how != _GOOD:
                    at = slice(slot, slot + 1)
                    if how == _HARDLY_MOVING:
                        self._newton(at)
                    else:
                        self._mend(at, broken=how == _BROKEN)
                    mended = True
            if not mended:
                self._burst(self._sweep_once)
        return ended, [int(x) for x in self.sweeps.tolist()], self.error.tolist()

    def _begin(self) -> None:
        """First kernels and their sweeps."""
        fresh, self.fresh = self.fresh, [False] * len(self.fresh)
        if all(fresh):
            self._rebuild_centred(slice(0, len(fresh)))
            return
        self._rebuild(slice(0, len(fresh)))
        for slot, new in enumerate(fresh):
            if new:
                at = slice(slot, slot + 1)
                self.stabilisations[at] = 0
                # Nothing is known of it.
                self.g[at], self.v[at] = 0, 1
                self._rebuild_centred(at)

    def _mend(self, at: slice, *, broken: bool) -> None:
        self.sweeps[at] += 1
        self.omega[at] = 1
        if broken:
            self.relaxation.forget(at)
            self._rebuild_centred(at)
        else:
            self.relaxation.begin(at)
            self._rebuild(at)

    def _newton(self, at: slice) -> None:
        """A step of Newton's method, which counts as so many sweeps as it makes passes over the kernel."""
        kernel, u, v = self.kernel[at], self.u[at], self.v[at]
        newton = Newton(self.passes, kernel, self.weights, (u, v), self._blocks(1))
        passes, error = newton.step(float(self.error[at]), self.max_sweeps - int(self.sweeps[at]) - 1)
        self.sweeps[at] += passes
        # One that gained is followed by another.
        self.patience[at] = self.sweeps[at] + (0 if error is not None else _PATIENCE)
        if error is None:
            self.outcome[at] = _GOOD
            self.ended[at] = torch.where(self.sweeps[at] >= self.max_sweeps, MAX_SWEEPS, RUNNING)
        else:
            self._settle(at, v.clone(), self.error.new_tensor([error]))

    def _absorb(self, at: slice) -> None:
        """Move the scalings into the potentials, which stay numbers of the kernel's precision, so that it sees them exactly."""
        for potential, scaling in ((self.f[at], self.u[at]), (self.g[at], self.v[at])):
            moved = (potential + scaling.double().log()).to(self.dtype).double()
            potential.copy_(torch.where(scaling > 0, moved, potential))

    def _blocks(self, b: int) -> list[slice]:
        """Rows that stay in cache between two readings; in a batch all at once."""
        n, m = self.kernel.shape[1:]
        rows = n if b > 1 else max(16, _BLOCK_BYTES[self.kernel.device.type] // (m * self.kernel.element_size()))
        return [slice(start, min(n, start + rows)) for start in range(0, n, rows)]

    def _reset_columns(self, at: slice) -> None:
        # No row spends mass where there is no weight.
        self.v[at] = 1
        if self.weights.q.none is not None:
            self.v[at] *= ~self.weights.q.none

    def _rebuild(self, at: slice) -> None:
        """Form kernels with the present potentials, absorbed."""
        self._absorb(at)
        self._reset_columns(at)
        self._form(at)

    def _form(self, at: slice) -> None:
        """Form kernels; each block's first sweep runs while it is in cache."""
        kernel, f, g = self.kernel[at], self.f[at], self.g[at]
        self.sums[at] = 0
        for rows in self._blocks(len(kernel)):
            block = kernel[:, rows]
            self.exponents.fill(block, at, rows, f, g)
            self._first_sweep(block, at, rows)
        self._finish(at)

    def _rebuild_centred(self, at: slice) -> None:
        """Form kernels so that the largest entry of each row, and then of each column, is 1, and none underflows as a whole.

        A sweep in which the largest entry stands for the sum: what is known of the columns is kept.
        """
        kernel, f, g, p, q = self.kernel[at], self.f[at], self.g[at], self.weights.p, self.weights.q
        known = g + self.v[at].double().log()
        # A column without weight has no say: a row whose largest entry it held could be 0 wherever mass may go.
        known = q.barred(torch.where(known.isfinite(), known, g).to(self.dtype))
        self._reset_columns(at)
        top = torch.full_like(kernel[:, 0], -torch.inf)
        nothing = torch.zeros_like(f)
        for rows in self._blocks(len(kernel)):
            block = kernel[:, rows]
            self.exponents.fill(block, at, rows, nothing, known)
            shift = p.rows(rows).barred(-block.amax(2))
            f[:, rows] = shift.double()
            block += shift[:, :, None]
            torch.maximum(top, block.amax(1), out=top)
        g.copy_(q.barred(known - top))
        finite = p.finite(f) & q.finite(g)
        self._form(at)
        self.outcome[at] = torch.where(finite, self.outcome[at], _BROKEN)

    def _first_sweep(self, block: Tensor, at: slice, rows: slice) -> None:
        one = torch.ones_like(self.u[at, :1])
        self.passes.first_sweep(
            block, self.weights.p.rows(rows), self.u[at, rows], self.v[at], one, one > 0, self.sums[at]
        )

    def _sweep_once(self) -> None:
        """One sweep of those that run, decided and judged on the device."""
        active = (self.ended == RUNNING) & (self.outcome == _GOOD)
        self.sweeps += active
        last = self.sweeps >= self.max_sweeps
        # The last sweep is a plain one, after which the row sums are exact.
        omega = self.relaxation.next(self.error, self.tol, active & ~last).masked_fill(last, 1.0)
        self.omega.copy_(torch.where(active, omega, self.omega))
        self.sums.zero_()
        real, mine = self.omega.to(self.dtype)[:, None], active[:, None]
        row_error = torch.zeros_like(self.error)
        blocks = [slice(0, self.kernel.shape[1])] if self.passes is not kernels else self._blocks(len(self.kernel))
        for rows in blocks:
            row_error += self.passes.sweep_rows(
                self.kernel[:, rows], self.weights.p.rows(rows), self.u[:, rows], self.v, real, mine, self.sums
            )
        self._finish(slice(0, len(self.kernel)), row_error, active)

    def _finish(self, at: slice, row_error: Tensor | None = None, active: Tensor | None = None) -> None:
        """Marginal error and new column scalings; then what became of the start."""
        q, v, sums, omega = self.weights.q, self.v[at], self.sums[at], self.omega[at]
        wide = v.double()
        error = (sums * wide).sub_(q.exact).abs_().sum(1)
        if row_error is not None:
            error = error + row_error
        new = kernels.rescaled(q.exact, q.none, wide, sums, omega[:, None]).to(self.dtype)
        self._settle(at, new, error, active)

    def _settle(self, at: slice, new: Tensor, error: Tensor, active: Tensor | None = None) -> None:
        """Take these column scalings and errors where `active`; whether all is in range, and whether a start has ended."""
        v, sweeps = self.v[at], self.sweeps[at]
        outcome = self._judged(self.u[at], new, error)
        good, broken = outcome == _GOOD, outcome == _BROKEN
        stabilisations = self.stabilisations[at] + broken
        exact = good & (self.omega[at] == 1)
        hardly = exact & (error < _CLOSE) & (sweeps >= self.patience[at]) & (sweeps + 1 < self.max_sweeps)
        outcome = outcome.masked_fill(hardly, _HARDLY_MOVING)
        ended = torch.zeros_like(outcome)
        # Scalings that are stretched again and again are still numbers.
        late = sweeps > self.max_sweeps + _MAX_STABILISATIONS
        ended.masked_fill_(late, MAX_SWEEPS).masked_fill_(late & broken, NUMERICAL_ERROR)
        ended.masked_fill_(exact & (sweeps >= self.max_sweeps), MAX_SWEEPS)
        ended.masked_fill_(stabilisations > _MAX_STABILISATIONS, NUMERICAL_ERROR)
        ended.masked_fill_(exact & (error <= self.tol[at]), CONVERGED)
        error = torch.where(broken, self.error[at], error)
        for to, value in (
            (v, new),
            (self.error[at], error),
            (self.outcome[at], outcome),
            (self.stabilisations[at], stabilisations),
            (self.ended[at], ended),
        ):
            if active is not None:
                value = torch.where(active[:, None] if value.ndim == 2 else active, value, to)  # noqa: PLW2901
            to.copy_(value)

    def _judged(self, u: Tensor, v: Tensor, error: Tensor) -> Tensor:
        limit = _ABSORB_AT[self.dtype]
        whole, stretched = error.isfinite(), torch.zeros_like(error, dtype=torch.bool)
        for x, some in ((u, self.weights.p.some), (v, self.weights.q.some)):
            low, high = torch.aminmax(x if some is None else x[:, some], dim=1)
            low, high = low.double(), high.double()
            # Not where one is NaN.
            whole = whole & (low > 0) & (high < torch.inf)
            stretched = stretched | (high > limit * low) | (high > limit * limit)
        return torch.where(whole, stretched.long() * _STRETCHED, _BROKEN)
