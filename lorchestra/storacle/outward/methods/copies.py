"""`sqlite.sync` carried out: tables of SQLite files below the roots."""

from __future__ import annotations

from contextlib import AbstractContextManager

from lorchestra.errors import Path
from lorchestra.json_value import sha256
from lorchestra.storacle.backends.base import Counts, NamespaceObject
from lorchestra.storacle.outward.base import Reach
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.outward.smoke_folder import clearing
from lorchestra.storacle.outward.source import selected
from lorchestra.storacle.outward.sqlite_columns import SqliteSync
from lorchestra.storacle.outward.sqlite_sync.writer import SqliteWriter

_TABLE = "#"


class CopyMethod:
    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._writer = SqliteWriter(roots)

    def carry_out(self, params: SqliteSync, reach: Reach, at: Path) -> Counts:
        with selected(params.read, reach, at) as selection:
            table = params.table_of(selection.columns, at)
            version = None
            if selection.version is not None:
                # What is read of the source, and what becomes of a value, makes the rows as well.
                columns = [[column.name, column.type.value] for column in table.columns]
                version = sha256([selection.version, repr(params.read), columns])
            return self._writer.sync(params, table, selection.rows, namespace=reach.namespace, at=at, version=version)

    def makes(self, params: SqliteSync, namespace: str, at: Path) -> NamespaceObject:
        file = self._roots.name_of(params, namespace=namespace, at=at)
        return NamespaceObject(kind="sqlite", name=f"{file}{_TABLE}{params.table}")

    def alone(self, params: SqliteSync, at: Path) -> AbstractContextManager[object]:
        return self._roots.alone(params, at=at)

    def remove(self, made: NamespaceObject, namespace: str) -> None:
        file, _, table = made.name.rpartition(_TABLE)
        with clearing(self._roots, file, namespace=namespace) as place:
            if place is not None:
                self._writer.drop(place, table)
