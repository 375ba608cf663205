"""Views and tables that a query makes: checked as for every backend, and then sent as BigQuery SQL that it is.

BigQuery makes tables and views outside of transactions only. So a view is there before the ledger says so. Of a table
the empty shape is, and its rows come in the transaction; but one that takes another shape is replaced whole before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import sqlglot
from google.cloud import bigquery
from sqlglot import exp

from lorchestra.errors import DefinitionError, Path
from lorchestra.storacle.backends.bigquery.jobs import Jobs, label_value
from lorchestra.storacle.backends.bigquery.merging import CountsSql
from lorchestra.storacle.backends.bigquery.names import OWN, Names, TableId
from lorchestra.storacle.backends.bigquery.tables import KIND, NAMESPACE, Tables
from lorchestra.storacle.backends.bigquery.transaction import Transaction, Write
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods.sql import SqlExecute, ViewCreate
from lorchestra.storacle.params import Meta, is_identifier
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.sql.compilation import CompiledStatement, compile_statement
from lorchestra.storacle.sql.relations import Relation, TableName

_VIEW = "VIEW"
# The label that says which query a view was made of: BigQuery may write it otherwise than we do.
_QUERY = "storacle_query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """A statement that was understood. `at` is the place of its text."""

    target: TableId
    is_view: bool
    query: str
    columns: tuple[str, ...]
    is_named_as_view: bool
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """`undo` brings a view back to what it was; the rows that a table had in another shape are lost."""

    is_new: bool
    has_rows: bool = False
    undo: tuple[str, ...] = ()


class Makers:
    def __init__(self, jobs: Jobs, tables: Tables, names: Names, meta: Meta) -> None:
        self._jobs = jobs
        self._tables = tables
        self._names = names
        self._meta = meta

    def read(self, params: SqlExecute | ViewCreate, transaction: Transaction, at: Path) -> Making:
        """Raises RpcError for SQL that is not carried out, and for a name that is taken."""
        place = (*at, "sql")
        sql = params.sql
        if isinstance(params, ViewCreate):
            sql = f"CREATE OR REPLACE VIEW `{params.dataset}`.`{params.table}` AS\n{sql}"
        try:
            statement = compile_statement(
                sql, tables=lambda name: self._relation(name, transaction), target=lambda name: self._free(name, place)
            )
        except DefinitionError:
            # Its problems quote the query, which may hold values.
            raise RpcError(ErrorCode.INVALID_PARAMS, at=place) from None
        return Making(
            target=self._id(statement.target),
            is_view=statement.kind == "view",
            query=self._physical(sql, statement),
            columns=tuple(statement.query.columns),
            is_named_as_view=isinstance(params, ViewCreate),
            at=place,
        )

    def prepare(self, making: Making, *, is_alone: bool) -> Made:
        """Make the view, or a table of the right shape. In a group the rows of a table may depend on the ops before."""
        old = self._tables.find(making.target)
        if old is not None and (old.labels or {}).get(KIND) not in ("view", "result"):
            raise RpcError(ErrorCode.CONFLICT, at=making.at)
        was_view = old is not None and old.table_type == _VIEW
        if old is not None and was_view == making.is_view and not self._differs(old, making):
            return Made(is_new=False)
        self._tables.make_dataset(making.target.namespace, making.target.dataset)
        target = self._names.physical(making.target).sql
        kind = _VIEW if making.is_view else "TABLE"
        if old is not None and was_view != making.is_view:
            self._run(f"DROP {_VIEW if was_view else 'TABLE'} {target}")
        # A query may read the table that it replaces.
        has_rows = old is not None and is_alone
        is_whole = making.is_view or has_rows
        query = making.query if is_whole else f"SELECT * FROM (\n{making.query}\n) LIMIT 0"
        self._run(self._create(making.target, kind, query))
        undo = [] if old is not None and was_view == making.is_view else [f"DROP {kind} {target}"]
        if old is not None and was_view:
            undo.append(self._create(making.target, _VIEW, old.view_query))
        return Made(is_new=True, has_rows=has_rows, undo=tuple(undo))

    def undo(self, made: Made) -> None:
        for sql in made.undo:
            self._run(sql)

    def write(self, number: int, making: Making, transaction: Transaction, made: Made) -> Write:
        def write() -> CountsSql:
            kind = "view" if making.is_view else "result"
            transaction.enter(making.target, kind, {"columns": list(making.columns)})
            if making.is_named_as_view:
                return {"created": str(int(made.is_new)), "unchanged": str(int(not made.is_new))}
            if making.is_view or made.has_rows:
                return transaction.count_rows(making.target)
            return transaction.replace_rows(number, making.target, making.columns, making.query)

        return write

    def _relation(self, name: TableName, transaction: Transaction) -> Relation | None:
        """What a query reads; a declared table that is not there yet is made."""
        if name.dataset == OWN or not (is_identifier(name.dataset) and is_identifier(name.table)):
            return None
        table = self._id(name)
        source = transaction.source(table)
        declared = self._tables.declared(table)
        if source is None and declared is not None:
            transaction.new_tables[table] = self._tables.layout(table, declared.key_columns)
            source = transaction.source(table)
        if source is None:
            return None
        columns = {column: type_.value if type_ else None for column, type_ in source.columns.items()}
        return Relation(str(source.physical), columns or {"row": "JSON"})

    def _free(self, name: TableName, at: Path) -> str:
        """A name that is free for a query to make. What is there under it is looked at once more when it is made."""
        table = self._id(name)
        if self._tables.declared(table) or name.dataset == OWN:
            raise RpcError(ErrorCode.CONFLICT, at=at)
        if not (is_identifier(name.dataset) and is_identifier(name.table)):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
        return str(self._names.physical(table))

    def _physical(self, sql: str, statement: CompiledStatement) -> str:
        """The text of the query, its tables called as they are called in BigQuery."""
        (tree,) = [tree for tree in sqlglot.parse(sql, dialect="bigquery") if tree is not None]
        spans = {}
        for table in tree.find_all(exp.Table):
            if table.db:
                places = [(part.meta["start"], part.meta["end"] + 1) for part in table.parts]
                span = (min(start for start, _ in places), max(end for _, end in places))
                spans[span] = self._names.physical(self._id(TableName(table.db, table.name))).sql
        target, *sources = sorted(spans)
        tokens = [token for token in sqlglot.tokenize(sql, read="bigquery") if token.start >= target[1]]
        # The first is AS, and one at the end may be a semicolon.
        body = [token for token in tokens[1:] if token.text != ";"]
        parts, position = [], body[0].start
        for start, end in sources:
            parts += [sql[position:start], spans[start, end]]
            position = end
        return "".join([*parts, sql[position : body[-1].end + 1]])

    def _differs(self, old: bigquery.Table, making: Making) -> bool:
        if making.is_view:
            return bool(old.labels.get(_QUERY) != _digest(making.query))
        return _shape(old.schema) != _shape(list(self._jobs.dry_run(making.query).schema or ()))

    def _create(self, table: TableId, kind: str, query: str) -> str:
        said = {KIND: "result", NAMESPACE: label_value(table.namespace)}
        if kind == _VIEW:
            said |= {KIND: "view", _QUERY: _digest(query)}
        labels = ", ".join(f"('{key}', '{value}')" for key, value in said.items())
        target = self._names.physical(table).sql
        return f"CREATE OR REPLACE {kind} {target} OPTIONS(labels=[{labels}]) AS\n{query}"

    def _run(self, sql: str) -> None:
        self._jobs.rows(sql, meta=self._meta, name="make")

    def _id(self, name: TableName) -> TableId:
        return TableId(self._meta.namespace, name.dataset, name.table)


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:32]


def _shape(schema: Sequence[bigquery.SchemaField]) -> list[tuple[str, str]]:
    return [(one.name, one.field_type) for one in schema]
