"""What a Parquet file expands to, before Arrow reads it.

Arrow sets aside what the header of a page claims, whatever the footer of the file says; rows may be few and lists in them long; text may be
one entry of a dictionary, or the beginning of the one before, in every row. What it says of the columns of a footer that contradicts itself
ends the process, so that the footer is read here. The format: https://parquet.apache.org/docs/file-format, with headers in Thrift's compact
protocol, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from gwrsa.bounds import fits, most

# Encodings in which a value takes as much as it is long: plain, or in a dictionary, or runs of numbers.
_ENCODINGS = {0: "PLAIN", 2: "PLAIN_DICTIONARY", 3: "RLE", 8: "RLE_DICTIONARY"}
_STOP, _TRUE, _FALSE, _BYTE, _INT32, _INT64, _DOUBLE, _TEXT, _LIST, _STRUCT = 0, 1, 2, 3, 5, 6, 7, 8, 9, 12
_WHOLE_NUMBERS = {4, _INT32, _INT64}
# Numbers and kinds of fields: of the footer, of a group of rows, of a column's part of it, of what is said of that.
_GROUPS = 4, _LIST
_COLUMNS, _ROWS = (1, _LIST), (3, _INT64)
_SAID = 3, _STRUCT
_PATH, _SIZE, _FIRST_PAGE, _DICTIONARY = (3, _LIST), (7, _INT64), (9, _INT64), (11, _INT64)
# Of a page's header: its sizes, where the header of its kind is, and where in that is the encoding of its values.
_UNCOMPRESSED, _COMPRESSED = (2, _INT32), (3, _INT32)
_KINDS = {5: 2, 7: 2, 8: 4}
_FOOTER = 8
_DEEPEST = 12
# A list of at least so many.
_LONG = 15


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
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        groups = _footer(content).get(_GROUPS, [])
        claimed = 8 * sum(abs(group[_ROWS]) for group in groups) * seen.num_columns
        for column in (column for group in groups for column in group[_COLUMNS]):
            for n_bytes in _pages(content, column[_SAID]):
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


_Fields: TypeAlias = "dict[tuple[int, int], Any]"


def _footer(content: mmap.mmap) -> _Fields:
    """Fields of what stands before its own length, of four bytes, and the four letters at the end."""
    at = len(content) - _FOOTER
    return _fields(content, at - int.from_bytes(content[at : at + 4], "little"), 0)[0]


def _pages(content: mmap.mmap, said: _Fields) -> Iterator[int]:
    """Bytes of each page of a column's part of a group of rows, as Arrow finds them."""
    name = b".".join(said[_PATH]).decode()
    # One without rows has a dictionary, and its pages at byte 0.
    at = min([offset for offset in (said.get(_DICTIONARY), said[_FIRST_PAGE]) if offset], default=0)
    end = at + said[_SIZE]
    if not 0 <= at <= end <= len(content):
        raise ValueError(f"{name!r} must lie in the file, got bytes {at} to {end} of {len(content)}")
    while at < end:
        header, at = _fields(content, at, 0)
        n_bytes, packed = header[_UNCOMPRESSED], header[_COMPRESSED]
        if min(n_bytes, packed) < 0:
            raise ValueError(f"a page of {name!r} must have a size, got {n_bytes} and {packed}")
        for kind, place in _KINDS.items():
            encoding = header.get((kind, _STRUCT), {}).get((place, _INT32), 0)
            if encoding not in _ENCODINGS:
                named = ", ".join(_ENCODINGS.values())
                raise ValueError(f"a page of {name!r} must be encoded as one of {named}, got number {encoding}")
        at += packed
        yield n_bytes


def _fields(content: mmap.mmap, at: int, depth: int) -> tuple[_Fields, int]:
    """Fields of a structure by their numbers in it and their kinds, and where it ends."""
    found: _Fields = {}
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
            found[number, _TRUE] = kind == _TRUE
        else:
            found[number, kind], at = _value(content, at, kind, depth)
    return found, at + 1


def _value(content: mmap.mmap, at: int, kind: int, depth: int) -> tuple[Any, int]:
    """What stands at a place, of any kind but maps and sets, which there are none of, and where it ends."""
    if depth > _DEEPEST:
        raise ValueError(f"headers must be nested at most {_DEEPEST} deep, got more")
    if kind in _WHOLE_NUMBERS:
        raw, at = _varint(content, at)
        return _signed(raw), at
    if kind == _BYTE:
        return content[at], at + 1
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _TEXT:
        length, at = _varint(content, at)
        return content[at : at + length], at + length
    if kind == _STRUCT:
        return _fields(content, at, depth + 1)
    if kind != _LIST:
        raise ValueError(f"headers must hold numbers, text, lists and structures, got kind {kind}")
    length, kind = content[at] >> 4, content[at] & 0xF
    at += 1
    if length == _LONG:
        length, at = _varint(content, at)
    fits("a list", length, len(content))
    values = []
    for _ in range(length):
        # A truth value in a list has a byte of its own.
        value, at = (content[at], at + 1) if kind in {_TRUE, _FALSE} else _value(content, at, kind, depth + 1)
        values.append(value)
    return values, at


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
