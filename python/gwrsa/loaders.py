"""Files of arrays, labels and categories, read strictly.

Whatever cannot be a finite number, a label or a membership is an error that says where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwrsa import _validate as check
from gwrsa import bounds
from gwrsa import loaders_files as files
from gwrsa._validate import FloatArray

_VECTOR_OR_MATRIX = (1, 2)


@dataclass(frozen=True, eq=False)
class Loaded:
    """What `load_array` found in a file.

    Attributes
    ----------
    values : float64, shape (n,) or (n, d)
        Finite; integers and booleans of the file are converted.
    items : tuple of str, optional
        Labels, distinct; one a row where values are 2-D, one an object where they are a condensed RDM. None: the file
        holds none.
    columns : tuple of str, length d, optional
        Header of a csv or tsv, without that of the labels. None: no header, or another format.
    """

    values: FloatArray
    items: tuple[str, ...] | None
    columns: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class Categories:
    """Which object is in which categories: none, one or several.

    Parameters
    ----------
    names : sequence of str, length n_categories
        Categories, distinct.
    items : sequence of str, length n_items
        Labels of the objects, distinct.
    members : array-like, bool or 0/1, shape (n_items, n_categories)
        True where the object is in the category; kept as read-only bool. All-False rows are uncategorised objects.

    Raises
    ------
    ValueError
        If names or items are not distinct, or members are of another shape or have values other than 0 and 1.

    Examples
    --------
    >>> categories = gwrsa.Categories(["animal", "pet"], ["cat", "fox"], [[1, 1], [1, 0]])
    >>> categories.select(["fox"]).members.tolist()
    [[True, False]]
    """

    names: tuple[str, ...]
    items: tuple[str, ...]
    members: NDArray[np.bool_]

    def __post_init__(self) -> None:
        given = check.array("members", self.members, 2)
        outside = (given != 0) & (given != 1)
        if outside.any():
            row, column = (int(i) for i in np.argwhere(outside)[0])
            raise ValueError(f"members must be 0 or 1, got {given[row, column]} at ({row}, {column})")
        members = given.astype(np.bool_)
        members.flags.writeable = False
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "items", check.labels("items", self.items, members.shape[0]))
        object.__setattr__(self, "names", check.labels("names", self.names, members.shape[1]))

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Categories({len(self)} objects x {len(self.names)}, {self.n_uncategorised} uncategorised)"

    @property
    def n_uncategorised(self) -> int:
        """Number of objects that are in no category."""
        return int(np.count_nonzero(~self.members.any(axis=1)))

    def select(self, items: Iterable[object]) -> Categories:
        """The objects with these labels, in this order; every category stays, also one left empty.

        Raises
        ------
        ValueError
            If a label is not there (the message names it) or is given twice, or there are no labels.
        """
        rows = check.positions(self.items, items, len(self))
        return Categories(self.names, tuple(self.items[i] for i in rows), self.members[rows])

    def without(self, name: str) -> Categories:
        """All categories but this one, such as "others"; its objects stay, uncategorised if they are in no other.

        Raises
        ------
        ValueError
            If there is no such category, or no other one.
        """
        dropped = self.names.index(check.choice("name", name, self.names))
        if len(self.names) == 1:
            raise ValueError(f"name must leave a category, got {name!r}, the only one")
        names = tuple(x for x in self.names if x != name)
        return Categories(names, self.items, np.delete(self.members, dropped, axis=1))


def load_array(path: str | Path, *, key: str | None = None) -> Loaded:
    """Read one vector or matrix of finite numbers, with its labels where the file has them.

    Parameters
    ----------
    path : path
        The suffix says the format: .npy, .npz, .csv, .tsv, .txt (numbers between white space, no header), .mat,
        .h5 or .hdf5. HDF5, which .mat files of version 7.3 are too, needs the extra `gwrsa[h5]`; it may be compressed by
        gzip or lzf.

        A .csv or .tsv has a header where a cell of its first row is not a number, unless only the first cell is not
        and may as well be the label of an object: a header whose other names are numbers is one if the first cell is
        empty or `items`, `labels`, `uniqueID` or the like, if the numbers are 0, 1, 2, ..., or if they repeat the first
        column. A row of numbers is one if it is 0, 1, 2, ... and those below are not whole (of three columns or more,
        unless the table is square: not all are). Where a first row that counts from 0 or 1 may be either, as above whole numbers,
        a warning says what it was taken for. A first column is labels if its header is empty or `items` or the like, or
        beside others `id`, `name`, `object` or the like, or if it holds no number. One that counts the rows from 0 or 1 is an
        error: it may be either.
        One column of numbers without labels is 1-D; every other table is 2-D.

        In a .mat file a 1 x n array is 1-D and a 1 x 1 array is a scalar: MATLAB has neither. Labels in a .mat file of
        version 7.3 are not read.
    key : str, optional
        Name of the array in a .npz, .mat or .h5 file, where a string array called `items`, `labels` or the like beside
        it is taken as the labels. None: the only numeric 1-D or 2-D array.

    Returns
    -------
    Loaded
        values (float64, 1-D or 2-D), items and columns.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If the format is HDF5 and h5py is missing.
    ValueError
        If the suffix is another, the file is empty or broken, there is not exactly one array to take, or the array is not
        1-D or 2-D or holds text, complex numbers, Python objects (which are never unpickled), NaN or infinity, or if
        labels are too few, too many or not distinct. The message names the file and the place.
    """
    with files.opened(path, (".npy", *files.TABLES, *files.ARCHIVES)) as (file, suffix):
        if key is not None and suffix not in files.ARCHIVES:
            raise ValueError(f"key must be None for a {suffix} file, which holds a single array, got {key!r}")
        if suffix in files.TABLES:
            return _from_table(files.TABLES[suffix](file))
        if suffix == ".npy":
            return Loaded(check.array("values", files.read_npy(file), _VECTOR_OR_MATRIX), None, None)
        return _from_archive(files.ARCHIVES[suffix](file, key), key)


def load_items(path: str | Path) -> tuple[str, ...]:
    """Read the labels of objects, always as text: "NA", "null" and "007" are labels as they stand.

    Parameters
    ----------
    path : path
        A .txt file with a label a line (UTF-8); a .csv or .tsv, of which the column `uniqueID` is read, or else the
        first (the second beside an index without a name that counts from 0 or 1, as pandas writes it), with a header as
        in `load_array` (a single column has one only where it is called `items` or the like); or an .npy file with a 1-D
        array of strings.

    Returns
    -------
    tuple of str
        Distinct, none empty, in the order of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the suffix is another, the file is empty or broken, or a label is empty or there twice. The message names the
        file and the label.

    Examples
    --------
    >>> gwrsa.load_items("names.txt")[:2]
    ('object 0000', 'object 0001')
    """
    with files.opened(path, (".npy", *files.TABLES)) as (file, suffix):
        if suffix == ".npy":
            array = files.read_npy(file)
            if array.dtype.kind not in "US" or array.ndim != 1:
                raise ValueError(f"labels must be a 1-D array of strings, got {array.dtype} of shape {array.shape}")
            return files.distinct(files.text(array))
        if suffix == ".txt":
            lines = file.read_text(encoding="utf-8-sig").rstrip().split("\n")
            return files.Table(None, [[line.strip()] for line in lines]).labels(0)
        table = files.TABLES[suffix](file)
        names = [name.lower() for name in table.header or ()]
        if "uniqueid" in names:
            return table.labels(names.index("uniqueid"))
        index = len(names) > 1 and names[0] == "" and _counts(table.column(0))
        return table.labels(1 if index else 0)


def load_categories(path: str | Path) -> Categories:
    """Read which object is in which categories.

    Parameters
    ----------
    path : path
        A .csv or .tsv with a header. The first column holds the labels of the objects. The others are either several
        columns of 0 and 1, each a category, or one column with the name of the object's category, empty where it has
        none; the categories are then in the order in which the file names them.

    Returns
    -------
    Categories
        names, items and members (bool, shape (n_items, n_categories)), in the order of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the suffix is another, the file is empty or broken, a value is neither 0 nor 1, labels or categories are
        empty or there twice, or a single column is of 0 and 1, which could be names of categories or the members of
        one. The message names the file, and the row and the column of a cell.

    Examples
    --------
    >>> categories = gwrsa.load_categories("categories.tsv")
    >>> categories
    Categories(60 objects x 6, 0 uncategorised)
    >>> categories.names[:2]
    ('category 05', 'category 03')
    """
    with files.opened(path, (".csv", ".tsv")) as (file, suffix):
        head, *rows = files.read_delimited(file, files.SEPARATORS[suffix])
        table = files.Table(head, rows)
        if not rows or len(head) == 1:
            raise ValueError("the file must have a header, rows, and at least two columns")
        items = table.labels(0)
        if len(head) == 2:
            return _one_category_each(table, items)
        values = np.array([[files.number(cell) for cell in row[1:]] for row in rows])
        outside = ~np.isin(values, (0, 1))
        if outside.any():
            row, column = (int(i) for i in np.argwhere(outside)[0])
            raise ValueError(f"{table.place(row, column + 1)} is {rows[row][column + 1]!r}, expected 0 or 1")
        return Categories(_category_names(head), items, values.astype(np.bool_))


def _category_names(head: list[str]) -> tuple[str, ...]:
    if "" in head[1:]:
        raise ValueError(f"row 1, column {head.index('', 1) + 1} is empty, expected the name of a category")
    return tuple(head[1:])


def _one_category_each(table: files.Table, items: tuple[str, ...]) -> Categories:
    cells = table.column(1)
    if all(files.number(cell) in (0, 1) for cell in cells):
        raise ValueError("a single column of 0 and 1 could be names of categories: write words, or two columns")
    names = tuple(dict.fromkeys(cell for cell in cells if cell))
    if not names:
        raise ValueError(f"column 2 must name at least one category, got {len(cells)} empty cells")
    # A name of its own for each of many objects is a file of labels: n x n memberships would be made of n rows.
    if len(names) * len(cells) > bounds.FREE:
        raise ValueError(
            f"column 2 must name fewer categories, got {len(names)} of {len(cells)} objects; are they labels?"
        )
    column = {name: j for j, name in enumerate(names)}
    members = np.zeros((len(cells), len(names)), dtype=np.bool_)
    for i, cell in enumerate(cells):
        if cell:
            members[i, column[cell]] = True
    return Categories(names, items, members)


def _counts(cells: Sequence[str]) -> bool:
    """Whether a column counts on from 0 or 1, as an index that was written with the numbers does; of two rows that is no wonder."""
    return len(cells) > 2 and list(cells) in (files.counted(len(cells), first) for first in (0, 1))


def _why(table: files.Table, cell: str, column: int, *, labelled: bool) -> str:
    """What a cell that is no number may be, where the whole table says so."""
    if ";" in cell:
        return files.semicolons(table.separator)
    words = all(x and x.lower() != "nan" and not files.is_number(x) for x in table.column(column))
    return "; labels must be the first column" if words and not labelled else ""


def _from_table(table: files.Table) -> Loaded:
    if not table.rows:
        raise ValueError("the file has a header and no rows")
    first = table.column(0)
    width = len(table.rows[0])
    named = table.header is not None and (
        files.names_labels(table.header[0], beside=width > 1) or table.header[1:] == first
    )
    skip = int(named or not any(map(files.is_number, first)))
    if not skip and width > 1 and width != len(first) and _counts(first):
        which = "" if table.header is None else f", {table.header[0]!r},"
        raise ValueError(
            f"column 1{which} numbers the rows from {first[0]} to {first[-1]}: call it 'item' if these are labels, and leave it out if not"
        )
    # Labels and numbers in one column are more likely a typing error or a missing value than labels.
    cells = [row[skip:] for row in table.rows]
    if not cells[0]:
        raise ValueError(f"{table.place(0, 0)} is {first[0]!r}, expected a number: the file holds labels only")
    values = np.array([[files.number(cell) for cell in row] for row in cells])
    if np.isnan(values).any():
        row, column = (int(i) for i in np.argwhere(np.isnan(values))[0])
        cell, column = cells[row][column], column + skip
        why = _why(table, cell, column, labelled=bool(skip))
        raise ValueError(f"{table.place(row, column)} is {repr(cell) if cell else 'empty'}, expected a number{why}")
    columns = tuple(table.header[skip:]) if table.header else None
    if columns and "" in columns:
        raise ValueError(f"row 1, column {columns.index('') + skip + 1} is empty, expected the name of a column")
    # The columns of a square table are objects, and may have any name.
    if columns and not skip and 1 < len(columns) != len(cells):
        late = files.labels_among(columns)
        if late is not None:
            which = f"column {late + 1} ({columns[late]!r})"
            raise ValueError(
                f"{which} may be labels or a dimension: labels must be the first column, and a dimension have another name"
            )
    if values.shape[1] == 1 and not skip:
        return Loaded(values[:, 0], None, columns)
    return Loaded(values, table.labels(0) if skip else None, columns)


def _from_archive(arrays: Mapping[str, NDArray[Any]], key: str | None) -> Loaded:
    if key is None:
        numeric = [name for name, a in arrays.items() if a.dtype.kind in "biufc" and a.ndim in _VECTOR_OR_MATRIX]
        if len(numeric) != 1:
            among = ", ".join(map(repr, numeric or arrays)) or "nothing"
            found = "several numeric arrays, name one as key:" if numeric else "no numeric 1-D or 2-D array, only"
            raise ValueError(f"the file holds {found} {among}")
        key = numeric[0]
    values = check.array(key, arrays[key], _VECTOR_OR_MATRIX)
    beside = [
        array
        for name, array in arrays.items()
        if name != key
        and files.is_labels(name)
        and name.rpartition("/")[0] == key.rpartition("/")[0]
        and array.dtype.kind in "US"
        and array.ndim == 1
    ]
    if not beside:
        return Loaded(values, None, None)
    labels = files.text(beside[0])
    # A vector may be a condensed RDM, which has more entries than objects.
    items = (
        check.labels("labels", labels, len(values)) if values.ndim == _VECTOR_OR_MATRIX[1] else files.distinct(labels)
    )
    return Loaded(values, items, None)
