"""Rows into a table: looked up, compared, and written, in chunks."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts
from lorchestra.storacle.backends.sqlite.layout import (
    Change,
    Key,
    Layout,
    Moment,
    SqlValue,
    Written,
    listed,
    matches,
    quoted,
)
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

T = TypeVar("T")
_Changes: TypeAlias = defaultdict[str, list[tuple[SqlValue, ...]]]

_CHUNK = 128
# How many keys are looked up by one statement: few sizes, so that SQLite knows the statements already.
_SIZES = (1, 16, _CHUNK)


def upsert(connection: sqlite3.Connection, layout: Layout, rows: Sequence[Any], at: Path, moment: Moment) -> Counts:
    counts = {"inserted": 0, "updated": 0, "unchanged": 0}
    for _, chunk in _chunks(layout, rows, at):
        changes: _Changes = defaultdict(list)
        for row, old in _with_old(connection, layout, chunk):
            change: Change | None
            if old is None:
                counts["inserted"] += 1
                change = layout.insertion(row, moment)
            else:
                says_new, change = layout.change(row, old, moment)
                counts["updated" if says_new else "unchanged"] += 1
            if change is not None:
                changes[change[0]].append(change[1])
        _write(connection, changes)
    return counts


def append(connection: sqlite3.Connection, layout: Layout, rows: Sequence[Any], at: Path, moment: Moment) -> Counts:
    counts = {"inserted": 0, "unchanged": 0}
    for start, chunk in _chunks(layout, rows, at):
        changes: _Changes = defaultdict(list)
        for index, (row, old) in enumerate(_with_old(connection, layout, chunk), start):
            if old is None:
                counts["inserted"] += 1
                sql, values = layout.insertion(row, moment)
                changes[sql].append(values)
            elif layout.is_same(row, old):
                counts["unchanged"] += 1
            else:
                raise RpcError(ErrorCode.CONFLICT, at=(*at, index))
        _write(connection, changes)
    return counts


def delete(connection: sqlite3.Connection, layout: Layout, rows: Sequence[Any], at: Path) -> Counts:
    sql = f"DELETE FROM {quoted(layout.physical)} WHERE {matches(layout.key_names)}"
    keys = [_placed(layout.key_of, row, at, index) for index, row in enumerate(rows)]
    deleted = connection.executemany(sql, keys).rowcount if keys and layout.physical else 0
    return {"deleted": deleted, "absent": len(keys) - deleted}


def _chunks(layout: Layout, rows: Sequence[Any], at: Path) -> Iterator[tuple[int, dict[Key, Written]]]:
    """The position of the first row, and rows by their keys; of two with one key, the second is in a later chunk."""
    chunk: dict[Key, Written] = {}
    for index, value in enumerate(rows):
        try:
            row = layout.read_in(value)
        except RpcError as error:
            raise RpcError(error.code, at=(*at, index, *error.at)) from None
        if row.key in chunk or len(chunk) >= _CHUNK:
            yield index - len(chunk), chunk
            chunk = {}
        chunk[row.key] = row
    if chunk:
        yield len(rows) - len(chunk), chunk


def _with_old(
    connection: sqlite3.Connection, layout: Layout, chunk: Mapping[Key, Written]
) -> Iterator[tuple[Written, Mapping[str, Any] | None]]:
    """Each row, and what is there under its key."""
    columns = layout.wanted(chunk.values())
    keys = list(chunk)
    size = next(size for size in _SIZES if size >= len(keys))
    width = len(layout.key_names)
    one = "?" if width == 1 else f"({', '.join('?' * width)})"
    names = listed(layout.key_names) if width == 1 else f"({listed(layout.key_names)})"
    among = ", ".join([one] * size) if width == 1 else f"VALUES {', '.join([one] * size)}"
    sql = f"SELECT {listed((*layout.key_names, *columns))} FROM {quoted(layout.physical)} WHERE {names} IN ({among})"
    padded = keys + keys[-1:] * (size - len(keys))
    found = {
        row[:width]: dict(zip(columns, row[width:], strict=True))
        for row in connection.execute(sql, [value for key in padded for value in key])
    }
    for key, row in chunk.items():
        yield row, found.get(key)


def _placed(read: Callable[[object], T], row: object, at: Path, index: int) -> T:
    try:
        return read(row)
    except RpcError as error:
        raise RpcError(error.code, at=(*at, index, *error.at)) from None


def _write(connection: sqlite3.Connection, changes: _Changes) -> None:
    for sql, values in changes.items():
        connection.executemany(sql, values)
