"""Whether the heaps of text in an HDF5 file come to an end, before HDF5 reads them.

HDF5 goes through a heap object by object, and stays for ever at a free one whose size is 0. The format: "HDF5 File Format Specification",
section III.E, https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_HEAP = b"GCOL\x01\x00\x00\x00"
_HEADER = 16


def check_heaps(path: Path) -> None:
    """Raise a ValueError where a heap of the file has free space of no size."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = -1
        while (at := content.find(_HEAP, at + 1)) >= 0:
            _check_heap(content, at)


def _check_heap(content: mmap.mmap, start: int) -> None:
    if start + _HEADER > len(content):
        return
    (size,) = struct.unpack_from("<Q", content, start + 8)
    at, end = start + _HEADER, min(start + size, len(content))
    while at + _HEADER <= end:
        number, _, _, n_bytes = struct.unpack_from("<HHIQ", content, at)
        if number == 0:
            if n_bytes == 0:
                raise ValueError(f"a heap of text at byte {start} has free space of no size")
            at += n_bytes
        else:
            at += _HEADER + -(-n_bytes // 8) * 8
