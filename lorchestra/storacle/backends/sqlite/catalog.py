"""Which tables there are in the file, by namespace, dataset and name; and what they are called there."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import orjson

from lorchestra.storacle.backends.sqlite.declared import DeclaredLayout
from lorchestra.storacle.backends.sqlite.layout import Layout
from lorchestra.storacle.backends.sqlite.undeclared import UndeclaredLayout
from lorchestra.storacle.tables import Table

TableId = tuple[str, str, str]
"""Namespace, dataset, name."""

_PRODUCTION = "prod"


class Catalog:
    """Remembers what it has read. A table is never dropped or changed while a service runs, only added."""

    def __init__(self, declared: Mapping[tuple[str, str], Table]) -> None:
        self._declared = declared
        self._known: dict[TableId, Layout] = {}

    def find(self, connection: sqlite3.Connection, table_id: TableId) -> Layout | None:
        known = self._known.get(table_id)
        if known is not None:
            return known
        row = connection.execute(
            "SELECT physical, key_columns FROM _tables WHERE namespace = ? AND dataset = ? AND name = ?", table_id
        ).fetchone()
        if row is None:
            return None
        # Not remembered here: it may be of a transaction that will be rolled back.
        return self._layout(table_id, row[0], tuple(orjson.loads(row[1])))

    def declared(self, table_id: TableId) -> Table | None:
        return self._declared.get(table_id[1:])

    def unmade(self, table_id: TableId, key_columns: tuple[str, ...]) -> Layout:
        """What the rows of a table that is not there would have to look like."""
        return self._layout(table_id, "", key_columns)

    def create(self, connection: sqlite3.Connection, table_id: TableId, key_columns: tuple[str, ...]) -> Layout:
        """Within a transaction that writes."""
        number = connection.execute("SELECT count(*) FROM _tables").fetchone()[0] + 1
        layout = self._layout(
            table_id, _physical(table_id, number, is_declared=bool(self.declared(table_id))), key_columns
        )
        for statement in layout.ddl():
            connection.execute(statement)
        connection.execute(
            "INSERT INTO _tables (namespace, dataset, name, key_columns, physical) VALUES (?, ?, ?, ?, ?)",
            (*table_id, orjson.dumps(layout.key_columns).decode(), layout.physical),
        )
        return layout

    def remember(self, found: Mapping[TableId, Layout]) -> None:
        """Said once the transaction they were found in has been kept."""
        self._known.update(found)

    def _layout(self, table_id: TableId, physical: str, key_columns: tuple[str, ...]) -> Layout:
        table = self.declared(table_id)
        return UndeclaredLayout(physical, key_columns) if table is None else DeclaredLayout(physical, table)


def _physical(table_id: TableId, number: int, *, is_declared: bool) -> str:
    namespace, dataset, name = table_id
    # SQLite's names know no case, and the names of undeclared tables may differ in that alone.
    plain = f"{dataset}__{name}" if is_declared else f"{dataset}__{name}__{number}"
    return plain if namespace == _PRODUCTION else f"{namespace}__{plain}"
