"""Whether two sides hold the same objects in the same order; where they do not, how they differ."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gwrsa.embedding import Embedding
    from gwrsa.rdm import RDM


def check_same_items(a: RDM | Embedding, b: RDM | Embedding) -> None:
    """Two labelled sets of objects must have the same labels in the same order; without labels, the same number.

    Warns
    -----
    UserWarning
        If only one of them has labels: they are matched by position.

    Raises
    ------
    ValueError
        That says how they differ, and what to do.
    """
    check_same_labels((a.name, b.name), (a.items, b.items), (len(a), len(b)))
    if (a.items is None) != (b.items is None):
        labelled, bare = (b, a) if a.items is None else (a, b)
        warnings.warn(
            f"{labelled.name!r} has labels and {bare.name!r} has none: their {len(a)} rows are matched by position",
            stacklevel=3,
        )


def check_same_labels(
    names: tuple[str, str], labels: tuple[tuple[str, ...] | None, tuple[str, ...] | None], sizes: tuple[int, int]
) -> None:
    """`check_same_items` of two sets of objects given by their names, labels and sizes."""
    (a, b), (a_items, b_items) = names, labels
    if sizes[0] != sizes[1]:
        raise ValueError(f"{a!r} and {b!r} must hold the same objects, got {sizes[0]} and {sizes[1]}")
    if a_items is None or b_items is None or a_items == b_items:
        return
    first = next(i for i, (x, y) in enumerate(zip(a_items, b_items, strict=True)) if x != y)
    there = set(b_items)
    if set(a_items) == there:
        moved = sum(x != y for x, y in zip(a_items, b_items, strict=True))
        raise ValueError(
            f"{a!r} and {b!r} hold the same {sizes[0]} objects in another order: {moved} rows differ, first "
            f"row {first} ({a_items[first]!r} against {b_items[first]!r}); reorder the rows of one, in Python by b.select(a.items)"
        )
    missing = [x for x in a_items if x not in there]
    raise ValueError(
        f"{a!r} and {b!r} must hold the same objects, but {len(missing)} labels of the first are not in the "
        f"second, such as {missing[0]!r}; select the labels they share"
    )
