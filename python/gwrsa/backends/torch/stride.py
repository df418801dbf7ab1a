"""Longer steps of the outer loop on its way, far from its end: the core's `stride` for a batch.

Where the way is straight, a plain step is followed by one that goes `1 + LONGER` times as far; two-step Richardson iteration, which
amplifies nothing that a plain step contracts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gwrsa.backends.torch.combination import sample
from gwrsa.backends.torch.slots import Slots

_LONGER = 4.0
_STRAIGHT = 0.8
_FORMING = 0.3


class Stride(Slots):
    """Remembers the last step of each start."""

    def __init__(self, x: Tensor) -> None:
        self.last = torch.zeros_like(sample(x))
        # Whether there was one, and whether it was a plain one.
        self.known = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.plain = torch.ones_like(self.known)

    def clear(self, where: Tensor) -> None:
        """Before another way."""
        self.known &= ~where
        self.plain |= where

    def advance(self, x: Tensor, g: Tensor, change: Tensor, where: Tensor) -> Tensor:
        """From x (b, r, m) and its image g at the relative distance `change` (b,), the next iterate."""
        step = sample(g) - sample(x)

        def inner(a: Tensor, b: Tensor) -> Tensor:
            return torch.bmm(a[:, None], b[:, :, None])[:, 0, 0].double()

        goes_on = inner(step, self.last) > _STRAIGHT * (inner(step, step) * inner(self.last, self.last)).sqrt()
        long = where & self.plain & self.known & goes_on & (change < _FORMING)
        self.plain = torch.where(where, ~long, self.plain)
        self.known |= where
        self.last = torch.where(where[:, None], step, self.last)
        return g + (_LONGER * long.to(g.dtype))[:, None, None] * (g - x)
