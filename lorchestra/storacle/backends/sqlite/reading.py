"""Rows out of a table: in the order of their key, a page at a time, and counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends.base import Page
from lorchestra.storacle.backends.sqlite import conditions
from lorchestra.storacle.backends.sqlite.declared import DeclaredLayout
from lorchestra.storacle.backends.sqlite.layout import Layout, listed, quoted
from lorchestra.storacle.backends.sqlite.undeclared import UndeclaredLayout
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.read_spec import Read, Where
from lorchestra.storacle.row_filter import is_match, kind_of
from lorchestra.storacle.service import RpcError

PAGE_BYTES = 4 * 1024 * 1024

_WHERE: Path = ("read", "where")


def page(connection: sqlite3.Connection, layout: Layout, read: Read, after: Sequence[Any] | None, limit: int) -> Page:
    if after is not None and len(after) != len(layout.key_columns):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
    if isinstance(layout, DeclaredLayout):
        return _declared_page(connection, layout, read, after, limit)
    assert isinstance(layout, UndeclaredLayout)
    return _undeclared_page(connection, layout, read, after, limit)


def state_page(
    connection: sqlite3.Connection, namespace: str, read: Read, after: Sequence[Any] | None, limit: int
) -> Page:
    """The cursors, as rows of a table with a key and a value."""
    if after is not None and (len(after) != 1 or not isinstance(after[0], str)):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
    found = connection.execute(
        "SELECT key, value FROM _state WHERE namespace = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key",
        (namespace, None if after is None else after[0]),
    )
    sized = (({"key": key, "value": orjson.loads(value)}, len(value)) for key, value in found)
    return _filled(sized, ("key",), read, after, limit)


def count(connection: sqlite3.Connection, layout: Layout, where: Where) -> int:
    if isinstance(layout, DeclaredLayout):
        clause = conditions.clause(layout.columns, where, ("where",))
        sql = f"SELECT count(*) FROM {quoted(layout.physical)}{clause.sql}"
        return int(connection.execute(sql, clause.values).fetchone()[0])
    return sum(1 for _ in _matching(connection, layout, where))


def count_distinct(
    connection: sqlite3.Connection, layout: Layout, columns: Sequence[str], where: Where
) -> tuple[int, int]:
    if isinstance(layout, DeclaredLayout):
        for column in columns:
            if column not in layout.columns:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=("columns",))
        clause = conditions.clause(layout.columns, where, ("where",))
        for column in columns:
            clause.add(f"{quoted(column)} IS NOT NULL")
        rows = f"SELECT {listed(columns)} FROM {quoted(layout.physical)}{clause.sql}"
        sql = f"SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT * FROM ({rows}))) FROM ({rows})"
        found, different = connection.execute(sql, [*clause.values, *clause.values]).fetchone()
        return found, different
    seen: set[bytes] = set()
    found = 0
    for row in _matching(connection, layout, where):
        values = [[kind_of(row.get(column)), row.get(column)] for column in columns]
        if all(one is not None for _, one in values):
            found += 1
            seen.add(canonical_bytes(values))
    return found, len(seen)


def _matching(connection: sqlite3.Connection, layout: Layout, where: Where) -> Iterator[dict[str, Any]]:
    for (encoded,) in connection.execute(f"SELECT row FROM {quoted(layout.physical)} ORDER BY key"):
        row: dict[str, Any] = orjson.loads(encoded)
        if is_match(row, where):
            yield row


def _undeclared_page(
    connection: sqlite3.Connection, layout: UndeclaredLayout, read: Read, after: Sequence[Any] | None, limit: int
) -> Page:
    start = None if after is None else layout.key_from(after)
    if after is not None and start is None:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
    table = quoted(layout.physical)
    found = connection.execute(
        f"SELECT row FROM {table} ORDER BY key"
        if start is None
        else f"SELECT row FROM {table} WHERE key > ? ORDER BY key",
        start or (),
    )
    sized = ((orjson.loads(encoded), len(encoded)) for (encoded,) in found)
    return _filled(sized, layout.key_columns, read, after, limit)


def _filled(
    sized: Iterator[tuple[dict[str, Any], int]],
    key_columns: Sequence[str],
    read: Read,
    after: Sequence[Any] | None,
    limit: int,
) -> Page:
    """What matches of the rows that come, until the page is full."""
    rows: list[dict[str, Any]] = []
    size = 0
    last = None if after is None else list(after)
    for row, length in sized:
        if len(rows) >= limit or size >= PAGE_BYTES:
            return Page(rows=rows, next=last)
        last = [row.get(column) for column in key_columns]
        if is_match(row, read.where):
            size += length
            rows.append(row if read.columns is None else {column: row.get(column) for column in read.columns})
    return Page(rows=rows, next=None)


def _declared_page(
    connection: sqlite3.Connection, layout: DeclaredLayout, read: Read, after: Sequence[Any] | None, limit: int
) -> Page:
    columns = read.columns or tuple(layout.columns)
    if not layout.columns.keys() >= set(columns):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("read", "columns"))
    clause = conditions.clause(layout.columns, read.where, _WHERE)
    keys = layout.key_columns
    if after is not None:
        if any(not isinstance(value, str) for value in after):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=("after",))
        clause.add(f"({listed(keys)}) > ({', '.join('?' * len(keys))})", *after)
    sql = (
        f"SELECT {listed((*keys, *columns))} FROM {quoted(layout.physical)}{clause.sql} ORDER BY {listed(keys)} LIMIT ?"
    )
    rows: list[dict[str, Any]] = []
    size = 0
    last = None if after is None else list(after)
    for found in connection.execute(sql, (*clause.values, limit + 1)):
        if len(rows) >= limit or size >= PAGE_BYTES:
            return Page(rows=rows, next=last)
        last = list(found[: len(keys)])
        values = found[len(keys) :]
        size += sum(len(value) for value in values if isinstance(value, str))
        rows.append(layout.read_out(values, columns))
    return Page(rows=rows, next=None)
