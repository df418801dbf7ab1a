"""How far a Sinkhorn sweep overshoots: the core's `relaxation`, for each start of a batch on the device, without a word to the host.

Young's theory of successive over-relaxation: from the rate lambda of sweeps at omega follows the largest coupling
`mu^2 = (lambda + omega - 1)^2 / (lambda omega^2)`, and from it the best `omega = 2 / (1 + sqrt(1 - mu^2))`. Thibault, Chizat, Dossal &
Papadakis (2021), https://doi.org/10.3390/a14050143.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gwrsa.backends.torch.kernels import perhaps
from gwrsa.backends.torch.slots import Slots

_WINDOW = 6
_FAST = 0.7
_HIGHEST = 1.985


class Relaxation(Slots):
    """Omega of each start, and what the rate of its sweeps is measured from: errors of plain sweeps alone."""

    def __init__(self, b: int, device: torch.device) -> None:
        self.omega = torch.ones(b, dtype=torch.float64, device=device)
        # Error at the last plain sweep that a rate is measured from, and sweeps since; -1: there is none.
        self.first = torch.ones_like(self.omega)
        self.count = torch.full_like(self.omega, -1.0)
        self.plain = torch.ones(b, dtype=torch.bool, device=device)

    def begin(self, at: slice = slice(None)) -> None:
        """At the start of a projection, whose first sweep is a plain one; what was learnt in the last one stays."""
        self.count[at] = -1
        self.plain[at] = True

    def forget(self, at: slice) -> None:
        """Plain sweeps again."""
        self.omega[at] = 1
        self.begin(at)

    def next(self, error: Tensor, tol: Tensor, active: Tensor) -> Tensor:
        """Omega of the next sweep (b,), from the marginal error before it; below the tolerance a plain sweep has to confirm it."""
        none = self.count < 0
        first = torch.where(none, error, self.first)
        count = torch.where(none, 0.0, self.count + 1)
        overshot = error > 100 * first
        window = torch.where(self.omega > 1, (4 / (2 - self.omega)).ceil(), _WINDOW)
        measured = self.plain & (count >= window) & ~overshot
        omega = self.omega.masked_fill(overshot, 1.0)
        if perhaps(measured):
            rate = (error / first).pow(1 / count.clamp(min=1))
            omega = torch.where(measured, adapted(self.omega, rate), omega)
        due = (count + 1 >= window) | (error <= tol)
        plain = (omega == 1) | (~self.plain & due)
        first = torch.where(measured, error, first)
        count = count.masked_fill(measured, 0.0).masked_fill(overshot, -1.0)
        for mine, new in ((self.first, first), (self.count, count), (self.omega, omega), (self.plain, plain)):
            mine.copy_(torch.where(active, new, mine))
        return omega.masked_fill(plain, 1.0)


def adapted(omega: Tensor, rate: Tensor) -> Tensor:
    """Omega after sweeps at `omega` that converged at `rate`."""
    asymptotic = omega - 1
    coupling = ((rate + asymptotic) ** 2 / (rate * omega * omega)).clamp(max=1)
    best = 2 / (1 + (1 - coupling).sqrt())
    # A rate seen too early looks slower than it is: at most halve the distance to 2 at once.
    bound = torch.where(omega == 1, _HIGHEST, 2 - 0.5 * (2 - omega)).clamp(max=_HIGHEST)
    better = torch.minimum(torch.maximum(best, omega), bound)
    stays = ((omega == 1) & (rate < _FAST)) | (rate < asymptotic + 0.1 * (2 - omega))
    return torch.where(rate >= 1, 1 + 0.5 * asymptotic, torch.where(stays, omega, better))
