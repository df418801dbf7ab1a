"""Whether two sides hold the same objects in the same order; where they do not, how they differ."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gwrsa.embedding import Embedding
    from gwrsa.rdm import RDM


Labels: TypeAlias = "tuple[str, ...] | None"


def check_same_items(a: RDM | Embedding, b: RDM | Embedding, arguments: tuple[str, str] = ("a", "b")) -> None:
    """Two labelled sets of objects must have the same labels in the same order; without labels, the same number.

    Messages call them by their names, or where these are the same, by `arguments`, those that the caller got them as.

    Warns
    -----
    UserWarning
        If only one of them has labels: they are matched by position.

    Raises
    ------
    ValueError
        That says how they differ, and what to do.
    """
    check_same_labels((a.name, b.name), (a.items, b.items), (len(a), len(b)), arguments)
    if (a.items is None) != (b.items is None):
        bare, labelled = _told((a.name, b.name), arguments)[:: 1 if a.items is None else -1]
        warnings.warn(
            f"{labelled} has labels and {bare} has none: their {len(a)} rows are matched by position",
            stacklevel=3,
        )


def check_same_labels(
    names: tuple[str, str],
    labels: tuple[Labels, Labels],
    sizes: tuple[int, int],
    arguments: tuple[str, str] = ("a", "b"),
) -> None:
    """`check_same_items` of two sets of objects given by their names, labels and sizes."""
    (a, b), (a_items, b_items) = _told(names, arguments), labels
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{a} and {b} must hold the same objects, got {sizes[0]} and {sizes[1]}{how_to_share(labels, arguments)}"
        )
    if a_items is None or b_items is None or a_items == b_items:
        return
    first = next(i for i, (x, y) in enumerate(zip(a_items, b_items, strict=True)) if x != y)
    there = set(b_items)
    if set(a_items) == there:
        moved = sum(x != y for x, y in zip(a_items, b_items, strict=True))
        raise ValueError(
            f"{a} and {b} hold the same {sizes[0]} objects in another order: {moved} rows differ, first "
            f"row {first} ({a_items[first]!r} against {b_items[first]!r}); reorder the rows of one, in its file or in Python by "
            f"{arguments[1]}.select({arguments[0]}.items)"
        )
    missing = [x for x in a_items if x not in there]
    raise ValueError(
        f"{a} and {b} must hold the same objects, but {len(missing)} labels of the first are not in the "
        f"second, such as {missing[0]!r}{how_to_share(labels, arguments)}"
    )


def warn_of_shared(source: RDM | Embedding, target: RDM | Embedding) -> None:
    """Of two sides that differ in number: matching rates could be had of the objects that both hold."""
    if set(source.items or ()) & set(target.items or ()):
        shared = how_to_share((source.items, target.items), ("source", "target"))
        warnings.warn(
            f"source and target hold {len(source)} and {len(target)} objects, so that there are no matching rates{shared}",
            stacklevel=3,
        )


def how_to_share(labels: tuple[Labels, Labels], arguments: tuple[str, str]) -> str:
    """How many labels are on both sides, and how these are selected; nothing where a side has none."""
    if labels[0] is None or labels[1] is None:
        return ""
    shared = len(set(labels[0]) & set(labels[1]))
    if shared == 0:
        return "; no label is on both sides"
    a, b = arguments
    return (
        f"; {shared} labels are on both sides: keep their rows alone in both files, or in Python take both = [x for x in {a}.items "
        f"if x in set({b}.items)], then {a}.select(both) and {b}.select(both)"
    )


def _told(names: tuple[str, str], arguments: tuple[str, str]) -> tuple[str, str]:
    return arguments if names[0] == names[1] else (repr(names[0]), repr(names[1]))
