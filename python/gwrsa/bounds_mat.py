"""Whether a MATLAB file of version 5 to 7 asks for no more than it holds, before SciPy reads it.

SciPy sets aside what dimensions claim, calls itself for each level of nested cells, and takes the type of numbers of a kind that there is
not from elsewhere in memory. The format: "MAT-File Format", The MathWorks,
https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from gwrsa.bounds import fits, most

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_SPARSE, _OPAQUE = 5, 17
# Of elements: integers of 8 to 32 bits, floats, integers of 64 bits, matrices, compressed ones, UTF-8 to UTF-32.
_KINDS = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14, 15, 16, 17, 18}
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
                _check_elements(memoryview(inner), order, 0)
            elif kind == _MATRIX:
                _check_matrix(memoryview(file.read(n_bytes)), order, 0)
            at += 8 + n_bytes


def _check_elements(content: memoryview, order: str, depth: int) -> None:
    for kind, element in _elements(content, order):
        if kind == _MATRIX:
            _check_matrix(element, order, depth)


def _check_matrix(content: memoryview, order: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"cells must be nested at most {_DEEPEST} deep, got more")
    if len(content) < 16:
        return
    class_of = struct.unpack_from(f"{order}I", content, 8)[0] & 0xFF
    rest = content[16:]
    if class_of not in {_SPARSE, _OPAQUE}:
        _, dims = next(_elements(rest, order), (0, memoryview(b"")))
        shape = struct.unpack(f"{order}{len(dims) // 4}i", dims[: len(dims) // 4 * 4])
        if min(shape, default=0) < 0:
            raise ValueError(f"dimensions must not be negative, got {shape}")
        fits(f"an array of shape {shape}", math.prod(shape), len(content))
    _check_elements(rest, order, depth + 1)


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Kind and content of each element; a small one has both in 8 bytes."""
    at = 0
    while at + 8 <= len(content):
        kind, n_bytes = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:
            kind, n_bytes, start = kind & 0xFFFF, kind >> 16, at + 4
            fits("a small element", n_bytes, 4)
            at += 8
        else:
            start = at + 8
            fits("an element", n_bytes, len(content) - start)
            at = start + -(-n_bytes // 8) * 8
        if kind not in _KINDS:
            raise ValueError(f"an element must have one of the kinds of the format, got {kind}")
        yield kind, content[start : start + n_bytes]
