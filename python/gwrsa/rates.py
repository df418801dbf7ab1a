"""Rates by the number of targets that an item may name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Rates(dict[int, float]):
    """Rates by k: a dict that says, asked for another k, which there are, or why there are none."""

    def __init__(self, rates: Mapping[int, float] | Iterable[tuple[int, float]] = (), none: str = "") -> None:
        super().__init__(rates)
        self._none = none

    def __missing__(self, k: object) -> float:
        if not self:
            raise KeyError(f"there are no rates, got k = {k!r}: {self._none}")
        raise KeyError(
            f"k must be one of {', '.join(map(str, self))}, got {k!r}; others are counted from the plan, "
            "by gwrsa.matching_rate and gwrsa.category_matching_rate"
        )


def explained(of: object) -> None:
    """Make `matching` and `category` of a frozen result into `Rates`."""
    for name, none in _NONE.items():
        object.__setattr__(of, name, Rates(getattr(of, name), none))


_NONE = {
    "matching": "they need the same objects on both sides, in an alignment; with others, select those that both have",
    "category": "they need categories, given to gwrsa.align",
}
