"""Anderson acceleration of the outer loop near its end: the core's `anderson` for a batch.

Walker & Ni (2011), https://doi.org/10.1137/10078356X.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gwrsa.backends.torch.combination import closest_combination
from gwrsa.backends.torch.slots import Slots

DEPTH = 8
"""Steps that are combined, at most."""
_MAX_HISTORY = 1 << 29
_BEGIN = 1e-2
_CLOSER = 0.3
_TOLERATED = 2.0
_PATIENCE = 10
_FALLEN = 0.7
_RIDGE = {torch.float32: 1e-5, torch.float64: 1e-12}


def depth(entries: int, size: int) -> int:
    """Steps that are combined of vectors of so many numbers of `size` bytes, so that the history keeps within 512 MiB a start."""
    return min(DEPTH, _MAX_HISTORY // max(1, 2 * entries * size))


class Anderson(Slots):
    """The last steps of each start, and the combination of them with the least residual."""

    def __init__(self, x: Tensor) -> None:
        b, entries = len(x), x[0].numel()
        self.depth = depth(entries, x.element_size())
        # Differences of residuals g(x) - x, and of images g(x), of successive steps; the oldest is overwritten by the next.
        self.by, self.moved = x.new_zeros(2, b, self.depth, entries).unbind()
        self.residual, self.image = x.new_zeros(2, b, entries).unbind()
        self.gram = torch.zeros(b, self.depth, self.depth, dtype=torch.float64, device=x.device)
        self.steps = [-1] * b
        self.least = [math.inf] * b
        self.mark = [math.inf] * b
        self.since = [0] * b
        self.begin = [_BEGIN] * b

    def take(self, index: Tensor) -> None:
        """Keep these starts."""
        super().take(index)
        for name in ("steps", "least", "mark", "since", "begin"):
            old = getattr(self, name)
            setattr(self, name, [old[i] for i in index.tolist()])

    def clear(self, slot: int) -> None:
        """Before another fixed point."""
        self.begin[slot] = _BEGIN
        self._forget(slot)

    def _forget(self, slot: int) -> None:
        self.steps[slot], self.least[slot] = -1, math.inf
        self.mark[slot], self.since[slot] = math.inf, 0

    def takes(self, slot: int, change: float) -> bool:
        """Whether an iterate whose image is at the relative distance `change` is near the end.

        What is known is forgotten when not, also when the change has grown, or no longer falls.
        """
        if change < _FALLEN * self.mark[slot]:
            self.mark[slot], self.since[slot] = change, 0
        else:
            self.since[slot] += 1
        stuck = self.since[slot] >= _PATIENCE
        away = change > min(self.begin[slot], _TOLERATED * self.least[slot])
        if self.depth == 0 or stuck or away:
            if math.isfinite(self.least[slot]):
                self.begin[slot] = _CLOSER * self.least[slot]
            self._forget(slot)
            return False
        self.least[slot] = min(self.least[slot], change)
        return True

    def advance(self, x: Tensor, g: Tensor, slots: list[int]) -> Tensor:
        """The next iterates of these slots, from x (b, r, m) and their images g; of the others g."""
        b, device, chosen = len(x), x.device, set(slots)
        known = [0] * b
        for slot in slots:
            self.steps[slot] += 1
            known[slot] = min(self.steps[slot], self.depth)
        mine = torch.tensor([slot in chosen for slot in range(b)], device=device)[:, None]
        at = torch.tensor([max(step - 1, 0) % self.depth for step in self.steps], device=device)
        counted = torch.tensor([[k < known_ for k in range(self.depth)] for known_ in known], device=device)
        each = torch.arange(b, device=device)
        image = g.flatten(1)
        now = image - x.flatten(1)
        out = g
        if any(known):
            moves = counted.any(1, keepdim=True)
            self.by[each, at] = torch.where(moves, now - self.residual, self.by[each, at])
            self.moved[each, at] = torch.where(moves, image - self.image, self.moved[each, at])
            products = torch.bmm(self.by, self.by[each, at][:, :, None])[:, :, 0].double() * counted
            self.gram[each, at] = products = torch.where(moves, products, self.gram[each, at])
            self.gram[each, :, at] = products
            # What is not known counts for nothing, also when it was known before the history was dropped.
            gram = self.gram * (counted[:, :, None] & counted[:, None])
            towards = torch.bmm(self.by, now[:, :, None])[:, :, 0].double() * counted
            weights = closest_combination(gram, towards, _RIDGE[x.dtype]) * counted
            out = g - torch.bmm(weights.to(x.dtype)[:, None], self.moved).view(g.shape)
        self.residual = torch.where(mine, now, self.residual)
        self.image = torch.where(mine, image, self.image)
        return out
