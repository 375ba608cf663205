"""Rows out of the file: in their order, a page at a time or all of them, and counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from lorchestra.errors import Path
from lorchestra.storacle.backends import outputs
from lorchestra.storacle.backends.base import Page
from lorchestra.storacle.backends.outputs import READ
from lorchestra.storacle.backends.sqlite import conditions
from lorchestra.storacle.backends.sqlite.conditions import Clause
from lorchestra.storacle.backends.sqlite.keyset import Ordering
from lorchestra.storacle.backends.sqlite.layout import SqlValue, quoted
from lorchestra.storacle.backends.sqlite.sources import Output, Source
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.fields import Field
from lorchestra.storacle.methods.asserts import AssertUnique
from lorchestra.storacle.read_spec import Read, Unprocessed, Where
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import CONTENT_HASH, Type

PAGE_BYTES = 1024 * 1024
AHEAD_BYTES = 4 * PAGE_BYTES
"""Of a page and those that follow it."""

_MOST_ROWS = 2**63 - 1

_WHERE: Path = (*READ, "where")


def page(
    connection: sqlite3.Connection,
    source: Source,
    read: Read,
    after: Sequence[Any] | None,
    limit: int,
    *,
    markers: Source | None,
) -> Page:
    selection = Query(source, read, markers)
    rows: list[dict[str, Any]] = []
    size = 0
    last = None if after is None else list(after)
    for place, row, length in selection.rows(connection, after, limit + 1):
        if len(rows) >= limit or size >= PAGE_BYTES:
            return Page(rows=rows, next=last)
        last = place
        size += length
        rows.append(row)
    return Page(rows=rows, next=None)


def pages(
    connection: sqlite3.Connection, source: Source, read: Read, after: Sequence[Any] | None, limit: int
) -> Iterator[Page]:
    """A page and those that follow it, until they would take much memory."""
    rows: list[dict[str, Any]] = []
    size = total = 0
    last = None if after is None else list(after)
    for place, row, length in Query(source, read, None).rows(connection, after, None):
        if len(rows) >= limit or size >= PAGE_BYTES:
            yield Page(rows=rows, next=last)
            total += size
            if total >= AHEAD_BYTES:
                return
            rows, size = [], 0
        last = place
        size += length
        rows.append(row)
    yield Page(rows=rows, next=None)


def count(connection: sqlite3.Connection, source: Source, where: Where, at: Path) -> int:
    clause = conditions.clause(source, where, at)
    return int(
        connection.execute(f"SELECT count(*) FROM {quoted(source.physical)}{clause.sql}", clause.values).fetchone()[0]
    )


def count_distinct(connection: sqlite3.Connection, source: Source, asked: AssertUnique, at: Path) -> tuple[int, int]:
    """How many rows that match have a value in each of the columns, and how many different ones."""
    clause = conditions.clause(source, asked.where, (*at, "where"))
    compared: list[str] = []
    values: list[SqlValue] = []
    for column in asked.columns:
        output = source.output(Field(column, column))
        if output is None:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "columns"))
        compared.append(output.sql)
        values += output.values
        # The JSON of a null is a text.
        clause.add(
            f"coalesce({output.sql}, 'null') <> 'null'" if output.values else f"{output.sql} IS NOT NULL",
            *output.values,
        )
    rows = f"SELECT {', '.join(compared)} FROM {quoted(source.physical)}{clause.sql}"
    sql = f"SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT * FROM ({rows}))) FROM ({rows})"
    both = [*values, *clause.values]
    found, different = connection.execute(sql, [*both, *both]).fetchone()
    return found, different


class Query:
    """One read of one source, as a statement."""

    def __init__(self, source: Source, read: Read, markers: Source | None) -> None:
        """Raises RpcError (invalid params) for fields that are not there."""
        self._source = source
        self._read = read
        self._markers = markers
        self._ordering = Ordering(source, read.order_by)
        chosen = outputs.chosen(source, read, source.output)
        self._gives_texts = chosen is None
        self._outputs = {"row": Output("row", (), orjson.loads)} if chosen is None else chosen

    @property
    def columns(self) -> dict[str, Type | None]:
        """The names of what is given, and their types. Raises RpcError where rows may hold any."""
        return outputs.types(self._source, self._read)

    def everything(self, connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
        return (row for _, row, _ in self.rows(connection, None, self._read.limit))

    def rows(
        self, connection: sqlite3.Connection, after: Sequence[Any] | None, limit: int | None
    ) -> Iterator[tuple[list[Any], dict[str, Any], int]]:
        """The place of each row, the row, and about how long it is."""
        ordering, source = self._ordering, self._source
        clause = conditions.clause(source, self._read.where, _WHERE)
        if self._read.unprocessed is not None:
            self._leave_out_processed(clause, self._read.unprocessed)
        skip = 0 if after is None else ordering.start_behind(clause, after)
        terms, term_values = ordering.selected
        selected = ", ".join([*terms, *(output.sql for output in self._outputs.values())])
        values = [*term_values, *(value for output in self._outputs.values() for value in output.values)]
        end = "" if limit is None else f" LIMIT {min(limit + skip, _MOST_ROWS)}"
        sql = f"SELECT {selected} FROM {quoted(source.physical)}{clause.sql} ORDER BY {ordering.sql}{end}"
        places = ordering.places(after)
        level = None if after is None else list(after[:-1])
        for found in connection.execute(sql, [*values, *clause.values]):
            place = places(found)
            if skip and place[:-1] == level and place[-1] <= skip:
                # One of those that are alike, and has been given.
                continue
            given = found[len(terms) :]
            yield place, self._row(given), sum(len(value) for value in given if isinstance(value, str))

    def _row(self, values: Sequence[Any]) -> dict[str, Any]:
        if self._gives_texts:
            row: dict[str, Any] = orjson.loads(values[0])
            return row
        return {name: output.read(value) for (name, output), value in zip(self._outputs.items(), values, strict=True)}

    def _leave_out_processed(self, clause: Clause, asked: Unprocessed) -> None:
        """A marker counts when it speaks of what the row says now and, if that is asked, of the code that is asked."""
        if self._markers is None:
            return
        physical = quoted(self._source.physical)
        code = "" if asked.code_hash is None else " AND m.code_hash = ?"
        clause.add(
            f"NOT EXISTS (SELECT 1 FROM {quoted(self._markers.physical)} m WHERE m.stage = ? "
            f"AND m.idem_key = {physical}.idem_key AND m.content_hash = lower(hex({physical}.{CONTENT_HASH})){code})",
            asked.stage,
            *(() if asked.code_hash is None else (asked.code_hash,)),
        )
