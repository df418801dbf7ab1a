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
    """Omega of each start, and the window in which the rate is measured."""

    def __init__(self, b: int, device: torch.device) -> None:
        self.omega = torch.ones(b, dtype=torch.float64, device=device)
        self.first = torch.ones_like(self.omega)
        # Sweeps in the window; -1: there is none.
        self.count = torch.full((b,), -1.0, dtype=torch.float64, device=device)

    def begin(self, at: slice = slice(None)) -> None:
        """At the start of a projection; what was learnt in the last one stays."""
        self.count[at] = -1

    def forget(self, at: slice) -> None:
        """Plain sweeps again."""
        self.omega[at] = 1
        self.count[at] = -1

    def next(self, error: Tensor, tol: Tensor, active: Tensor) -> Tensor:
        """Omega of the next sweep (b,), from the marginal error before it; below the tolerance a plain sweep has to confirm it."""
        small = error <= tol
        none = self.count < 0
        first = torch.where(self.count == 0, error, self.first)
        count = self.count + 1
        overshot = ~none & (error > 100 * first)
        length = torch.where(self.omega > 1, (4 / (2 - self.omega)).ceil(), _WINDOW)
        full = ~none & ~overshot & (count > length)
        omega = self.omega.masked_fill(overshot, 1.0)
        if perhaps(full):
            rate = (error / first).pow(1 / (count - 1).clamp(min=1))
            omega = torch.where(full, adapted(self.omega, rate), omega)
        # A window begins with the first sweep at its omega, whose error is not comparable with those before.
        count = count.masked_fill(full | overshot | none, 0.0).masked_fill(small, -1.0)
        self.first.copy_(torch.where(active, first, self.first))
        self.count.copy_(torch.where(active, count, self.count))
        self.omega.copy_(torch.where(active & ~small, omega, self.omega))
        return self.omega.masked_fill(small, 1.0)


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
