"""The embedded backend: all datasets in one SQLite file, or in memory, for several threads and processes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath
from typing import Any

from lorchestra.errors import ConfigurationError
from lorchestra.storacle.backends.base import Applied, Counts, NamespaceObject, Page, ReadyOp, Selection, UnitRefused
from lorchestra.storacle.backends.moments import timestamp
from lorchestra.storacle.backends.sqlite import reading, upkeep, versions
from lorchestra.storacle.backends.sqlite.catalog import Catalog, Kind
from lorchestra.storacle.backends.sqlite.database import Database
from lorchestra.storacle.backends.sqlite.reading import Query
from lorchestra.storacle.backends.sqlite.sources import Source
from lorchestra.storacle.backends.sqlite.transaction import SqliteTransaction
from lorchestra.storacle.backends.sqlite.view_pages import ViewPages
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods.rows import OWN_DATASET
from lorchestra.storacle.params import Meta
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Table, by_name

LEDGER_KEPT = timedelta(days=400)

_MARKERS = (OWN_DATASET, "_processed")
_OWN_ROWS = ("_ledger", "_state", "_namespace_objects")


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteBackend:
    def __init__(
        self,
        path: FilePath | None,
        *,
        tables: Mapping[tuple[str, str], Table] | None = None,
        now: Callable[[], datetime] = _now,
        ledger_kept: timedelta = LEDGER_KEPT,
    ) -> None:
        """Without a path, all of it is in memory, and forgotten at the end."""
        self._now = now
        self._ledger_kept = ledger_kept
        self._catalog = Catalog(by_name() if tables is None else tables)
        self._view_pages = ViewPages()
        self._database = Database(path, now=now(), prepare=self._catalog.bring_up_to_date)

    def open_run(self, meta: Meta) -> int:
        now = self._now()
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
            upkeep.forget_old_ops(connection, now=now, keep=self._ledger_kept)
            return int(token) + 1

    def apply(self, unit: Sequence[ReadyOp], meta: Meta) -> list[Applied]:
        applied = []
        with self._transaction(meta) as tx:
            for position, op in enumerate(unit):
                counts = tx.recorded(op.key)
                if counts is not None:
                    applied.append(Applied(counts=counts, is_resend=True))
                    continue
                try:
                    counts = tx.apply(op)
                except RpcError as error:
                    raise UnitRefused(position, error) from error
                tx.record(op, counts)
                applied.append(Applied(counts=counts))
        return applied

    def recorded(self, key: str, meta: Meta) -> Counts | None:
        with self._database.reading() as connection:
            return SqliteTransaction(connection, self._catalog, meta, "").recorded(key)

    def record(self, op: ReadyOp, counts: Counts, meta: Meta) -> None:
        with self._transaction(meta) as tx:
            if tx.recorded(op.key) is None:
                tx.record(op, counts)

    def announce(self, made: NamespaceObject, meta: Meta) -> None:
        with self._transaction(meta) as tx:
            tx.announce(made)

    def page(self, read: Read, meta: Meta, after: Sequence[Any] | None, limit: int) -> Page:
        with self._database.reading() as connection:
            source, markers = self._sources(connection, read, meta)
            if source is None:
                return Page(rows=[], next=None)
            if source.is_view and limit and read.unprocessed is None:
                return self._view_pages.page(connection, source, read, after, limit)
            return reading.page(connection, source, read, after, limit, markers=markers)

    @contextlib.contextmanager
    def select(self, read: Read, meta: Meta) -> Iterator[Selection]:
        with self._database.snapshot() as connection:
            source, markers = self._sources(connection, read, meta)
            if source is not None:
                query = Query(source, read, markers)
                table_id = (_namespace(read, meta), read.dataset, read.table)
                version = versions.version_of(connection, self._catalog, table_id, read)
                yield Selection(columns=query.columns, rows=query.everything(connection), version=version)
                return
            unmade = self._catalog.unmade_source((_namespace(read, meta), read.dataset, read.table))
            if unmade is None:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=("table",))
            yield Selection(columns=Query(unmade, read, None).columns, rows=iter(()))

    def objects(self, namespace: str) -> list[NamespaceObject]:
        with self._database.reading() as connection:
            tables = connection.execute(
                "SELECT kind, dataset || '.' || name FROM _tables WHERE namespace = ? ORDER BY dataset, name",
                (namespace,),
            ).fetchall()
            elsewhere = connection.execute(
                "SELECT kind, name FROM _namespace_objects WHERE namespace = ? ORDER BY kind, name", (namespace,)
            ).fetchall()
        here = [("view" if kind == Kind.VIEW else "table", name) for kind, name in tables]
        return [NamespaceObject(kind=kind, name=name) for kind, name in (*here, *elsewhere)]

    def clean(self, namespace: str) -> None:
        with self._database.writing() as connection:
            self._catalog.drop_namespace(connection, namespace)
            # Runs stay known, with a newer token: whoever still works for one of them may write no more.
            connection.execute("UPDATE _runs SET token = token + 1 WHERE namespace = ?", (namespace,))
            for table in _OWN_ROWS:
                connection.execute(f"DELETE FROM {table} WHERE namespace = ?", (namespace,))

    @property
    def effects(self) -> int:
        """How many ops have been applied, by whomever."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM _ledger").fetchone()[0])

    def require_intact(self) -> None:
        """Read the whole file. Raises ConfigurationError for one that is damaged."""
        try:
            with self._database.reading() as connection:
                is_intact = connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
        except RpcError:
            # So damaged that it cannot even be looked through.
            is_intact = False
        if not is_intact:
            # Without what SQLite says of it, which may name tables of the author's.
            raise ConfigurationError("the data file is damaged; stop what uses it, and restore a backup")

    def close(self) -> None:
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self, meta: Meta) -> Iterator[SqliteTransaction]:
        with self._database.writing() as connection:
            yield SqliteTransaction(connection, self._catalog, meta, timestamp(self._now()))

    def _sources(self, connection: sqlite3.Connection, read: Read, meta: Meta) -> tuple[Source | None, Source | None]:
        """What is read, and the markers that say what of it is processed: those are always the run's own."""
        self._catalog.begin(connection)
        source = self._catalog.source(connection, (_namespace(read, meta), read.dataset, read.table))
        if source is None or read.unprocessed is None:
            return source, None
        return source, self._catalog.source(connection, (meta.namespace, *_MARKERS))


def _namespace(read: Read, meta: Meta) -> str:
    """Also a run that reads production has cursors and markers of its own."""
    return meta.namespace if read.dataset == OWN_DATASET else meta.read_namespace or meta.namespace
