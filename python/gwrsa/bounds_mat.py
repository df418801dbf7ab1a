"""Whether a MATLAB file of version 5 to 7 is made as the format says and asks for no more than it holds, before SciPy reads it.

SciPy sets aside what dimensions claim, calls itself for each level of nested cells, reads the elements of a matrix that there should be
even where the matrix has ended, and takes the type of numbers of a kind that there is not from elsewhere in memory. The format: "MAT-File
Format", The MathWorks, https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection
from pathlib import Path

from gwrsa.bounds import fits, most

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
# Of integers of 32 bits, whatever their sign, and of names.
_INT32, _NAME = frozenset({5, 6}), frozenset({1, 16})
# Of elements: integers of 8 to 32 bits, floats, integers of 64 bits; and UTF-8 to UTF-32.
_NUMBERS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13})
_TEXT = _NUMBERS | {16, 17, 18}
# Of matrices; the others hold numbers.
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_COMPLEX = 0x800
_DEEPEST = 50


def check_mat(path: Path) -> None:
    """Raise a ValueError where an element of the file claims to be larger than what is left of it, or cells are nested without end."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
        if len(head) < _HEADER or 0 in head[:4] or 1 not in head[124:126]:
            return  # version 4, which has no sizes but those of its data, or 7.3, which is HDF5, or none
        order = "<" if head[126:128] == b"IM" else ">"
        limit, size = most(path), path.stat().st_size
        at = _HEADER
        while at + 8 <= size:
            file.seek(at)
            kind, n_bytes = struct.unpack(f"{order}II", file.read(8))
            fits("an element", n_bytes, size - at - 8)
            if kind == _COMPRESSED:
                inflate = zlib.decompressobj()
                inner = inflate.decompress(file.read(n_bytes), max(limit, 1))
                if inflate.unconsumed_tail:
                    fits("a compressed element", limit + 1, limit)
                limit -= len(inner)
                _Elements(memoryview(inner), order).matrix(0)
            elif kind == _MATRIX:
                _check_matrix(memoryview(file.read(n_bytes)), order, 0)
            at += 8 + n_bytes


def _check_matrix(content: memoryview, order: str, depth: int) -> int:
    """Raise a ValueError unless the elements are those of a matrix; bytes that they take."""
    if depth > _DEEPEST:
        raise ValueError(f"cells must be nested at most {_DEEPEST} deep, got more")
    if not content:
        return 0  # an empty cell
    elements = _Elements(content, order)
    flags = elements.numbers("the flags", 2)
    class_of, is_complex = flags[0] & 0xFF, bool(flags[0] & _COMPLEX)
    if class_of == _OPAQUE:
        for part in ("name", "type", "class"):
            elements.take(f"the {part}", _NAME)
        elements.matrix(depth)
        return elements.at
    elements.array(class_of, depth, is_complex=is_complex)
    return elements.at


class _Elements:
    """The elements of a matrix, one after the other; a small one has kind, size and content in 8 bytes."""

    def __init__(self, content: memoryview, order: str) -> None:
        self.content, self.order = content, order
        self.at = 0
        """Bytes that those taken so far take."""

    def take(self, what: str, kinds: Collection[int]) -> memoryview:
        """Content of the next one, which has to be of one of these kinds."""
        if self.at + 8 > len(self.content):
            raise ValueError(f"a matrix must hold {what}, got its end")
        kind, n_bytes = struct.unpack_from(f"{self.order}II", self.content, self.at)
        if kind >> 16:
            kind, n_bytes, start = kind & 0xFFFF, kind >> 16, self.at + 4
            fits("a small element", n_bytes, 4)
            self.at += 8
        else:
            start = self.at + 8
            fits("an element", n_bytes, len(self.content) - start)
            # A matrix is as long as its elements, which are filled up each.
            self.at = start + (n_bytes if kind == _MATRIX else -(-n_bytes // 8) * 8)
        if kind not in kinds:
            named = ", ".join(map(str, sorted(kinds)))
            raise ValueError(f"{what} must be of one of these kinds of the format: {named}; got {kind}")
        return self.content[start : start + n_bytes]

    def matrix(self, depth: int) -> None:
        """Check the next one, a matrix in another."""
        content = self.take("a matrix", {_MATRIX})
        used = _check_matrix(content, self.order, depth + 1)
        if used != len(content):
            # SciPy goes on where the elements end.
            raise ValueError(f"a matrix in a matrix must end with its elements, got {len(content)} bytes for {used}")

    def array(self, class_of: int, depth: int, *, is_complex: bool) -> None:
        """Check dimensions, name and what there is of a matrix of any class but the opaque."""
        shape = self.numbers("the dimensions")
        if len(shape) < 2:
            raise ValueError(f"a matrix must have 2 dimensions or more, got {len(shape)}")
        if min(shape) < 0:
            raise ValueError(f"dimensions must not be negative, got {shape}")
        if class_of != _SPARSE:
            fits(f"an array of shape {shape}", math.prod(shape), len(self.content))
        self.take("the name", _NAME)
        if class_of in {_CELL, _STRUCT, _OBJECT, _FUNCTION}:
            self.matrices(class_of, math.prod(shape), depth)
        elif class_of == _CHAR:
            self.take("the text", _TEXT)
        else:
            for _ in range(2 if class_of == _SPARSE else 0):
                self.take("the rows and columns of a sparse matrix", _NUMBERS)
            for _ in range(1 + is_complex):
                self.take("the numbers", _NUMBERS)

    def matrices(self, class_of: int, count: int, depth: int) -> None:
        """Check the matrices of `count` cells, or of the fields of so many structs or objects, or the one of a function."""
        if class_of == _OBJECT:
            self.take("the name of the class", _NAME)
        if class_of in {_STRUCT, _OBJECT}:
            count *= self.fields()
        fits("an array of cells or fields", count, len(self.content))
        for _ in range(1 if class_of == _FUNCTION else count):
            self.matrix(depth)

    def numbers(self, what: str, count: int | None = None) -> tuple[int, ...]:
        """Integers of 32 bits."""
        content = self.take(what, _INT32)
        found = len(content) // 4
        if len(content) % 4 or found != (found if count is None else count):
            raise ValueError(
                f"{what} must have {'whole numbers' if count is None else count}, got {len(content)} bytes"
            )
        return struct.unpack(f"{self.order}{found}i", content)

    def fields(self) -> int:
        """Number of fields of a struct, from the length of a name and all names."""
        length = self.numbers("the length of names", 1)[0]
        names = len(self.take("the names of fields", _NAME))
        if names and (length < 1 or names % length):
            raise ValueError(f"the names of fields must be whole names of {length} letters, got {names} in all")
        return names // length if names else 0
