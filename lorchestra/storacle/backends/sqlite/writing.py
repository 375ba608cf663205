"""Rows into a table: looked up, compared, and written, in chunks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from lorchestra.errors import Path
from lorchestra.storacle.backends.base import Counts
from lorchestra.storacle.backends.sqlite.layout import Change, Key, Layout, Moment, Written, listed, matches, quoted
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

T = TypeVar("T")

_CHUNK = 500
# How many keys are looked up by one statement: few sizes, so that SQLite knows the statements already.
_SIZES = (1, 16, 128, _CHUNK)


def upsert(connection: sqlite3.Connection, layout: Layout, rows: Sequence[Any], at: Path, moment: Moment) -> Counts:
    counts = {"inserted": 0, "updated": 0, "unchanged": 0}
    for chunk in _chunks(layout, rows, at):
        changes = []
        for _, row, old in _with_old(connection, layout, chunk):
            if old is None:
                counts["inserted"] += 1
                changes.append(layout.insertion(row, moment))
                continue
            change = layout.change(row, old, moment)
            counts["unchanged" if change is None else "updated"] += 1
            change = change or layout.touch(row, moment)
            if change is not None:
                changes.append(change)
        _write(connection, changes)
    return counts


def append(connection: sqlite3.Connection, layout: Layout, rows: Sequence[Any], at: Path, moment: Moment) -> Counts:
    counts = {"inserted": 0, "unchanged": 0}
    for chunk in _chunks(layout, rows, at):
        changes = []
        for index, row, old in _with_old(connection, layout, chunk):
            if old is None:
                counts["inserted"] += 1
                changes.append(layout.insertion(row, moment))
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


def _chunks(layout: Layout, rows: Sequence[Any], at: Path) -> Iterator[dict[Key, tuple[int, Written]]]:
    """Rows by their keys, with their positions; of two rows with one key, the second comes in a later chunk."""
    chunk: dict[Key, tuple[int, Written]] = {}
    for index, value in enumerate(rows):
        try:
            row = layout.read_in(value)
        except RpcError as error:
            raise RpcError(error.code, at=(*at, index, *error.at)) from None
        if row.key in chunk or len(chunk) >= _CHUNK:
            yield chunk
            chunk = {}
        chunk[row.key] = (index, row)
    if chunk:
        yield chunk


def _with_old(
    connection: sqlite3.Connection, layout: Layout, chunk: Mapping[Key, tuple[int, Written]]
) -> Iterator[tuple[int, Written, Mapping[str, Any] | None]]:
    """Each row, and what is there under its key."""
    columns = layout.wanted([row for _, row in chunk.values()])
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
    for key, (index, row) in chunk.items():
        yield index, row, found.get(key)


def _placed(read: Callable[[object], T], row: object, at: Path, index: int) -> T:
    try:
        return read(row)
    except RpcError as error:
        raise RpcError(error.code, at=(*at, index, *error.at)) from None


def _write(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    for sql, group in groupby(sorted(changes, key=_statement), key=_statement):
        connection.executemany(sql, [change.values for change in group])


def _statement(change: Change) -> str:
    return change.sql
