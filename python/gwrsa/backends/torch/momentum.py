"""Momentum of the outer loop on its way, far from its end: the core's `momentum` for a batch.

While steps go where the last one went, each begins farther along the way, by a share of the move from the last image to this one that
grows with their number (Nesterov 1983); a turn takes it away.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gwrsa.backends.torch.combination import sample
from gwrsa.backends.torch.slots import Slots

_STRAIGHT = 0.8
_FORMING = 0.3


class Momentum(Slots):
    """Remembers the last step of each start and its image."""

    def __init__(self, x: Tensor) -> None:
        self.last = torch.zeros_like(sample(x))
        self.image = torch.zeros_like(x)
        # Whether there was one, and how many steps went where the one before them went, without a turn.
        self.known = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.straight = torch.zeros(len(x), dtype=torch.int64, device=x.device)

    def clear(self, where: Tensor) -> None:
        """Before another way."""
        self.known &= ~where

    def advance(self, x: Tensor, g: Tensor, change: Tensor, where: Tensor) -> Tensor:
        """From x (b, r, m) and its image g at the relative distance `change` (b,), the next iterate."""
        step = sample(g) - sample(x)

        def inner(a: Tensor, b: Tensor) -> Tensor:
            return torch.bmm(a[:, None], b[:, :, None])[:, 0, 0].double()

        goes_on = inner(step, self.last) > _STRAIGHT * (inner(step, step) * inner(self.last, self.last)).sqrt()
        goes_on &= where & self.known & (change < _FORMING)
        self.straight = torch.where(where, torch.where(goes_on, self.straight + 1, 0), self.straight)
        straight = self.straight.double()
        share = (straight / (straight + 3)).to(g.dtype)[:, None, None]
        new = torch.where(goes_on[:, None, None], g + share * (g - self.image), g)
        self.known |= where
        self.last = torch.where(where[:, None], step, self.last)
        self.image = torch.where(where[:, None, None], g, self.image)
        return new
