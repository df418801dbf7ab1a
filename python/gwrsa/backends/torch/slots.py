"""Tensors of which each row along the first axis belongs to one start of a batch."""

from __future__ import annotations

from torch import Tensor


class Slots:
    """A part of a batch: every tensor among its attributes has one row a start."""

    def take(self, index: Tensor) -> None:
        """Keep these starts, in this order."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[index])
