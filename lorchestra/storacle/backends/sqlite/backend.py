"""The embedded backend: all datasets in one SQLite file, or in memory, for several threads and processes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any

import orjson

from lorchestra.errors import Path
from lorchestra.json_value import JSONValue, canonical_bytes
from lorchestra.storacle.backends.base import Counts, Page
from lorchestra.storacle.backends.sqlite import reading, writing
from lorchestra.storacle.backends.sqlite.catalog import Catalog, TableId
from lorchestra.storacle.backends.sqlite.database import Database
from lorchestra.storacle.backends.sqlite.declared import timestamp
from lorchestra.storacle.backends.sqlite.layout import Layout, Moment
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Meta, Rows
from lorchestra.storacle.read_spec import Read, Where
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Table, by_name

_STATE = ("storacle", "_state")


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteBackend:
    def __init__(
        self,
        path: FilePath | None,
        *,
        tables: Mapping[tuple[str, str], Table] | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Without a path, all of it is in memory, and forgotten at the end."""
        self._now = now
        self._database = Database(path, now=now())
        self._catalog = Catalog(by_name() if tables is None else tables)

    def open_run(self, meta: Meta) -> int:
        with self._database.writing() as connection:
            row = connection.execute(
                "SELECT token, attempt_n FROM _runs WHERE namespace = ? AND run_id = ?", (meta.namespace, meta.run_id)
            ).fetchone()
            token, attempt_n = row or (0, 1)
            if meta.attempt_n < attempt_n:
                raise RpcError(ErrorCode.FENCED)
            connection.execute(
                "INSERT OR REPLACE INTO _runs (namespace, run_id, token, attempt_n) VALUES (?, ?, ?, ?)",
                (meta.namespace, meta.run_id, token + 1, meta.attempt_n),
            )
            return int(token) + 1

    @contextlib.contextmanager
    def transaction(self, meta: Meta) -> Iterator[SqliteTransaction]:
        with self._database.writing() as connection:
            _check_token(connection, meta)
            tx = SqliteTransaction(connection, self._catalog, meta, timestamp(self._now()))
            yield tx
        self._catalog.remember(tx.tables)

    def page(self, namespace: str, read: Read, after: Sequence[Any] | None, limit: int) -> Page:
        if read.unprocessed is not None:
            raise RpcError(ErrorCode.UNSUPPORTED, at=("read", "unprocessed"))
        table_id = (namespace, read.dataset, read.table)
        with self._database.reading() as connection:
            if table_id[1:] == _STATE:
                return reading.state_page(connection, namespace, read, after, limit)
            layout = self._catalog.find(connection, table_id)
            if layout is None:
                return Page(rows=[], next=None)
            return reading.page(connection, layout, read, after, limit)

    @property
    def effects(self) -> int:
        """How many ops have been applied, by whomever."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM _ledger").fetchone()[0])

    def close(self) -> None:
        self._database.close()


class SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection, catalog: Catalog, meta: Meta, at: str) -> None:
        self._connection = connection
        self._catalog = catalog
        self.namespace = meta.namespace
        self._moment = Moment(at=at, run_id=meta.run_id)
        self.tables: dict[TableId, Layout] = {}

    def recorded(self, key: str) -> Counts | None:
        row = self._connection.execute(
            "SELECT counts FROM _ledger WHERE namespace = ? AND key = ?", (self.namespace, key)
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def record(self, key: str, *, method: str, op_id: str, counts: Counts) -> None:
        self._connection.execute(
            """INSERT INTO _ledger (namespace, key, run_id, op_id, method, counts, applied_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)""",
            (
                self.namespace,
                key,
                self._moment.run_id,
                op_id,
                method,
                orjson.dumps(counts).decode(),
                self._moment.at,
            ),
        )

    def upsert(self, rows: Rows, at: Path) -> Counts:
        layout = self._open(rows, at)
        return writing.upsert(self._connection, layout, rows.rows, (*at, "rows"), self._moment)

    def append(self, rows: Rows, at: Path) -> Counts:
        layout = self._open(rows, at)
        return writing.append(self._connection, layout, rows.rows, (*at, "rows"), self._moment)

    def delete(self, rows: Rows, at: Path) -> Counts:
        layout = self._open(rows, at, makes=False)
        return writing.delete(self._connection, layout, rows.rows, (*at, "rows"))

    def state(self, key: str) -> JSONValue:
        row = self._connection.execute(
            "SELECT value FROM _state WHERE namespace = ? AND key = ?", (self.namespace, key)
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def put_state(self, key: str, value: JSONValue) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO _state (namespace, key, value) VALUES (?, ?, ?)",
            (self.namespace, key, canonical_bytes(value).decode()),
        )

    def count(self, dataset: str, table: str, where: Where) -> int:
        layout = self._find(dataset, table)
        return 0 if layout is None else reading.count(self._connection, layout, where)

    def count_distinct(self, dataset: str, table: str, columns: Sequence[str], where: Where) -> tuple[int, int]:
        layout = self._find(dataset, table)
        return (0, 0) if layout is None else reading.count_distinct(self._connection, layout, columns, where)

    def _find(self, dataset: str, table: str) -> Layout | None:
        table_id = (self.namespace, dataset, table)
        found = self.tables.get(table_id) or self._catalog.find(self._connection, table_id)
        if found is not None:
            self.tables[table_id] = found
        return found

    def _open(self, rows: Rows, at: Path, *, makes: bool = True) -> Layout:
        """The table; a new one when there is none yet, and there is something to put into it."""
        table_id = (self.namespace, rows.dataset, rows.table)
        layout = self._find(rows.dataset, rows.table)
        declared = self._catalog.declared(table_id)
        key_columns = layout.key_columns if layout else declared.key_columns if declared else rows.key_columns
        if key_columns != rows.key_columns:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "key_columns"))
        if layout is not None:
            return layout
        if not makes or not rows.rows:
            return self._catalog.unmade(table_id, key_columns)
        made = self.tables[table_id] = self._catalog.create(self._connection, table_id, key_columns)
        return made


def _check_token(connection: sqlite3.Connection, meta: Meta) -> None:
    row = connection.execute(
        "SELECT token FROM _runs WHERE namespace = ? AND run_id = ?", (meta.namespace, meta.run_id)
    ).fetchone()
    if meta.token != (None if row is None else row[0]):
        raise RpcError(ErrorCode.FENCED)
