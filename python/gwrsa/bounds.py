"""What a file may ask for, given its size. Nothing is allocated because a header says so, and no file runs code.

The readers of `gwrsa.loaders_files`, `gwrsa.shards` and `gwrsa.store` go through here.
"""

from __future__ import annotations

import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

FREE = 1 << 28
"""Bytes that any file may expand to."""
TIMES = 200
"""Times its own size that a larger one may expand to. Deflate reaches 1,032 with zeros, some 20 with numbers."""
_LONGEST_HEADER = 100_000
_ZIP_HEADER = 30
"""Bytes of a member's own header before its name; the last four are the lengths of name and extra field."""

# What parsers raise of files of which bits are missing or flipped.
BROKEN = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    NameError,
    ArithmeticError,
    EOFError,
    OSError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


@contextmanager
def parsed(what: str) -> Iterator[None]:
    """Whatever a parser that is not ours makes of a broken file is a ValueError; a file that is not there stays one."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except BROKEN as error:
        said = str(error).strip() or type(error).__name__
        raise ValueError(f"{what}: {said}") from error


def most(path: Path) -> int:
    """Bytes that what is in the file may take."""
    return max(FREE, TIMES * path.stat().st_size)


def fits(what: str, n_bytes: int, limit: int) -> None:
    """Raise a ValueError where something is larger than it may be."""
    if n_bytes > limit:
        raise ValueError(f"{what} claims {n_bytes} bytes, expected at most {limit} in a file of this size")


def read_npy(stream: IO[bytes], n_bytes: int) -> NDArray[Any]:
    """The array of a stream of so many bytes in the .npy format; never unpickled.

    Raises
    ------
    ValueError
        If it holds Python objects or text that is none, or its header claims more than there is.
    """
    _npy_header(stream, n_bytes)
    stream.seek(0)
    array = np.asarray(npy.read_array(stream, allow_pickle=False))
    if array.dtype.kind == "U" and array.size:
        codes = np.ravel(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError(f"text must be of Unicode's characters, got number {codes.max()}")
    return array


def _npy_header(stream: IO[bytes], n_bytes: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and dtype, as `read_npy` accepts them; the stream is then where the values begin."""
    begins = stream.tell()
    version = npy.read_magic(stream)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"the .npy format must be 1.0 or 2.0, got {version[0]}.{version[1]}")
    if version == (1, 0):
        shape, by_columns, dtype = npy.read_array_header_1_0(stream)
    else:
        length = int.from_bytes(stream.read(4), "little")
        fits("the header", length, _LONGEST_HEADER)
        stream.seek(-4, 1)
        shape, by_columns, dtype = npy.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    if min(shape, default=0) < 0 or dtype.itemsize == 0:
        raise ValueError(f"the array must have a shape and a dtype of some bytes, got {shape} and {dtype}")
    fits(f"an array of shape {shape}", math.prod(shape) * dtype.itemsize, n_bytes - (stream.tell() - begins))
    return shape, by_columns, dtype


def read_npz(
    path: Path, choose: Callable[[Sequence[str]], Sequence[str]] = list, mapped: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file, all or those of its names that are chosen; never unpickled.

    Those of the names in `mapped` are mapped into memory, read-only, where the file holds them so that this can be done: then nobody has
    compared them with their checksum.

    Raises
    ------
    ValueError, zipfile.BadZipFile and the like
        If it is none, or would expand to more than `most`.
    """
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        members = {
            info.filename.removesuffix(".npy"): info for info in archive.infolist() if info.filename.endswith(".npy")
        }
        names = choose(list(members))
        fits("the archive", sum(members[name].file_size for name in names), most(path))
        arrays = {}
        for name in names:
            info = members[name]
            if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise ValueError(f"{name!r} must be stored or deflated, got compression {info.compress_type}")
            found = _mapped(stream, info) if name in mapped and info.compress_type == zipfile.ZIP_STORED else None
            if found is None:
                with archive.open(info) as member:
                    found = read_npy(member, info.file_size)
            arrays[name] = found
        return arrays


def _mapped(stream: IO[bytes], info: zipfile.ZipInfo) -> NDArray[Any] | None:
    """A stored member of an archive as it lies in the file; None where it does not lie as numpy wants it."""
    stream.seek(info.header_offset + _ZIP_HEADER - 4)
    stream.seek(sum(struct.unpack("<HH", stream.read(4))), 1)  # its name, and what else is said of it
    shape, by_columns, dtype = _npy_header(stream, info.file_size)
    at = stream.tell()
    if by_columns or at % dtype.alignment or not math.prod(shape):
        return None
    return np.memmap(stream, dtype, "r", at, shape)


class Clamped:
    """A file of which no more is read at once than is left: `read(2**40)` would set that much aside first."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; all that is left for -1."""
        left = max(self._size - self._file.tell(), 0)
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()
