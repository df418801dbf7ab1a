"""What a Parquet file expands to, before Arrow reads it.

Arrow sets aside what the header of a page claims, whatever the footer of the file says; rows may be few and lists in them long; text may be
one entry of a dictionary, or the beginning of the one before, in every row. The format: https://parquet.apache.org/docs/file-format, with
headers in Thrift's compact protocol, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gwrsa.bounds import fits, most

# Encodings in which a value takes as much as it is long: plain, or in a dictionary, or runs of numbers.
_ENCODINGS = {0: "PLAIN", 2: "PLAIN_DICTIONARY", 3: "RLE", 8: "RLE_DICTIONARY"}
_UNCOMPRESSED, _COMPRESSED = 2, 3
# Of a page's header: where the header of its kind is, and where in that is the encoding of its values.
_KINDS = {5: 2, 7: 2, 8: 4}
_STOP, _TRUE, _FALSE, _TEXT, _STRUCT = 0, 1, 2, 8, 12
_WHOLE_NUMBERS = {4, 5, 6}
_DEEPEST = 8


def check_parquet(path: Path) -> None:
    """Raise a ValueError where the file is no flat table of numbers and text, or its columns expand to more than such a file can hold."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    seen = parquet.read_metadata(path)
    columns = [seen.schema.column(i) for i in range(seen.num_columns)]
    for column in columns:
        if column.max_repetition_level or column.physical_type == "FIXED_LEN_BYTE_ARRAY":
            raise ValueError(
                f"{column.path!r} must be a column of numbers or text, got {column.physical_type} or lists"
            )
    limit = most(path)
    groups = [seen.row_group(i) for i in range(seen.num_row_groups)]
    claimed = 8 * sum(g.num_rows for g in groups) * seen.num_columns
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for group in groups:
            for i in range(group.num_columns):
                for n_bytes in _pages(content, group.column(i)):
                    claimed += n_bytes
                    fits("the table", claimed, limit)
    fits("the table", claimed, limit)
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    if not texts:
        return
    for name, column in zip(texts, parquet.read_table(path, columns=texts, read_dictionary=texts).columns, strict=True):
        for chunk in column.chunks:
            if not pa.types.is_dictionary(chunk.type):
                raise ValueError(f"{name!r} must be a column of numbers or text, got {chunk.type}")
            claimed += pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices)).as_py() or 0
            fits("the text of the table", claimed, limit)


def _pages(content: mmap.mmap, column: Any) -> Iterator[int]:  # noqa: ANN401
    """Bytes of each page of a column's part of a group of rows, as Arrow finds them."""
    # One without rows has a dictionary, and its pages at byte 0.
    at = min([offset for offset in (column.dictionary_page_offset, column.data_page_offset) if offset], default=0)
    end = at + column.total_compressed_size
    if not 0 <= at <= end <= len(content):
        raise ValueError(f"{column.path_in_schema!r} must lie in the file, got bytes {at} to {end} of {len(content)}")
    while at < end:
        header, at = _fields(content, at, 0)
        n_bytes, packed = header[_UNCOMPRESSED], header[_COMPRESSED]
        if min(n_bytes, packed) < 0:
            raise ValueError(f"a page of {column.path_in_schema!r} must have a size, got {n_bytes} and {packed}")
        for kind, place in _KINDS.items():
            if kind in header and header[kind][place] not in _ENCODINGS:
                raise ValueError(
                    f"a page of {column.path_in_schema!r} must be encoded as one of {', '.join(_ENCODINGS.values())}, "
                    f"got number {header[kind][place]}"
                )
        at += packed
        yield n_bytes


def _fields(content: mmap.mmap, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Numbers and structures of a structure by their numbers in it, and where it ends; text and lists are passed over."""
    if depth > _DEEPEST:
        raise ValueError(f"headers must be nested at most {_DEEPEST} deep, got more")
    found: dict[int, Any] = {}
    number = 0
    while (head := content[at]) != _STOP:
        at += 1
        kind = head & 0xF
        if head >> 4:
            number += head >> 4
        else:
            raw, at = _varint(content, at)
            number = _signed(raw)
        if kind in {_TRUE, _FALSE}:
            found[number] = int(kind == _TRUE)
        elif kind == _STRUCT:
            found[number], at = _fields(content, at, depth + 1)
        elif kind == _TEXT:
            length, at = _varint(content, at)
            at += length
        elif kind in _WHOLE_NUMBERS:
            raw, at = _varint(content, at)
            found[number] = _signed(raw)
        else:
            raise ValueError(f"headers of pages must hold numbers, text and structures, got kind {kind}")
    return found, at + 1


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number in the header of a page must have at most 10 bytes, got more")


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)
