"""What a Parquet file unpacks to, found out without unpacking it.

A few hundred bytes of Parquet can stand for gigabytes: a page may be compressed text that
repeats, a dictionary may hold one long text that every row refers to, and what the footer
says of all this need not be so. The truth is in the header in front of each page, which the
decoder goes by too. So footer and headers are read first, here. They are structs in Thrift's
compact protocol, laid out in `parquet.thrift` of the Parquet format; the numbers of fields below
are from there. Nothing of it is left to the library, which ends the process at some footers.
"""

from __future__ import annotations

from typing import Any

MAGIC = b"PAR1"
_CODECS = {0, 1, 6}  # none, Snappy, Zstandard: what pyarrow and we write

# Thrift's compact protocol: the type of a field is the lower half of its first byte.
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(
    13
)
_DEEPEST = 16

Struct = dict[int, Any]
"""Field number -> value; only the fields that are there."""


def unpacked_size(data: bytes) -> tuple[int, int]:
    """Rows of the Parquet file `data`, and bytes of all its pages, unpacked, by their own headers.

    Raises:
        ValueError: if it is not such a file, or its footer does not agree with itself or with the
            pages; says where.
    """
    if len(data) < 12 or data[:4] != MAGIC or data[-4:] != MAGIC:
        raise ValueError("it does not begin and end as one")
    end = len(data) - 8
    start = end - int.from_bytes(data[-8:-4], "little")
    if start < 4:
        raise ValueError("its footer is longer than the file")
    footer = _Reader(data, start, end).struct()
    rows = _whole(footer, 3, "the footer", "rows")
    total = found = 0
    for group in _structs(footer, 4, "the footer"):
        count = _whole(group, 3, "a row group", "rows")
        found += count
        for column in _structs(group, 1, "a row group"):
            total += _column_size(data, column, count)
    if found != rows:
        raise ValueError(f"its row groups have {found:,} rows; its footer says {rows:,}")
    return rows, total


def _column_size(data: bytes, column: Struct, rows: int) -> int:
    """Bytes of the pages of one column of a row group, unpacked."""
    if column.get(1):
        raise ValueError("a column is said to be in another file")
    meta = column.get(3)
    if not isinstance(meta, dict):
        raise ValueError("a column is not described")
    if _whole(meta, 4, "a column", "how it is compressed") not in _CODECS:
        raise ValueError(f"a column is compressed by method {meta[4]}; expected 0, 1 or 6")
    if _whole(meta, 5, "a column", "values") != rows:
        raise ValueError("a column has another number of values than of rows")
    packed = _whole(meta, 7, "a column", "bytes")
    start = _whole(meta, 9, "a column", "its first page")
    # Where the decoder starts: at the dictionary, if there is one in front.
    dictionary = meta.get(11)
    if isinstance(dictionary, int) and 0 < dictionary < start:
        start = dictionary
    end = start + packed
    if not 0 < start <= end <= len(data):
        raise ValueError("a column lies outside of the file")
    total = 0
    while start < end:
        reader = _Reader(data, start, end)
        page = reader.struct()
        total += _whole(page, 2, "a page", "its size")
        start = reader.position + _whole(page, 3, "a page", "its size")
        if start > end:
            raise ValueError("a page is longer than its column")
    return total


def _whole(struct: Struct, field: int, where: str, what: str) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{where} does not say {what}")
    return value


def _structs(struct: Struct, field: int, where: str) -> list[Struct]:
    values = struct.get(field)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ValueError(f"{where} lacks a list that it must have")
    return values


class _Reader:
    """Reads one struct from `data`; `position` is then that of what follows it."""

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self._data = data
        self._end = end
        self.position = position

    def struct(self, depth: int = 0) -> Struct:
        """The struct at `position`.

        Raises:
            ValueError: if there is none.
        """
        if depth > _DEEPEST:
            raise ValueError("a struct is nested too deeply")
        fields: Struct = {}
        field = 0
        while True:
            first = self._byte()
            kind = first & 0x0F
            if kind == _STOP:
                return fields
            field = field + (first >> 4) if first >> 4 else self._signed()
            if kind in (_TRUE, _FALSE):  # the type is the value
                fields[field] = kind == _TRUE
            else:
                fields[field] = self._value(kind, depth + 1)

    def _byte(self) -> int:
        if self.position >= self._end:
            raise ValueError("a struct is cut off")
        self.position += 1
        return self._data[self.position - 1]

    def _bytes(self, count: int) -> bytes:
        if count > self._end - self.position:
            raise ValueError("a struct is cut off")
        self.position += count
        return self._data[self.position - count : self.position]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)  # zigzag: small either side of 0 is short

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("a struct is nested too deeply")
        if kind in (_I16, _I32, _I64):
            return self._signed()
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind in (_LIST, _SET):
            first = self._byte()
            count = first >> 4 if first >> 4 < 15 else self._unsigned()
            # Each takes a byte at least, so that there are no more than there are bytes.
            return [self._value(first & 0x0F, depth + 1) for _ in range(count)]
        if kind == _MAP:
            pairs = self._unsigned()
            kinds = self._byte() if pairs else 0
            for _ in range(pairs):
                self._value(kinds >> 4, depth + 1)
                self._value(kinds & 0x0F, depth + 1)
            return None
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError("a value is of an unknown type")
