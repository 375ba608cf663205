"""Views and tables that a query makes: compiled from BigQuery SQL, and entered into the catalog."""

from __future__ import annotations

import functools
import hashlib
import sqlite3
from importlib import metadata
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from lorchestra.errors import DefinitionError, Path
from lorchestra.storacle import sql as sql_package
from lorchestra.storacle.backends.base import Counts
from lorchestra.storacle.backends.sqlite.catalog import Catalog, Entry, Kind, TableId
from lorchestra.storacle.backends.sqlite.database import let_call_functions
from lorchestra.storacle.backends.sqlite.layout import quoted
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods.rows import OWN_DATASET
from lorchestra.storacle.methods.sql import SqlExecute, ViewCreate
from lorchestra.storacle.params import is_identifier
from lorchestra.storacle.service import RpcError

if TYPE_CHECKING:
    from lorchestra.storacle.sql.compilation import CompiledStatement
    from lorchestra.storacle.sql.relations import Relation, TableName


def create_view(
    connection: sqlite3.Connection, catalog: Catalog, namespace: str, params: ViewCreate, at: Path
) -> Counts:
    sql = f"CREATE OR REPLACE VIEW `{params.dataset}`.`{params.table}` AS\n{params.sql}"
    making = _Making(connection, catalog, namespace, (*at, "sql"))
    made = not making.is_made((namespace, params.dataset, params.table), sql) and making.make(sql)
    return {"created": int(made), "unchanged": int(not made)}


def execute(connection: sqlite3.Connection, catalog: Catalog, namespace: str, params: SqlExecute, at: Path) -> Counts:
    making = _Making(connection, catalog, namespace, (*at, "sql"))
    making.make(params.sql)
    return {"rows": making.count()}


def _made_of(sql: str) -> str:
    """The text, and the code that it is compiled with."""
    return hashlib.sha256(f"{compiler()} {sql}".encode()).hexdigest()


@functools.cache
def compiler() -> str:
    """The code that gives a query its meaning."""
    digest = hashlib.sha256(metadata.version("sqlglot").encode())
    for file in sorted(FilePath(sql_package.__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _Making:
    def __init__(self, connection: sqlite3.Connection, catalog: Catalog, namespace: str, at: Path) -> None:
        self._connection = connection
        self._catalog = catalog
        self._namespace = namespace
        self._at = at
        self._physical = ""

    def is_made(self, table_id: TableId, sql: str) -> bool:
        """Whether there is a view of this text, that would compile to what it is. The parser takes longer to import and
        to read it than all the rest of a job that makes a view.
        """
        entry = self._catalog.entry(self._connection, table_id)
        if entry is None or entry.kind is not Kind.VIEW or entry.about.get("made_of") != _made_of(sql):
            return False
        reads = entry.about.get("reads", [])
        return all(self._columns((self._namespace, dataset, name)) == there for dataset, name, there in reads)

    def make(self, sql: str) -> bool:
        """Whether anything had to be made: a view is the same while its text and what that compiles to are."""
        # Imported here because a parser of SQL takes longer to import than a run of a job without one.
        from lorchestra.storacle.sql.compilation import compile_statement

        try:
            statement = compile_statement(sql, tables=self._relation, target=self._name)
        except DefinitionError:
            # Its problems quote the query, which may hold values.
            raise RpcError(ErrorCode.INVALID_PARAMS, at=self._at) from None
        table_id = (self._namespace, statement.target.dataset, statement.target.table)
        old = self._catalog.entry(self._connection, table_id)
        entry = self._entry(statement, sql)
        if entry.kind is Kind.VIEW and entry == old:
            return False
        if old is not None and old.kind is not entry.kind:
            self._connection.execute(f"DROP {'VIEW' if old.kind is Kind.VIEW else 'TABLE'} {quoted(old.physical)}")
        self._carry_out(statement)
        self._catalog.enter(self._connection, table_id, entry)
        return True

    def count(self) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {quoted(self._physical)}").fetchone()[0])

    def _carry_out(self, statement: CompiledStatement) -> None:
        let_call_functions(self._connection)
        # A view is looked at once: it may read itself, by way of others.
        look = f"SELECT * FROM {quoted(self._physical)} LIMIT 0"
        try:
            for one in (*statement.statements, look):
                self._connection.execute(one)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_ERROR":
                raise
            # A function of the query refuses a value. What it says of it stays here.
            raise RpcError(ErrorCode.REFUSED, at=self._at) from None

    def _entry(self, statement: CompiledStatement, sql: str) -> Entry:
        columns = {name: kind.value if kind else None for name, kind in statement.query.columns.items()}
        kind = Kind.VIEW if statement.kind == "view" else Kind.RESULT
        about: dict[str, object] = {"columns": columns, "sql": statement.query.sqlite_sql}
        if kind is Kind.VIEW:
            read = sorted({(name.dataset, name.table) for name in statement.query.tables})
            about["made_of"] = _made_of(sql)
            about["reads"] = [[*name, self._columns((self._namespace, *name))] for name in read]
        return Entry(kind=kind, physical=self._physical, about=about)

    def _relation(self, name: TableName) -> Relation | None:
        """What a query reads; a declared table that is not there yet is made."""
        from lorchestra.storacle.sql.relations import Relation

        if name.dataset == OWN_DATASET:
            return None
        table_id = (self._namespace, name.dataset, name.table)
        declared = self._catalog.declared(table_id)
        source = self._catalog.source(self._connection, table_id)
        if source is None and declared is not None:
            self._catalog.create(self._connection, table_id, declared.key_columns)
            source = self._catalog.source(self._connection, table_id)
        if source is None:
            return None
        columns = {column: type_.value if type_ else None for column, type_ in source.columns.items()}
        return Relation(source.physical, columns or {"row": "JSON"})

    def _columns(self, table_id: TableId) -> list[object] | None:
        """All that a query is told of what it reads."""
        source = self._catalog.source(self._connection, table_id)
        if source is None:
            return None
        return [source.physical, [[name, type_.value if type_ else None] for name, type_ in source.columns.items()]]

    def _name(self, target: TableName) -> str:
        table_id = (self._namespace, target.dataset, target.table)
        entry = self._catalog.entry(self._connection, table_id)
        if (entry and entry.kind is Kind.TABLE) or self._catalog.declared(table_id) or target.dataset == OWN_DATASET:
            raise RpcError(ErrorCode.CONFLICT, at=self._at)
        if not (is_identifier(target.dataset) and is_identifier(target.table)):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=self._at)
        self._physical = entry.physical if entry else self._catalog.new_name(self._connection, table_id)
        return self._physical
