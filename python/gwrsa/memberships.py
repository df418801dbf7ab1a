"""Which items are in which categories, as the rates of `gwrsa.metrics` take it."""

from __future__ import annotations

import math
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gwrsa import _validate as check
from gwrsa.loaders import Categories

BoolArray: TypeAlias = NDArray[np.bool_]
Uncategorised: TypeAlias = Literal["exclude", "category", "miss"]
UNCATEGORISED: tuple[Uncategorised, ...] = ("exclude", "category", "miss")


def memberships(
    n: int,
    m: int | None,
    categories: Categories | ArrayLike,
    target_categories: Categories | ArrayLike | None = None,
    uncategorised: Uncategorised = "exclude",
) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Check categories and turn them into membership arrays; arguments as in `metrics.category_matching_rate`.

    Parameters
    ----------
    n, m : int
        Number of source and target items. m None: as many as `target_categories` are for.
    categories, target_categories, uncategorised
        As in `metrics.category_matching_rate`.

    Returns
    -------
    source, target : ndarray, shapes (n, c) and (m, c), bool
        A column is one category, the same on both sides.
    counted : ndarray, shape (n,), bool
        The source items that the rate is a mean over; at least one.

    Raises
    ------
    ValueError
        As `metrics.category_matching_rate`.
    """
    check.choice("uncategorised", uncategorised, UNCATEGORISED)
    check_same_categories(categories, target_categories)
    given = [_categories("categories", categories, n)]
    if target_categories is not None:
        given.append(_categories("target_categories", target_categories, m))
    elif m not in (None, n):
        raise ValueError(f"target_categories must be given where n and m differ, got None with n {n} and m {m}")
    if given[0].shape[1:] != given[-1].shape[1:]:
        raise ValueError(
            "target_categories must have the form and the number of columns that categories have, got shapes "
            f"{given[-1].shape} and {given[0].shape}"
        )
    if given[0].ndim == 1:
        distinct = dict.fromkeys(label for side in given for label in side if label is not None)
        column = {label: j for j, label in enumerate(distinct)}
        given = [_one_hot(side, column) for side in given]
    if uncategorised == "category":
        given = [np.column_stack([side, ~side.any(axis=1)]) for side in given]
    source, target = given[0], given[-1]
    counted: BoolArray = np.ones(n, dtype=np.bool_)
    if uncategorised == "exclude":
        counted = np.asarray(source.any(axis=1))
    if not counted.any():
        raise ValueError(f"categories must give at least one of the {n} source items a category, got none")
    return source, target, counted


def share_category(source: BoolArray, target: BoolArray) -> BoolArray:
    """Whether source item i and target item j have a category in common, (n, m), from `memberships`."""
    # Counts of at most c categories are exact in float32, whose product is the fast one.
    return np.asarray(source.astype(np.float32) @ target.astype(np.float32).T > 0)


def check_same_categories(source: object, target: object) -> None:
    """Columns of two `Categories` must be the same categories."""
    if isinstance(source, Categories) and isinstance(target, Categories) and source.names != target.names:
        raise ValueError(
            f"target_categories must be of the same categories in the same order, got {_few(target.names)} and {_few(source.names)}"
        )


def check_no_path(name: str, value: object) -> None:
    """A path of a file of categories is not read here."""
    if isinstance(value, (str, Path)):
        raise ValueError(
            f"{name} must be Categories, labels (n,) or membership (n, c), got {str(value)!r}; a file is read by gwrsa.load_categories"
        )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")


def _categories(name: str, value: Categories | ArrayLike, n: int | None) -> NDArray[Any]:
    """Labels (n,), object, where None is no category; or membership (n, c), bool."""
    check_no_path(name, value)
    if isinstance(value, Categories):
        value = value.members
    # As objects: numpy would turn the NaN of a list of strings into the label "nan".
    raw = value if isinstance(value, np.ndarray) else np.asarray(value, dtype=object)
    if raw.ndim not in (1, 2) or raw.size == 0:
        raise ValueError(f"{name} must be labels (n,) or membership (n, c), not empty, got shape {raw.shape}")
    if n is not None and len(raw) != n:
        raise ValueError(f"{name} must have length {n}, one entry an item, got {len(raw)}")
    if raw.ndim == 1:
        out = np.empty(len(raw), dtype=object)
        out[:] = [_label(name, x, i) for i, x in enumerate(raw)]
        return out
    members = check.array(name, value, 2)
    outside = (members != 0) & (members != 1)
    if outside.any():
        i, j = (int(x) for x in np.argwhere(outside)[0])
        raise ValueError(f"{name} must be 0 or 1 where they are membership (n, c), got {members[i, j]} at ({i}, {j})")
    return members.astype(np.bool_)


def _one_hot(labels: NDArray[Any], column: dict[str | int, int]) -> BoolArray:
    out = np.zeros((len(labels), len(column)), dtype=np.bool_)
    for i, label in enumerate(labels):
        if label is not None:
            out[i, column[label]] = True
    return out


def _label(name: str, value: object, i: int) -> str | int | None:
    if isinstance(value, str):
        return str(value) or None
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if value is None:
        return None
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if math.isnan(number):
            return None
        # A missing value has turned the integers beside it into floats.
        if number.is_integer():
            return int(number)
    raise ValueError(f'{name} must be strings or integers, or None, NaN or "" for no category, got {value!r} at {i}')
