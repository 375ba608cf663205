"""The engine: one in-memory DuckDB, a connection of its own for every job."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
from sqlglot import exp

from tests.standins.bigquery.errors import JSONObject, Refusal, unsupported
from tests.standins.bigquery.sql.locks import TableLocks, Transaction, conflict
from tests.standins.bigquery.sql.translate import Scope, Translated, translate
from tests.standins.bigquery.sql.values import result_fields

_MUTATIONS = frozenset({"UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE"})
_COUNTED = frozenset({"INSERT", *_MUTATIONS})
_NAMED = re.compile(r'(?:Table|View|Schema) with name "?([\w.$-]+)"? (already exists|does not exist)')


# How INFORMATION_SCHEMA.COLUMNS names the types of a table.
_BIGQUERY_TYPE = r"""
    CREATE MACRO bigquery_word(word) AS CASE
        WHEN word = 'BIGINT' THEN 'INT64' WHEN word = 'DOUBLE' THEN 'FLOAT64' WHEN word = 'VARCHAR' THEN 'STRING'
        WHEN word = 'BOOLEAN' THEN 'BOOL' WHEN word = 'BLOB' THEN 'BYTES' WHEN word LIKE 'DECIMAL(%' THEN 'NUMERIC'
        ELSE word END;
    CREATE MACRO bigquery_type(name) AS CASE
        WHEN name LIKE '%[]' THEN 'ARRAY<' || bigquery_word(name[:-3]) || '>' ELSE bigquery_word(name) END;
"""

# BigQuery keeps the members of an object in the order of their names.
_JSON_FUNCTIONS = """
    CREATE MACRO bigquery_json_type(value) AS CASE json_type(value)
        WHEN 'VARCHAR' THEN 'string' WHEN 'BOOLEAN' THEN 'boolean' WHEN 'OBJECT' THEN 'object' WHEN 'ARRAY' THEN 'array'
        WHEN 'NULL' THEN 'null' ELSE CASE WHEN value IS NULL THEN NULL ELSE 'number' END END;
    CREATE MACRO bigquery_json_set(object, member, value) AS (
        SELECT json_group_object(name, CASE WHEN name = member THEN COALESCE(to_json(value), CAST('null' AS JSON))
            ELSE json_extract(object, '$."' || name || '"') END)
        FROM (SELECT unnest(list_sort(list_distinct(list_append(json_keys(object), member)))) AS name));
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementResult:
    text: str
    kind: str
    target: tuple[str, str] | None
    tree: exp.Expr
    fields: Sequence[JSONObject] = ()
    rows: Sequence[Sequence[Any]] = ()
    counts: Mapping[str, int] | None = None  # rows by INSERT, UPDATE and DELETE

    @property
    def affected(self) -> int:
        return sum((self.counts or {}).values())


DdlObserver: TypeAlias = Callable[[StatementResult], None]


class Engine:
    def __init__(self, project: str) -> None:
        self.project = project
        self.locks = TableLocks()
        self.observe_ddl: DdlObserver = lambda _: None
        self._root = duckdb.connect(":memory:")
        self._root.execute(_BIGQUERY_TYPE)
        self._root.execute(_JSON_FUNCTIONS)

    def session(self) -> Session:
        return Session(self, self._root.cursor())

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """DuckDB's own SQL, on a connection of its own."""
        with self._root.cursor() as cursor:
            found: list[tuple[Any, ...]] = self.translated_errors(lambda: cursor.execute(sql, list(values)).fetchall())
            return found

    @contextmanager
    def together(self) -> Iterator[Callable[..., None]]:
        """DuckDB's own SQL, all of it or none."""
        with self._root.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield lambda sql, values=(): self.translated_errors(lambda: cursor.execute(sql, list(values)))
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            self.translated_errors(lambda: cursor.execute("COMMIT"), "at commit")

    def fields(self, sql: str) -> list[JSONObject]:
        with self._root.cursor() as cursor:
            cursor.execute(sql)
            return result_fields(cursor)

    def close(self) -> None:
        self._root.close()

    def translated_errors(self, act: Callable[[], Any], target: str = "", tree: exp.Expr | None = None) -> Any:
        try:
            return act()
        except duckdb.TransactionException as error:
            raise (conflict(target) if "onflict" in str(error) else _invalid(error)) from error
        except duckdb.CatalogException as error:
            raise self._catalog_refusal(error, tree) from error
        except duckdb.Error as error:
            raise _invalid(error) from error

    def _catalog_refusal(self, error: duckdb.Error, tree: exp.Expr | None) -> Refusal:
        tables = () if tree is None else tree.find_all(exp.Table)
        datasets = {table.name: f"{self.project}:{table.db}.{table.name}" for table in tables}
        if "Function with name" in str(error):
            return unsupported(f"a function: {_invalid(error).message}")
        named = _NAMED.search(str(error))
        if named is None:
            return _invalid(error)
        table = datasets.get(named[1].rsplit(".", 1)[-1], f"{self.project}:{named[1]}")
        if named[2] == "already exists":
            return Refusal("duplicate", f"Already Exists: Table {table}")
        return Refusal("notFound", f"Not found: Table {table} was not found in location US")


def _invalid(error: duckdb.Error) -> Refusal:
    return Refusal("invalidQuery", str(error).split("\n", 1)[0])


class Session:
    """One job's connection, with its transaction and its temporary tables."""

    def __init__(self, engine: Engine, cursor: duckdb.DuckDBPyConnection) -> None:
        self._engine = engine
        self._cursor = cursor
        self._transaction: Transaction | None = None
        self.temporary: set[str] = set()

    def begin(self) -> None:
        if self._transaction is not None:
            raise Refusal("invalidQuery", "Transaction is already in progress")
        self._transaction = self._engine.locks.begin()
        self._cursor.execute("BEGIN TRANSACTION")
        # DuckDB takes its snapshot at the first read, BigQuery at the start.
        self._cursor.execute("SELECT count(*) FROM duckdb_tables()").fetchall()

    def commit(self) -> None:
        transaction = self._needed()
        self._engine.translated_errors(lambda: self._cursor.execute("COMMIT"), "at commit")
        self._transaction = None
        self._engine.locks.end(transaction, committed=True)

    def rollback(self) -> None:
        transaction = self._needed()
        self._cursor.execute("ROLLBACK")
        self._transaction = None
        self._engine.locks.end(transaction, committed=False)

    def close(self) -> None:
        """Ends a transaction left open, as BigQuery does at the end of a script."""
        if self._transaction is not None:
            self.rollback()
        self._cursor.close()

    def columns_of(self, dataset: str, table: str) -> set[str]:
        sql = "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND (schema_name = ? OR ? = '')"
        return {str(name).lower() for (name,) in self._cursor.execute(sql, [table, dataset, dataset]).fetchall()}

    def dry_run(self, text: str, scope: Scope) -> StatementResult:
        translated = translate(text, scope)
        found = self._result(text, translated)
        if translated.kind == "SELECT":
            sql = f"SELECT * FROM ({translated.sql}) LIMIT 0"
            self._engine.translated_errors(
                lambda: self._cursor.execute(sql, dict(translated.values)), tree=translated.tree
            )
            return self._result(text, translated, fields=result_fields(self._cursor))
        return found

    def execute(self, text: str, scope: Scope) -> StatementResult:
        translated = translate(text, scope)
        is_permanent = translated.target is not None and translated.target[0] != ""
        is_ddl = translated.kind not in _COUNTED | {"SELECT"}
        if is_ddl and is_permanent and self._transaction is not None:
            raise Refusal("invalidQuery", "DDL on permanent entities is not supported inside a transaction")
        with self._queue(translated):
            done: StatementResult = self._engine.translated_errors(
                lambda: self._run(text, translated), self._name(translated), translated.tree
            )
        if is_ddl and is_permanent:
            self._engine.observe_ddl(done)
        elif is_ddl and translated.target is not None:
            (self.temporary.discard if translated.kind.startswith("DROP") else self.temporary.add)(
                translated.target[1].lower()
            )
        return done

    def _queue(self, translated: Translated) -> Any:
        if translated.kind not in _MUTATIONS or translated.target is None or not translated.target[0]:
            return nullcontext()
        if self._transaction is None:
            return self._engine.locks.alone(self._name(translated))
        self._engine.locks.mutate(self._transaction, self._name(translated))
        return nullcontext()

    def _name(self, translated: Translated) -> str:
        dataset, table = translated.target or ("", "")
        return f"{self._engine.project}:{dataset}.{table}"

    def _run(self, text: str, translated: Translated) -> StatementResult:
        self._cursor.execute(translated.sql, dict(translated.values))
        if translated.kind == "SELECT":
            fields = result_fields(self._cursor)
            return self._result(text, translated, fields=fields, rows=self._cursor.fetchall())
        rows = self._cursor.fetchall()
        if translated.kind == "MERGE":
            return self._result(text, translated, counts=Counter(str(action) for (action,) in rows))
        if translated.kind in _COUNTED:
            verb = "DELETE" if translated.kind == "TRUNCATE_TABLE" else translated.kind
            return self._result(text, translated, counts={verb: int(rows[0][0])})
        return self._result(text, translated)

    def _result(self, text: str, translated: Translated, **found: Any) -> StatementResult:
        return StatementResult(text=text, kind=translated.kind, target=translated.target, tree=translated.tree, **found)

    def _needed(self) -> Transaction:
        if self._transaction is None:
            raise Refusal("invalidQuery", "There is no active transaction")
        return self._transaction
