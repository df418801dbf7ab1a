"""What an HDF5 file may ask for: no array, chunk or text that is larger than such a file can hold, and no heap without an end.

HDF5 sets aside what a shape, a chunk or the parameters of a filter claim, and inflates a chunk to its end, however long; many texts may be
one in the file; it goes through a heap object by object, and stays for ever at a free one whose size is 0. The format: "HDF5 File Format
Specification", sections III.E and IV.A, https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html.
"""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwrsa.bounds import FREE, fits, most

# Filters by their numbers in the format; those that compress, and how many times at most. LZF's longest match is 264 bytes in 3.
_DEFLATE, _SHUFFLE, _CHECKSUM, _LZF = 1, 2, 3, 32000
_TIMES = {_DEFLATE: 1032, _LZF: 88}
_CHECKSUM_BYTES = 4
_DEEPEST = 50
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


def fitting(file: Path, nodes: Mapping[str, Any]) -> None:
    """Raise a ValueError where datasets of an HDF5 file claim, or expand to, more than it can hold, or are kept in other files."""
    limit = most(file)
    for name, node in nodes.items():
        if node.external or node.is_virtual or node.file.filename != str(file):
            raise ValueError(f"{name!r} must be in the file itself, got one that is kept in other files")
        if node.chunks is not None:
            # It is read whole, however few of its numbers are in the array.
            n_bytes = math.prod(node.chunks) * node.dtype.itemsize
            fits(f"a chunk of {name!r}", n_bytes, limit)
            _check_filters(name, node, n_bytes, limit)
    claimed = sum(math.prod(node.shape or ()) * node.dtype.itemsize for node in nodes.values())
    fits("the file", claimed, limit)


def _check_filters(name: str, node: Any, n_bytes: int, limit: int) -> None:  # noqa: ANN401
    plist = node.id.get_create_plist()
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    packing = [number for number in filters if number not in {_SHUFFLE, _CHECKSUM}]
    if not packing:
        return
    if len(packing) > 1 or packing[0] not in _TIMES:
        raise ValueError(f"{name!r} must be compressed once, by gzip or lzf, got the HDF5 filters {filters}")
    times = _TIMES[packing[0]]
    if times * node.id.get_storage_size() <= limit:
        return
    large: list[Any] = []
    node.id.chunk_iter(lambda info: large.append(info) if times * info.size > limit else None)
    for info in large:
        if packing[0] == _LZF:
            fits(f"a chunk of {name!r}", times * info.size, limit)
        elif not info.filter_mask >> filters.index(_DEFLATE) & 1:
            _, packed = node.id.read_direct_chunk(info.chunk_offset)
            most_bytes = n_bytes + _CHECKSUM_BYTES
            if len(zlib.decompressobj().decompress(packed, most_bytes + 1)) > most_bytes:
                raise ValueError(f"a chunk of {name!r} must have {n_bytes} bytes, got one that inflates to more")


def datasets(content: Any) -> dict[str, Any]:  # noqa: ANN401
    """Datasets of an open file by their paths in it, each once; no link is followed to where it is not kept.

    HDF5's own visit looks each object up from the root, which in groups nested without end takes hours.
    """
    import h5py

    found: dict[str, Any] = {}
    seen = {h5py.h5o.get_info(content.id).addr}

    def visit(group: Any, path: str, depth: int) -> None:  # noqa: ANN401
        if depth > _DEEPEST:
            raise ValueError(f"groups must be nested at most {_DEEPEST} deep, got more")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            node = group[name]
            address = h5py.h5o.get_info(node.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(node, h5py.Dataset):
                found[path + name] = node
            elif isinstance(node, h5py.Group):
                visit(node, f"{path}{name}/", depth + 1)

    visit(content, "", 0)
    return found


def array(file: Path, node: Any) -> NDArray[Any]:  # noqa: ANN401
    """Numbers or text of a dataset that is `fitting`; of another kind, or text of several dimensions, only that it is.

    Text has the dtype of Python objects.
    """
    import h5py

    text = h5py.check_string_dtype(node.dtype)
    if text and node.ndim == 0:
        return np.asarray(node.asstr()[()], dtype=object)
    if text and node.ndim == 1:
        return np.array(list(_strings(file, node)), dtype=object)
    return np.empty((0,) * node.ndim, dtype=object) if text or node.dtype.hasobject else np.asarray(node[()])


def _strings(file: Path, node: Any) -> Iterator[str]:  # noqa: ANN401
    # Each is at most as long as the file, and may be one that others are too.
    step = max(most(file) // file.stat().st_size, 1)
    total = 0
    for at in range(0, len(node), step):
        for text in node.asstr()[at : at + step].tolist():
            total += len(text)
            fits("text", total, FREE)
            yield text


def attribute(file: Path, node: Any, name: str) -> Any:  # noqa: ANN401
    """An attribute, of numbers or text; None where there is none."""
    import h5py

    if name not in node.attrs:
        return None
    found = node.attrs.get_id(name)
    if found.dtype.hasobject and not h5py.check_string_dtype(found.dtype):
        # As HDF5 sees text of a broken type, and falls over it.
        raise ValueError(f"the attribute {name!r} must hold numbers or text, got lists or references")
    each = file.stat().st_size if found.dtype.hasobject else found.dtype.itemsize
    fits(f"the attribute {name!r}", math.prod(found.shape or ()) * each, most(file))
    return node.attrs[name]
