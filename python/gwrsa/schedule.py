"""Which starts an alignment makes, and the ladder of epsilon each goes down."""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from gwrsa import _validate as check

STEP = 0.85
"""Ratio of neighbouring values of epsilon."""
LEVEL_TOL = 1e-2
"""Relative change at which a value of epsilon before the last is left."""
LEVEL_MAX_OUTER = 25
"""Most outer steps at a value of epsilon before the last."""

# (first plan, sign pattern, top of the ladder in units of the highest top). Annealing from above the critical epsilon would forget the
# start; from half of it down each of these leads to another basin, and which is best differs from pair to pair.
_PORTFOLIO: tuple[tuple[str, int | None, float], ...] = (
    ("spectral", 0, 1.0),
    ("profile", 0, 1.0),
    ("spectral", 1, 1.0),
    ("profile", 0, 0.4),
    ("cocluster", None, 0.4),
    ("spectral", 0, 0.16),
    ("spectral", 1, 0.16),
    ("random", None, 1.0),
)
_HIGHEST = 0.5
_MOST_LEVELS = 991  # 0.85^991 = 1e-70
_DEFAULT_END = 0.1
_DEFAULT_RANGE = (0.05, 0.5)
_DEFAULT_STARTS = {"anneal": 8, "multistart": 20}


@dataclass(frozen=True)
class Planned:
    """A start that is to be made."""

    name: str
    """Name of the first plan."""
    seed: int
    number: int
    """With the seed, the stream of its random draws; for a spectral start the sign pattern, for a profile 0."""
    epsilons: list[float]
    """Absolute, falling; the last is solved to the tolerance."""

    @property
    def init(self) -> tuple[str, int, int]:
        """As a backend takes it."""
        return self.name, self.seed, self.number

    @property
    def label(self) -> str:
        """As the table shows it: a spectral start with the signs of its three axes."""
        if self.name != "spectral":
            return self.name
        return "spectral" + "".join("-" if self.number >> axis & 1 else "+" for axis in range(3))


def number_of_starts(search: str, n_starts: int | None) -> int:
    """`n_starts` of `gwrsa.align`, where it is None the default of the search."""
    return _DEFAULT_STARTS[search] if n_starts is None else check.starts("n_starts", n_starts)


def plan(
    search: str,
    epsilon: Any,  # noqa: ANN401
    n_starts: int | None,
    seed: int,
    *,
    critical: float,
    absolute: bool,
) -> list[Planned]:
    """The starts of `gwrsa.align`, whose arguments these are; `critical` is the pair's critical epsilon."""
    n = number_of_starts(search, n_starts)
    if check.flag("absolute", absolute) and epsilon is None:
        raise ValueError("epsilon must be given with absolute=True, got None")
    if not math.isfinite(critical):
        raise ValueError(
            "source and target must have dissimilarities whose products, squared and summed, are in the range of float64, "
            f"got a critical epsilon of {critical}; divide them by their largest"
        )
    if not absolute and critical <= 0:
        raise ValueError(
            "epsilon has no scale for this pair: the critical epsilon is 0, as one side's dissimilarities are all equal, or as "
            "they are too small for float64; give epsilon with absolute=True, or divide them by their largest"
        )
    unit = 1.0 if absolute else critical
    low, high = _bounds(search, epsilon)
    if 0 < critical < low * unit:
        limit = f"{critical:.4g}" if absolute else "which is the unit"
        warnings.warn(
            f"epsilon {low:.4g} is above the critical epsilon of this pair, {limit}, where the uniform plan is stable: plans are "
            "then near it, and rates near chance",
            stacklevel=3,
        )
    if search == "multistart":
        values = [unit * _draw(low, high, seed, i) for i in range(n)]
        return [Planned("random", seed, i, [value]) for i, value in enumerate(values)]
    end = low * unit
    top = _HIGHEST * critical if high is None else high * unit
    # Tops below the end all mean a solve at the end alone; what would then be made twice is made once.
    distinct: dict[tuple[str, int, int], Planned] = {}
    i = 0
    while len(distinct) < n:
        name, pattern, share = _PORTFOLIO[i] if i < len(_PORTFOLIO) else _further(i)
        start = Planned(name, seed, i if pattern is None else pattern, ladder(share * top, end))
        distinct.setdefault((start.name, start.number, len(start.epsilons)), start)
        i += 1
    return list(distinct.values())


def ladder(top: float, end: float) -> list[float]:
    """Falling by `STEP` to `end`, which is the last; only `end` when the top is not above it.

    It is built upwards from the end, to the last value not above `top` by rounding, so that all ladders with one end share their values.
    """
    top = min(top, sys.float_info.max)
    if top <= end:
        return [end]
    # A share of the critical epsilon can be too small to be a number.
    n_levels = math.floor((math.log(top) - math.log(end)) / -math.log(STEP) + 1e-9) if end > 0 else _MOST_LEVELS + 1
    if n_levels > _MOST_LEVELS:
        raise ValueError(f"epsilon must be above 1e-70 of the top of its ladder, {top:g}, got {end:g}")
    return [end / STEP**level for level in range(n_levels, -1, -1)]


def _further(i: int) -> tuple[str, int | None, float]:
    """Starts beyond the portfolio: random ones, and the other sign patterns, from every height."""
    name, height = ("permutation", "spectral", "random")[i % 3], (1.0, 0.4, 0.16)[i // 3 % 3]
    return name, i // 3 % 8 if name == "spectral" else None, height


def _bounds(search: str, epsilon: Any) -> tuple[float, float | None]:  # noqa: ANN401
    if epsilon is None:
        return (_DEFAULT_END, None) if search == "anneal" else _DEFAULT_RANGE
    if isinstance(epsilon, (tuple, list)):
        if len(epsilon) != 2:
            raise ValueError(f"epsilon must be a number or (low, high), got {epsilon!r}")
        low, high = (check.positive("epsilon", e) for e in epsilon)
        if low > high:
            raise ValueError(f"epsilon must be (low, high) with low <= high, got {epsilon!r}")
        return low, high
    value = check.positive("epsilon", epsilon)
    return value, None if search == "anneal" else value


def _draw(low: float, high: float | None, seed: int, i: int) -> float:
    if high is None or low == high:
        return low
    share = np.random.default_rng([seed, i]).uniform()
    return float(low * (high / low) ** share)
