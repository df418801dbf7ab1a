"""Tables that carry labels, pandas DataFrames and xarray DataArrays, as representations; neither package is imported for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from gwrsa import _validate as check
from gwrsa._validate import FloatArray
from gwrsa.condensed import is_dissimilarity
from gwrsa.loaders_files import labels_among

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from gwrsa.embedding import Embedding
    from gwrsa.rdm import RDM

    Labelled: TypeAlias = pd.DataFrame | xr.DataArray

Labels = tuple[str, ...] | None
_Kind = TypeVar("_Kind")


class Table(NamedTuple):
    """Numbers with the labels of their rows and columns; None where there are none, as for pandas' own 0, 1, 2, ..."""

    numbers: FloatArray
    rows: Labels
    columns: Labels
    name: str | None
    """Of a DataArray that has one."""


def table(name: str, value: Any) -> Table | None:  # noqa: ANN401
    """A DataFrame or 2-D DataArray; None for anything else.

    Raises
    ------
    ValueError
        That names the labels, if an entry is not a finite number, labels have several levels or are there twice, or it is a Dataset.
    """
    pandas, xarray = sys.modules.get("pandas"), sys.modules.get("xarray")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        for column, dtype in value.dtypes.items():
            if not pandas.api.types.is_numeric_dtype(dtype):
                raise ValueError(
                    f"{name} must hold numbers only, got {dtype} in column {column!r}; labels of rows belong in the index"
                )
        _check_columns(name, value)
        extended = any(not isinstance(dtype, np.dtype) for dtype in value.dtypes)
        numbers = value.to_numpy(dtype=np.float64, na_value=np.nan) if extended else value.to_numpy()
        return _checked(name, numbers, ("index", value.index), ("columns", value.columns), None)
    if xarray is not None and isinstance(value, xarray.Dataset):
        raise ValueError(f"{name} must be one DataArray, got a Dataset; take one of {', '.join(map(repr, value))}")
    if xarray is not None and isinstance(value, xarray.DataArray) and value.ndim == 2:
        one, two = ((str(dim), value.indexes.get(dim)) for dim in value.dims)
        return _checked(name, value.to_numpy(), one, two, None if value.name is None else str(value.name))
    return None


def _check_columns(name: str, frame: pd.DataFrame) -> None:
    """A column of labels among those of numbers, as a table has that was read from a file, would be a dimension."""
    if _labels(f"{name}'s index", frame.index) is not None or frame.shape[1] < 2:
        return
    at = labels_among(frame.columns)
    if at is not None:
        found = frame.columns[at]
        raise ValueError(
            f"{name} must have its labels as index, got a column {found!r} among the numbers; give frame.set_index({found!r}), "
            "or frame.drop(columns=...) if it is to be left out"
        )


def rows(name: str, value: Any, items: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Values and labels of an embedding: those given, or for a table its own.

    Raises
    ------
    ValueError
        If `items` are given for a table that has others; it names the first.
    """
    given = table(name, value)
    if given is None:
        return value, items
    return given.numbers, _same(name, given.rows, items)


def pairs(name: str, value: Any, items: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Values and labels of an RDM: those given, or for a table its own, with the columns in the order of the rows.

    Raises
    ------
    ValueError
        If rows and columns have other labels, or `items` are given for a table that has others; it names them.
    """
    given = table(name, value)
    if given is None:
        return value, items
    values = given.numbers
    if values.shape[0] != values.shape[1]:
        raise ValueError(f"{name} must be square to be an RDM, got a table of shape {values.shape}")
    if given.rows is not None and given.columns is not None:
        values = values[:, _order(name, given.rows, given.columns)]
    return values, _same(name, given.rows if given.rows is not None else given.columns, items)


def representation(name: str, value: Any) -> RDM | Embedding | None:  # noqa: ANN401
    """What a table stands for: an RDM where rows and columns have the same labels, otherwise an embedding, a row an object.

    None for anything but a table. A square one without labels is an RDM.

    Raises
    ------
    ValueError
        If a square table's rows and columns share some labels and not all; it names them.
    """
    from gwrsa.embedding import Embedding
    from gwrsa.rdm import RDM

    given = table(name, value)
    if given is None:
        return None
    kind = RDM if _is_rdm(name, given) else Embedding
    return kind(value, name=given.name or name)


def side(name: str, value: Any) -> RDM | Embedding:  # noqa: ANN401
    """An RDM or Embedding as it is, or what a table stands for.

    Raises
    ------
    ValueError
        If it is anything else; an array says neither which of them it is nor what its rows are.
    """
    from gwrsa.embedding import Embedding
    from gwrsa.rdm import RDM

    known = value if isinstance(value, (RDM, Embedding)) else representation(name, value)
    if known is not None:
        return known
    what = repr(str(value)) if isinstance(value, (str, Path)) else type(value).__name__
    raise ValueError(f"{name} must be an RDM, Embedding, DataFrame or DataArray, got {what}{_made_by(value)}")


def rdm(name: str, value: Any) -> RDM:  # noqa: ANN401
    """An RDM as it is, or a table that stands for one.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    from gwrsa.rdm import RDM

    return _one_of(RDM, name, value)


def embedding(name: str, value: Any) -> Embedding:  # noqa: ANN401
    """An embedding as it is, or a table that stands for one.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    from gwrsa.embedding import Embedding

    return _one_of(Embedding, name, value)


def cost(name: str, value: Any) -> Any:  # noqa: ANN401
    """One side of a problem: `representation`, but a square array need not be symmetric; anything but a table as it is."""
    given = table(name, value)
    if given is None:
        return value
    return pairs(name, value, None)[0] if _is_rdm(name, given) else representation(name, value)


def _one_of(kind: type[_Kind], name: str, value: Any) -> _Kind:  # noqa: ANN401
    stands_for = representation(name, value)
    known = value if stands_for is None else stands_for
    if isinstance(known, kind):
        return known
    what = f"a table that stands for an {type(stands_for).__name__}" if stands_for is not None else type(value).__name__
    raise ValueError(
        f"{name} must be an {kind.__name__}, or a DataFrame or DataArray of one, got {what}{_made_by(known)}"
    )


def _made_by(value: Any) -> str:  # noqa: ANN401
    """How what is none becomes a representation, where that can be told."""
    from gwrsa.embedding import Embedding

    if isinstance(value, (str, Path)):
        return "; a file is read by gwrsa.Embedding.load or gwrsa.RDM.load"
    if isinstance(value, Embedding):
        return "; its dissimilarities are embedding.rdm(metric)"
    if hasattr(value, "__array__") or isinstance(value, (list, tuple)):
        return "; an array is made into one by gwrsa.Embedding(values, items) or gwrsa.RDM(dissimilarities, items)"
    return ""


def _is_rdm(name: str, given: Table) -> bool:
    if given.numbers.shape[0] != given.numbers.shape[1]:
        return False
    if given.rows is None and given.columns is None:
        return True
    if set(given.rows or ()) & set(given.columns or ()):
        return True
    if given.numbers.any() and is_dissimilarity(given.numbers):
        which = (
            "the labels of its rows are not those of its columns"
            if given.rows and given.columns
            else "one side has labels"
        )
        raise ValueError(
            f"{name} must say what it is: square, symmetric and 0 on the diagonal it could be an RDM, but {which}; "
            "give gwrsa.RDM(table) or gwrsa.Embedding(table)"
        )
    return False


def _checked(name: str, numbers: Any, one: tuple[str, Any], two: tuple[str, Any], title: str | None) -> Table:  # noqa: ANN401
    labels = [_labels(f"{name}'s {what}", index) for what, index in (one, two)]
    real = numbers.dtype.kind in "fiub"  # anything else is refused below
    if real and not np.isfinite(numbers).all():
        i, j = (int(k) for k in np.argwhere(~np.isfinite(numbers))[0])
        at = [repr(side[k]) if side else str(k) for side, k in zip(labels, (i, j), strict=True)]
        raise ValueError(f"{name} must be finite, got {numbers[i, j]} in row {at[0]}, column {at[1]}")
    return Table(check.array(name, numbers, 2), labels[0], labels[1], title)


def _labels(name: str, index: Any) -> Labels:  # noqa: ANN401
    import pandas as pd

    if index is None or (isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1):
        return None
    if index.nlevels > 1:
        raise ValueError(f"{name} must have one level of labels, got {index.nlevels}: {index[0]!r}, ...")
    return check.labels(name, index, len(index))


def _order(name: str, first: tuple[str, ...], second: tuple[str, ...]) -> list[int]:
    """Where the labels of the rows are among those of the columns."""
    where = {label: j for j, label in enumerate(second)}
    lost = [label for label in first if label not in where]
    if lost:
        known = set(first)
        extra = [label for label in second if label not in known]
        raise ValueError(
            f"{name} must have the same labels on both sides to be an RDM, but {len(lost)} of the rows are not columns: "
            f"{_some(lost)}; and the columns have {_some(extra)}"
        )
    return [where[label] for label in first]


def _same(name: str, own: Labels, items: Any) -> Any:  # noqa: ANN401
    if items is None or own is None:
        return own if items is None else items
    given = check.labels("items", items, len(own)) or ()
    for i, (mine, other) in enumerate(zip(own, given, strict=True)):
        if mine != other:
            raise ValueError(f"items must be the labels that {name} has, got {other!r} for {mine!r} at row {i}")
    return own


def _some(labels: list[str]) -> str:
    return ", ".join(map(repr, labels[:5])) + (", ..." if len(labels) > 5 else "")
