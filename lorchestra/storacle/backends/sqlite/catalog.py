"""Which tables and views there are in the file, by namespace, dataset and name; and what they are called there."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.backends.sqlite import sources
from lorchestra.storacle.backends.sqlite.database import let_call_functions
from lorchestra.storacle.backends.sqlite.declared import AFFINITY, DeclaredLayout
from lorchestra.storacle.backends.sqlite.layout import Layout, quoted
from lorchestra.storacle.backends.sqlite.sources import Source
from lorchestra.storacle.backends.sqlite.undeclared import UndeclaredLayout
from lorchestra.storacle.tables import OWN_TABLES, Table, Type, by_name

TableId = tuple[str, str, str]
"""Namespace, dataset, name."""

_OWN = by_name(OWN_TABLES)
# What SQLite calls the number of a row, where no column has the name.
_ROW_NUMBERS = ("rowid", "_rowid_", "oid")


class Kind(StrEnum):
    TABLE = "table"
    VIEW = "view"
    RESULT = "result"
    """A table that a query made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    kind: Kind
    physical: str
    about: Mapping[str, Any]
    """Of a table its `key_columns`; of what a query made its `sql` and its `columns`."""


class Catalog:
    """Remembers the tables it has read, until anybody changes what tables there are."""

    def __init__(self, declared: Mapping[tuple[str, str], Table]) -> None:
        self._declared = declared
        self._latest: tuple[int, dict[TableId, Layout]] = (-1, {})
        self._known: WeakKeyDictionary[sqlite3.Connection, dict[TableId, Layout]] = WeakKeyDictionary()

    def begin(self, connection: sqlite3.Connection) -> None:
        """Said at the start of every transaction: what is known is that of the file as this one sees it."""
        version: int = connection.execute("PRAGMA schema_version").fetchone()[0]
        latest = self._latest
        if latest[0] != version:
            latest = self._latest = (version, {})
        self._known[connection] = latest[1]

    def entry(self, connection: sqlite3.Connection, table_id: TableId) -> Entry | None:
        row = connection.execute(
            "SELECT kind, physical, about FROM _tables WHERE namespace = ? AND dataset = ? AND name = ?", table_id
        ).fetchone()
        return row and Entry(kind=Kind(row[0]), physical=row[1], about=orjson.loads(row[2]))

    def find(self, connection: sqlite3.Connection, table_id: TableId) -> Layout | None:
        """How the rows of a table lie in the file; None when there is no table of this name."""
        known = self._known[connection].get(table_id)
        if known is not None:
            return known
        entry = self.entry(connection, table_id)
        return None if entry is None else self._found(connection, table_id, entry)

    def source(self, connection: sqlite3.Connection, table_id: TableId) -> Source | None:
        """What can be read under a name, storacle's own tables among it."""
        namespace, *name = table_id
        own = _OWN.get((name[0], name[1]))
        if own is not None:
            return Source(
                physical=own.name,
                columns={column.name: column.type for column in own.columns},
                key=own.key_columns,
                key_columns=own.key_columns,
                namespace=namespace,
            )
        known = self._known[connection].get(table_id)
        entry = self.entry(connection, table_id) if known is None else None
        layout = known if entry is None else self._found(connection, table_id, entry)
        if layout is not None:
            return _source(layout)
        if entry is None:
            return None
        types = {name: Type(kind) if kind else None for name, kind in entry.about["columns"].items()}
        if entry.kind is Kind.VIEW:
            let_call_functions(connection)
            return Source(physical=entry.physical, columns=types, is_view=True)
        taken = {name.lower() for name in types}
        key = tuple(name for name in _ROW_NUMBERS if name not in taken)[:1]
        return Source(physical=entry.physical, columns=types, key=key)

    def _found(self, connection: sqlite3.Connection, table_id: TableId, entry: Entry) -> Layout | None:
        if entry.kind is not Kind.TABLE:
            return None
        layout = self._layout(table_id, entry.physical, tuple(entry.about["key_columns"]))
        self._known[connection][table_id] = layout
        return layout

    def declared(self, table_id: TableId) -> Table | None:
        return self._declared.get(table_id[1:])

    def unmade(self, table_id: TableId, key_columns: tuple[str, ...]) -> Layout:
        """What the rows of a table that is not there would have to look like."""
        return self._layout(table_id, "", key_columns)

    def unmade_source(self, table_id: TableId) -> Source | None:
        """A declared table that is not there, for whoever asks what its columns are."""
        table = self.declared(table_id)
        return None if table is None else _source(DeclaredLayout("", table))

    def create(self, connection: sqlite3.Connection, table_id: TableId, key_columns: tuple[str, ...]) -> Layout:
        """Within a transaction that writes."""
        self._forget(connection)
        layout = self._layout(table_id, self.new_name(connection, table_id), key_columns)
        for statement in layout.ddl():
            connection.execute(statement)
        about = {"key_columns": layout.key_columns}
        self.enter(connection, table_id, Entry(kind=Kind.TABLE, physical=layout.physical, about=about))
        return layout

    def enter(self, connection: sqlite3.Connection, table_id: TableId, entry: Entry) -> None:
        self._forget(connection)
        connection.execute(
            "INSERT OR REPLACE INTO _tables (namespace, dataset, name, kind, about, physical) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (*table_id, entry.kind.value, orjson.dumps(entry.about).decode(), entry.physical),
        )

    def new_name(self, connection: sqlite3.Connection, table_id: TableId) -> str:
        namespace, dataset, name = table_id
        plain = f"{dataset}__{name}"
        if self.declared(table_id) is None:
            # SQLite's names know no case, and the names of undeclared tables may differ in that alone.
            number = connection.execute("SELECT next FROM _numbers").fetchone()[0]
            connection.execute("UPDATE _numbers SET next = next + 1")
            plain = f"{plain}__{number}"
        if plain.lower().startswith("sqlite_"):
            # SQLite keeps such names for itself.
            plain = f"_{plain}"
        return plain if namespace == PRODUCTION else f"{namespace}__{plain}"

    def _forget(self, connection: sqlite3.Connection) -> None:
        """What this transaction sees from now on is its own, until it is kept: then the file has another version."""
        self._known[connection] = {}

    def drop_namespace(self, connection: sqlite3.Connection, namespace: str) -> None:
        """Within a transaction that writes."""
        found = connection.execute("SELECT kind, physical FROM _tables WHERE namespace = ?", (namespace,)).fetchall()
        for kind, physical in found:
            connection.execute(f"DROP {'VIEW' if kind == Kind.VIEW else 'TABLE'} {quoted(physical)}")
        connection.execute("DELETE FROM _tables WHERE namespace = ?", (namespace,))
        self._forget(connection)

    def bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        """Add the columns that the declaration has, and a table that an earlier version made has not."""
        declaration = hashlib.sha256(repr(sorted(self._declared.items())).encode()).hexdigest()
        query = "SELECT done FROM _upkeep WHERE task = 'declaration'"
        if connection.execute(query).fetchone() == (declaration,):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._add_columns(connection)
            connection.execute("INSERT OR REPLACE INTO _upkeep VALUES ('declaration', ?)", (declaration,))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _add_columns(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT dataset, name, physical FROM _tables WHERE kind = 'table'").fetchall()
        for dataset, name, physical in found:
            table = self._declared.get((dataset, name))
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({quoted(physical)})")}
            for column in table.columns if table else ():
                if column.name not in there:
                    added = f"{quoted(column.name)} {AFFINITY[column.type]}"
                    connection.execute(f"ALTER TABLE {quoted(physical)} ADD COLUMN {added}")

    def _layout(self, table_id: TableId, physical: str, key_columns: tuple[str, ...]) -> Layout:
        table = self.declared(table_id)
        return UndeclaredLayout(physical, key_columns) if table is None else DeclaredLayout(physical, table)


def _source(layout: Layout) -> Source:
    if isinstance(layout, DeclaredLayout):
        return Source(
            physical=layout.physical,
            columns={name: column.type for name, column in layout.columns.items()},
            key=layout.key_columns,
            key_columns=layout.key_columns,
            hidden=sources.HIDDEN,
        )
    return Source(
        physical=layout.physical,
        columns={},
        key=layout.key_names,
        key_columns=layout.key_columns,
        hidden=sources.HIDDEN_IN_TEXTS,
    )
