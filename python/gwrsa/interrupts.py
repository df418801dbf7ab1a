"""Ctrl-C, and what was found before it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gwrsa.alignment import Alignment
    from gwrsa.solution import GWSolution


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in `align` or `entropic_gw`: a KeyboardInterrupt that holds what was found until then.

    In a notebook where nothing caught it, it is `sys.last_value`.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=60, n_categories=6)
    >>> try:
    ...     found = gwrsa.align(made_up.human, made_up.models[0], progress=False)
    ... except gwrsa.Interrupted as stop:
    ...     found = stop.found
    >>> len(found.starts)
    8
    """

    def __init__(self, find: Callable[[], Alignment | GWSolution]) -> None:
        super().__init__("what was found until then is in the attribute `found` of this exception")
        self._find = find

    @cached_property
    def found(self) -> Alignment | GWSolution:
        """What the call would have returned, as far as it came; evaluated when asked for.

        Of `align`: starts that had ended are as they are; those on their way have the status "interrupted" and their last plan; those
        not begun the same status and no plan. Of `entropic_gw`: the last plan, with the status "interrupted".
        """
        return self._find()
