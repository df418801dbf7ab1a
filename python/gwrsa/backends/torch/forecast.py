"""Where the potentials of the next outer step will be: the core's `forecast` for a batch.

They are a smooth function of the plan's summary. How the two moved together in the last steps tells, to first order, how the potentials
move when the summary moves on; sweeps that begin there have less left to mend.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gwrsa.backends.torch.combination import closest_combination, sample
from gwrsa.backends.torch.slots import Slots

_DEPTH = 2
_RIDGE = 1e-4


class Forecast(Slots):
    """The last outer steps of each start at one epsilon."""

    def __init__(self, x: Tensor, n_potentials: int) -> None:
        b, entries = len(x), sample(x).shape[1]
        self.x = x.new_zeros(b, entries)
        self.potentials = torch.zeros(b, n_potentials, dtype=torch.float64, device=x.device)
        # How both moved in the last steps.
        self.by = x.new_zeros(b, _DEPTH, entries)
        self.moved = self.potentials.new_zeros(b, _DEPTH, n_potentials)
        # Steps that were learnt from.
        self.steps = [0] * b

    def take(self, index: Tensor) -> None:
        """Keep these starts."""
        super().take(index)
        self.steps = [self.steps[i] for i in index.tolist()]

    def clear(self, slot: int) -> None:
        """Before another epsilon."""
        self.steps[slot] = 0
        self.by[slot] = 0
        self.moved[slot] = 0

    def learn(self, x: Tensor, potentials: tuple[Tensor, Tensor]) -> None:
        """With the summaries x (b, r, m) the potentials were found to be (f, g)."""
        now = torch.cat(potentials, 1)
        # An item without weight has no potential.
        now = torch.where(now.isfinite(), now, 0.0)
        here = sample(x)
        by, moved = here - self.x, now - self.potentials
        if len(set(self.steps)) == 1:
            at = self.steps[0]
            if at > 0:
                self.by[:, at % _DEPTH], self.moved[:, at % _DEPTH] = by, moved
        else:
            for slot, at in enumerate(self.steps):
                if at > 0:
                    self.by[slot, at % _DEPTH], self.moved[slot, at % _DEPTH] = by[slot], moved[slot]
        self.x, self.potentials = here.clone(), now
        self.steps = [at + 1 for at in self.steps]

    def shift(self, x: Tensor) -> Tensor:
        """How far the potentials (b, n + m) will move from the last step to the summaries x; 0 while nothing is known."""
        ahead = sample(x) - self.x
        gram = torch.bmm(self.by, self.by.transpose(1, 2)).double()
        products = torch.bmm(self.by, ahead[:, :, None])[:, :, 0].double()
        weights = closest_combination(gram, products, _RIDGE)
        shift = torch.bmm(weights[:, None], self.moved)[:, 0]
        return torch.where(shift.isfinite().all(1, keepdim=True), shift, 0.0)
