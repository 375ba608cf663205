"""What each method does to the file, within one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from lorchestra.errors import Path
from lorchestra.json_value import JSONValue, canonical_bytes
from lorchestra.storacle.backends.base import Counts, NamespaceObject, ReadyOp
from lorchestra.storacle.backends.sqlite import made_by_query, reading, writing
from lorchestra.storacle.backends.sqlite.catalog import Catalog
from lorchestra.storacle.backends.sqlite.layout import Layout, Moment
from lorchestra.storacle.backends.sqlite.sources import Source
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods.asserts import AssertExists, AssertRows, AssertUnique
from lorchestra.storacle.methods.rows import Rows
from lorchestra.storacle.methods.sql import SqlExecute, ViewCreate
from lorchestra.storacle.methods.state import Change, StatePut, decide
from lorchestra.storacle.params import Meta
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import tag_of


class SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection, catalog: Catalog, meta: Meta, at: str) -> None:
        """Raises RpcError (fenced) unless the token is the run's newest."""
        self._connection = connection
        self._catalog = catalog
        catalog.begin(connection)
        self._meta = meta
        self._at = at
        row = connection.execute(
            "SELECT token FROM _runs WHERE namespace = ? AND run_id = ?", (meta.namespace, meta.run_id)
        ).fetchone()
        if meta.token != (None if row is None else row[0]):
            raise RpcError(ErrorCode.FENCED)

    def apply(self, op: ReadyOp) -> Counts:
        try:
            return METHODS[op.method](self, op.params, op.at, Moment(self._at, self._meta.run_id, tag_of(op.key)))
        except UnicodeError:
            # A text with half a character, which comes from a caller in this process alone: to look for it in every
            # row would cost more than this does.
            raise RpcError(ErrorCode.INVALID_PARAMS, at=op.at) from None

    def recorded(self, key: str) -> Counts | None:
        row = self._connection.execute(
            "SELECT counts FROM _ledger WHERE namespace = ? AND key = ?", (self._meta.namespace, key)
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def record(self, op: ReadyOp, counts: Counts) -> None:
        meta = self._meta
        self._connection.execute(
            """INSERT INTO _ledger (namespace, key, run_id, job_id, job_version, step_id, op_id, method, code_sha256,
            content_sha256, tag, counts, applied_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                meta.namespace,
                op.key,
                meta.run_id,
                meta.job_id,
                meta.job_version,
                meta.step_id,
                op.op_id,
                op.method,
                meta.code_sha256,
                op.content_sha256,
                tag_of(op.key),
                orjson.dumps(counts).decode(),
                self._at,
            ),
        )

    def announce(self, made: NamespaceObject) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO _namespace_objects (namespace, kind, name, run_id) VALUES (?, ?, ?, ?)",
            (self._meta.namespace, made.kind, made.name, self._meta.run_id),
        )

    # The methods

    def upsert(self, rows: Rows, at: Path, moment: Moment) -> Counts:
        return writing.upsert(self._connection, self._open(rows, at), rows.rows, (*at, "rows"), moment)

    def append(self, rows: Rows, at: Path, moment: Moment) -> Counts:
        return writing.append(self._connection, self._open(rows, at), rows.rows, (*at, "rows"), moment)

    def delete(self, rows: Rows, at: Path, moment: Moment) -> Counts:
        layout = self._open(rows, at, makes=False)
        return writing.delete(self._connection, layout, rows.rows, (*at, "rows"))

    def put_state(self, params: StatePut, at: Path, moment: Moment) -> Counts:
        change = decide(params, self._state(params.key), at)
        if change is Change.STORED:
            self._connection.execute(
                "INSERT OR REPLACE INTO _state (namespace, key, value) VALUES (?, ?, ?)",
                (self._meta.namespace, params.key, canonical_bytes(params.value).decode()),
            )
        return change.counts()

    def assert_rows(self, params: AssertRows, at: Path, moment: Moment) -> Counts:
        found = self._count(params, at)
        return _assertion(params.holds_for(found), found)

    def assert_exists(self, params: AssertExists, at: Path, moment: Moment) -> Counts:
        found = self._count(params, at)
        return _assertion(found > 0, found)

    def assert_unique(self, params: AssertUnique, at: Path, moment: Moment) -> Counts:
        source = self._source(params.dataset, params.table)
        found, different = (0, 0) if source is None else reading.count_distinct(self._connection, source, params, at)
        return _assertion(found == different, found)

    def create_view(self, params: ViewCreate, at: Path, moment: Moment) -> Counts:
        return made_by_query.create_view(self._connection, self._catalog, self._meta.namespace, params, at)

    def execute_sql(self, params: SqlExecute, at: Path, moment: Moment) -> Counts:
        return made_by_query.execute(self._connection, self._catalog, self._meta.namespace, params, at)

    # What they need

    def _state(self, key: str) -> JSONValue:
        row = self._connection.execute(
            "SELECT value FROM _state WHERE namespace = ? AND key = ?", (self._meta.namespace, key)
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def _count(self, params: AssertRows | AssertExists, at: Path) -> int:
        source = self._source(params.dataset, params.table)
        return 0 if source is None else reading.count(self._connection, source, params.where, (*at, "where"))

    def _source(self, dataset: str, table: str) -> Source | None:
        return self._catalog.source(self._connection, (self._meta.namespace, dataset, table))

    def _open(self, rows: Rows, at: Path, *, makes: bool = True) -> Layout:
        """The table; a new one when there is none yet, and there is something to put into it."""
        table_id = (self._meta.namespace, rows.dataset, rows.table)
        layout = self._catalog.find(self._connection, table_id)
        declared = self._catalog.declared(table_id)
        key_columns = layout.key_columns if layout else declared.key_columns if declared else rows.key_columns
        if key_columns != rows.key_columns:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "key_columns"))
        if layout is None and self._catalog.entry(self._connection, table_id) is not None:
            # A query made it, and says what it holds.
            raise RpcError(ErrorCode.CONFLICT, at=(*at, "table"))
        if layout is None and not (makes and rows.rows):
            return self._catalog.unmade(table_id, key_columns)
        return layout or self._catalog.create(self._connection, table_id, key_columns)


Method = Callable[[SqliteTransaction, Any, Path, Moment], Counts]

METHODS: Mapping[str, Method] = {
    "table.upsert": SqliteTransaction.upsert,
    "table.insert": SqliteTransaction.append,
    "wal.append": SqliteTransaction.append,
    "event.append": SqliteTransaction.append,
    "table.delete": SqliteTransaction.delete,
    "state.put": SqliteTransaction.put_state,
    "assert.rows": SqliteTransaction.assert_rows,
    "assert.exists": SqliteTransaction.assert_exists,
    "assert.unique": SqliteTransaction.assert_unique,
    "view.create": SqliteTransaction.create_view,
    "sql.execute": SqliteTransaction.execute_sql,
}


def _assertion(holds: bool, found: int) -> Counts:
    if not holds:
        raise RpcError(ErrorCode.ASSERTION_FAILED)
    return {"matched": found}
