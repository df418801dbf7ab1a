"""Starts that come down a schedule of epsilon together: the core's `search`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gwrsa.backends.torch.descent import Level, State

if TYPE_CHECKING:
    from gwrsa.backends import RawSolution

# As in the core, where they are explained.
_NEARLY = 5e-4
_SAME_BASIN = 0.05
_OUT_OF_REACH = 1.03
_LOSS_NOISE = 1e-6
_UNDECIDED = 1e-2


@dataclass
class Runner:
    """A start in a search."""

    number: int
    state: State
    levels: list[Level]
    at: int = 0
    """Levels behind it."""
    merged_into: int | None = None
    stopped_by: int | None = None

    @property
    def ahead(self) -> list[Level]:
        """Levels to come."""
        return self.levels[self.at :]

    @property
    def runs(self) -> bool:
        """It has levels to come, and goes its own way."""
        return self.merged_into is None and self.stopped_by is None and bool(self.ahead)

    @property
    def waits(self) -> bool:
        """It stands still at the end of a level, with others to come."""
        return self.runs and self.at > 0 and self.state.status == "converged"


def levels(epsilons: list[float], rough: Level, exact: Level) -> list[Level]:
    """The levels of a start; the last epsilon is solved loosely first, to be compared with the other starts."""
    *before, end = epsilons
    nearly = replace(exact, tol=max(_NEARLY, exact.tol), epsilon=end)
    return [replace(rough, epsilon=e) for e in before] + [nearly, replace(exact, epsilon=end)]


def merge(runners: list[Runner], uniform: Tensor, scale: float) -> None:
    """Merge those that wait at the same place into the first of each basin; `scale` is that of the summary, 0 for a dense source."""
    for later in runners[1:]:
        if not later.waits:
            continue
        # The level behind them counts too: it is where they are.
        same = [r for r in runners[: later.number] if r.waits and r.levels[r.at - 1 :] == later.levels[later.at - 1 :]]
        if not same:
            continue
        there = torch.stack([r.state.x for r in same])
        apart, from_uniform, norm = torch.stack(
            [_squares(there - later.state.x), _squares(there - uniform), _squares(there)]
        ).tolist()
        for first, distance, far, length in zip(same, apart, from_uniform, norm, strict=True):
            # Close to the uniform plan nothing is decided yet.
            if far > _UNDECIDED**2 * max(length, scale**2) and distance < _SAME_BASIN**2 * far:
                # Those that were merged into it before come along.
                for r in runners:
                    if later.number in (r.number, r.merged_into):
                        r.merged_into = first.number
                break


def stop(runners: list[Runner], end_of: Callable[[State], RawSolution], constant: float) -> None:
    """Stop those that stand still at the last epsilon, loosely solved, with a loss out of reach of the best there, by objective."""
    waiting = [r for r in runners if r.waits]
    if len(waiting) < 2:
        return
    ends = {r.number: end_of(r.state) for r in waiting}
    for r in waiting:
        end = ends[r.number]
        rivals = [number for number, other in ends.items() if other.epsilon == end.epsilon]
        best = min(rivals, key=lambda number: ends[number].objective)
        # Below that, losses of plans that are as good differ by rounding.
        if end.gw_loss > _OUT_OF_REACH * ends[best].gw_loss + _LOSS_NOISE * constant:
            r.stopped_by = best
            r.state.status = "stopped"


def _squares(x: Tensor) -> Tensor:
    """Sums of squares of matrices, in float64."""
    norm: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1, dtype=torch.float64)
    return norm.square()
