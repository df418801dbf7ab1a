"""What the formats of `gwrsa.loaders` have in common with their files: cells of tables, arrays of archives, errors.

Nothing here knows what the values mean. scipy and h5py are imported by the formats that need them.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gwrsa import _validate as check
from gwrsa import bounds, bounds_h5
from gwrsa.bounds_h5 import attribute, check_heaps, fitting
from gwrsa.bounds_mat import check_mat

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# What labels are called, in lower case, as a column of a table or as an array beside the values.
_LABELS = frozenset({"item", "items", "label", "labels", "names", "uniqueid", "unique_id"})

# What they may be called too, where more columns follow: alone, such a name may be that of an object.
_NAMES = frozenset({"concept", "id", "image", "image_id", "name", "object", "object_id", "stimulus", "word"})

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """Cells of a text file; rows count from 1 in messages, with the header as a row."""

    header: list[str] | None
    rows: list[list[str]]
    separator: str = " "

    def place(self, row: int, column: int) -> str:
        """Where the cell `rows[row][column]` is in the file."""
        name = f" ({self.header[column]!r})" if self.header else ""
        return f"row {row + 1 + (self.header is not None)}, column {column + 1}{name}"

    def column(self, index: int) -> list[str]:
        """One column, without its header."""
        return [row[index] for row in self.rows]

    def labels(self, index: int) -> tuple[str, ...]:
        """One column as labels, distinct and not empty."""
        cells = self.column(index)
        if "" in cells:
            raise ValueError(f"{self.place(cells.index(''), index)} is empty, expected a label")
        return distinct(cells)


@contextmanager
def opened(path: str | Path, suffixes: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """The path and its suffix; whatever is wrong with the file is raised as a ValueError that names it."""
    file, suffix = Path(path), Path(path).suffix.lower()
    if suffix not in suffixes:
        raise ValueError(f"{file}: the suffix must be one of {', '.join(suffixes)}, got {suffix!r}")
    if file.stat().st_size == 0:
        raise ValueError(f"{file}: the file is empty")
    try:
        yield file, suffix
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (ValueError, OSError) as error:
        unsafe = "; Python objects can run code when they are loaded" if "allow_pickle" in str(error) else ""
        raise ValueError(f"{file}: {str(error).strip()}{unsafe}") from error


@contextmanager
def named(path: str | Path, items: object) -> Iterator[None]:
    """Whatever values and labels do not fit is raised as a ValueError that names their files."""
    try:
        yield
    except ValueError as error:
        labels = f" with the labels of {items}" if isinstance(items, (str, Path)) else ""
        raise ValueError(f"{path}{labels}: {error}") from error


def distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, if none is there twice."""
    return check.labels("labels", labels, len(labels)) or ()


def number(cell: str) -> float:
    """A finite number, or NaN for any other cell; Python's 1_000 is text here, and so is "nan"."""
    try:
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def read_delimited(file: Path, separator: str) -> list[list[str]]:
    """Cells of a csv or tsv as text without outer white space, one list a row; empty rows at the end are dropped."""
    with file.open(encoding="utf-8-sig", newline="") as stream, bounds.parsed("the table cannot be read"):
        try:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream, delimiter=separator, strict=True)]
        except csv.Error as error:
            raise ValueError(str(error)) from error
    while rows and not any(rows[-1]):
        rows.pop()
    if not rows:
        raise ValueError("the file is empty")
    apart = {row[0].count(";") for row in rows if row}
    if all(len(row) == 1 for row in rows) and len(rows) > 1 and len(apart) == 1 and apart != {0}:
        raise ValueError(f"the table has one column{semicolons(separator)}")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"row {i + 1} must have {len(rows[0])} columns, got {len(row)}{_hint(rows, separator)}")
    return rows


def _hint(rows: list[list[str]], separator: str) -> str:
    """What a table may be whose rows are not equally long."""
    if any(";" in cell for row in rows for cell in row):
        return semicolons(separator)
    if [len(row) for row in rows] == list(range(1, len(rows) + 1)):
        return "; of an RDM both halves must be written, not the lower one alone"
    return ""


def semicolons(separator: str) -> str:
    """What a table with semicolons has to be like."""
    what = {",": "commas", "\t": "tabs"}.get(separator, "white space")
    return f"; columns must be separated by {what}, not by semicolons, and decimals be written with a point"


def is_number(cell: str) -> bool:
    """Whether the cell is a finite number."""
    return not math.isnan(number(cell))


def names_labels(name: str, *, beside: bool = False) -> bool:
    """Whether a column of this name holds labels, beside others or alone; pandas writes an unnamed index under an empty one."""
    return name == "" or name.lower() in (_LABELS | _NAMES if beside else _LABELS)


def labels_among(names: Iterable[object]) -> int | None:
    """Place of the first column that is called like labels, among columns of numbers."""
    return next((j for j, x in enumerate(names) if isinstance(x, str) and x and names_labels(x, beside=True)), None)


def _has_header(head: list[str], rows: list[list[str]]) -> bool:
    first, *others = head
    if names_labels(first):
        return True
    if not others:
        return bool(rows) and not is_number(first) and is_number(rows[0][0])
    if not all(map(is_number, others)):
        return True
    if is_number(first):
        return head == counted(len(head)) and _names_columns(head, rows)
    # Only the first cell can be text: the names of columns may be numbers, or this may be a labelled row.
    return (len(others) > 1 and others == counted(len(others))) or others == [row[0] for row in rows]


def _names_columns(head: list[str], rows: list[list[str]]) -> bool:
    """Whether whole numbers that count stand above numbers that are not whole, as pandas writes a table without its index."""
    whole = [_is_whole(cell) for row in rows for cell in row]
    # Where some of those below are whole too, a square table may be an RDM along a line, and two columns may be anything.
    return (bool(rows) and not any(whole)) or (not all(whole) and len(head) > 2 and len(rows) + 1 != len(head))


def _is_whole(cell: str) -> bool:
    return cell.lstrip("+-").isdecimal()


def _may_be_either(head: list[str], rows: list[list[str]], *, header: bool) -> bool:
    """Whether a first row that counts may be a header as well as an object, which of many rows nobody would miss."""
    numbers = head if is_number(head[0]) else head[1:]
    counts = len(numbers) > 1 and numbers in (counted(len(numbers), first) for first in (0, 1))
    # The same down the first column: it is an RDM's, with labels or of objects along a line.
    if not counts or not rows or [row[0] for row in rows] == head[1:]:
        return False
    whole = all(_is_whole(cell) for row in rows for cell in row[-len(numbers) :])
    return not header or (whole and not names_labels(head[0], beside=True))


def counted(n: int, first: int = 0) -> list[str]:
    """0, 1, 2, ... as a file has them."""
    return [str(i + first) for i in range(n)]


def _delimited(separator: str) -> Callable[[Path], Table]:
    def read(file: Path) -> Table:
        head, *rows = read_delimited(file, separator)
        header = _has_header(head, rows)
        if _may_be_either(head, rows, header=header):
            known, other = ("the names of the columns", "numbers")[:: 1 if header else -1]
            shown = ", ".join(head[:4]) + (", ..." if len(head) > 4 else "")
            warnings.warn(
                f"{file}: row 1 ({shown}) is taken for {known} and may be {other}: name the columns in words, or write the numbers "
                "with a point (1.0)",
                stacklevel=2,
            )
        return Table(head, rows, separator) if header else Table(None, [head, *rows], separator)

    return read


def _spaced(file: Path) -> Table:
    rows = [line.split() for line in file.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    for i, row in enumerate(rows):
        if not row or len(row) != len(rows[0]):
            raise ValueError(
                f"row {i + 1} must have {len(rows[0]) or 'some'} columns, got {len(row)}{_hint(rows, ' ')}"
            )
    return Table(None, rows)


def read_npy(file: Path) -> NDArray[Any]:
    """The array of an .npy file, never unpickled."""
    with file.open("rb") as stream, bounds.parsed("the file is no array"):
        return bounds.read_npy(stream, file.stat().st_size)


def _chosen(names: Sequence[str], key: str | None) -> list[str]:
    """Names of the arrays to read: the key and what may be labels, or all when the only one has to be found."""
    if key is not None:
        check.choice("key", key, names)
    return [name for name in names if key in (None, name) or is_labels(name)]


def is_labels(name: str) -> bool:
    """Whether an array of this name, in whatever group, may hold labels."""
    return name.rpartition("/")[2].lower() in _LABELS


def _read_npz(file: Path, key: str | None) -> Arrays:
    with bounds.parsed("the file is no .npz archive"):
        return bounds.read_npz(file, lambda names: _chosen(names, key))


def read_mat(file: Path) -> dict[str, Any] | None:
    """Variables of a .mat file as SciPy has them; None for one of version 7.3, which is HDF5."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        with file.open("rb") as stream, bounds.parsed("the file is not a .mat file"):
            check_mat(file)
            content = loadmat(bounds.Clamped(stream))  # type: ignore[arg-type]  # any file that is read, sought and told
    except ValueError as error:
        if isinstance(error.__cause__, NotImplementedError):
            return None
        raise
    except MatReadError as error:
        raise ValueError(f"the file is not a .mat file: {error}") from error
    return {name: array for name, array in content.items() if not name.startswith("__")}


def _read_mat(file: Path, key: str | None) -> Arrays:
    content = read_mat(file)
    if content is None:
        return {name: _matlab(array) for name, array in read_h5(file, key).items()}
    return {name: _matlab(np.asarray(content[name])) for name in _chosen(list(content), key)}


def _matlab(array: NDArray[Any]) -> NDArray[Any]:
    """Undo that MATLAB has no scalars and vectors, and that it keeps strings in cells or padded with spaces."""
    if array.dtype.kind == "O":
        strings = [
            cell.item()
            for cell in array.flat
            if isinstance(cell, np.ndarray) and cell.dtype.kind == "U" and cell.size == 1
        ]
        return _padded(strings) if strings and len(strings) == array.size else array
    if array.dtype.kind == "U":
        return np.char.rstrip(array)
    if array.size == 1:
        return array.reshape(())
    return array[0] if array.ndim == 2 and len(array) == 1 else array


def h5(file: Path | BinaryIO, mode: str = "r") -> Any:  # noqa: ANN401
    """An HDF5 file, open for reading or writing.

    Raises
    ------
    ValueError
        If it is to be read and HDF5 would not come back from it.
    ImportError
        If h5py is missing.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f"{file}: HDF5 needs h5py: pip install 'gwrsa[h5]'") from error
    if mode == "r" and isinstance(file, Path):
        check_heaps(file)
    return h5py.File(file, mode)


def read_h5(file: Path, key: str | None) -> Arrays:
    """The array of this name and what may be labels, or all when the only one has to be found."""
    try:
        import h5py
    except ImportError:
        h5(file)
        raise

    def numeric(name: str, node: Any) -> bool:  # noqa: ANN401
        # Text, cells and empty arrays of MATLAB are stored as numbers that mean something else.
        text = "MATLAB_empty" in node.attrs or attribute(file, node, "MATLAB_class") in (b"char", b"cell", b"struct")
        return not text and not name.startswith("#")

    def read(node: Any) -> NDArray[Any]:  # noqa: ANN401
        values = bounds_h5.array(file, node)
        if h5py.check_string_dtype(node.dtype):
            return _padded([str(s) for s in values.flat]).reshape(values.shape)
        # MATLAB stores columns first, and HDF5 rows.
        return values.T if "MATLAB_class" in node.attrs else values

    with bounds.parsed("the file is not HDF5"), h5(file) as content:
        found = {name: node for name, node in bounds_h5.datasets(content).items() if numeric(name, node)}
        names = _chosen(list(found), key)
        fitting(file, {name: found[name] for name in names})
        return {name: read(found[name]) for name in names}


def _padded(strings: list[str]) -> NDArray[Any]:
    """Text as an array, in which each takes as much as the longest."""
    bounds.fits("text as an array", 4 * len(strings) * max(map(len, strings), default=0), bounds.FREE)
    return np.array(strings, dtype=str)


def text(array: NDArray[Any]) -> list[str]:
    """A 1-D array of strings or UTF-8 bytes as a list."""
    return [label.decode() if isinstance(label, bytes) else str(label) for label in array.tolist()]


SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLES: Mapping[str, Callable[[Path], Table]] = {
    ".csv": _delimited(SEPARATORS[".csv"]),
    ".tsv": _delimited(SEPARATORS[".tsv"]),
    ".txt": _spaced,
}
ARCHIVES: Mapping[str, Callable[[Path, str | None], Arrays]] = {
    ".npz": _read_npz,
    ".mat": _read_mat,
    ".h5": read_h5,
    ".hdf5": read_h5,
}
