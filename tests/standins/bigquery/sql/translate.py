"""One BigQuery statement, checked for what BigQuery is strict about, in the words of DuckDB."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.generators.duckdb import DuckDBGenerator

from tests.standins.bigquery.errors import Refusal, unsupported
from tests.standins.bigquery.sql.values import Typed

# Clauses without a meaning for DuckDB (partitioning, options) are expected, and kept elsewhere.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_MEMBER = re.compile(r"\$\.([A-Za-z_]\w*)")
_ZONED = exp.DataType.Type.TIMESTAMPTZ
_NUMBERS = {exp.DataType.Type.DECIMAL, exp.DataType.Type.BIGDECIMAL}


class UtcDuckDB(DuckDB):
    """DuckDB without time zones (they need an extension): a TIMESTAMP of BigQuery is a DuckDB TIMESTAMP in UTC."""

    class Generator(DuckDBGenerator):
        TRANSFORMS = {  # noqa: RUF012 - as the class it extends declares it
            **DuckDBGenerator.TRANSFORMS,
            exp.CurrentTimestamp: lambda self, e: "CAST(NOW() AS TIMESTAMP)",
            exp.UnixToTime: lambda self, e: f"CAST({DuckDBGenerator.TRANSFORMS[exp.UnixToTime](self, e)} AS TIMESTAMP)",
            exp.JSONType: lambda self, e: self.func("bigquery_json_type", e.this),
            exp.JSONSet: lambda self, e: _json_set(self, e),
            exp.CurrentDate: lambda self, e: "CAST(CAST(NOW() AS TIMESTAMP) AS DATE)",
        }

        def datatype_sql(self, expression: exp.DataType) -> str:
            if expression.this == _ZONED:
                return "TIMESTAMP"
            if expression.this in _NUMBERS and not expression.expressions:
                return "DECIMAL(38, 9)"
            return super().datatype_sql(expression)

        def cast_sql(self, expression: exp.Cast, safe_prefix: str | None = None) -> str:
            text = super().cast_sql(expression, safe_prefix)
            kind = self.sql(expression, "to")
            if not any(part.this == _ZONED for part in expression.to.find_all(exp.DataType)):
                return text
            # Through the type with a zone, because the plain one ignores an offset in a text.
            zoned = kind.replace("TIMESTAMP", "TIMESTAMPTZ")
            return f"CAST({text.removesuffix(kind + ')')}{zoned}) AS {kind})"


def _json_set(generator: DuckDBGenerator, node: exp.JSONSet) -> str:
    """JSON_SET of members of the object itself, one after the other."""
    found = generator.sql(node.this)
    for path, value in zip(node.expressions[::2], node.expressions[1::2], strict=True):
        member = _MEMBER.fullmatch(path.name) if path.is_string else None
        if member is None:
            raise unsupported("JSON_SET below the members of an object")
        name = exp.Literal.string(member[1])
        found = f"bigquery_json_set({found}, {generator.sql(name)}, {generator.sql(value)})"
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the names in a statement may mean."""

    project: str
    default_dataset: str | None
    parameters: Mapping[str, Typed]
    variables: Mapping[str, Typed]
    temporary: Set[str]
    row_count: int
    error_message: str | None
    columns_of: Callable[[str, str], Set[str]]
    next_position: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    sql: str
    values: Mapping[str, Any]
    tree: exp.Expr
    kind: str
    target: tuple[str, str] | None  # dataset and table; a temporary table has no dataset


def translate(text: str, scope: Scope) -> Translated:
    # The same statements come again and again, and to copy what was read is far quicker than to read it anew.
    tree = _parsed(text).copy()
    kind = statement_type(tree)
    _refuse_what_bigquery_refuses(tree)
    _qualify(tree, scope)
    _open_records(tree, scope)
    values = _bind(tree, scope)
    _drop_constraints(tree)
    if isinstance(tree, exp.Merge):
        _spell_out_insert_row(tree, scope)
    try:
        sql = tree.sql(dialect=UtcDuckDB)
    except ValueError as error:
        raise unsupported(f"this statement: {error}") from error
    if kind == "MERGE":
        sql += " RETURNING merge_action"
    table = _target(tree)
    target = (table.db, table.name) if table is not None else None
    return Translated(sql=sql, values=values, tree=tree, kind=kind, target=target)


@lru_cache(maxsize=1000)
def _parsed(text: str) -> exp.Expr:
    try:
        found = sqlglot.parse(text, read="bigquery")
    except (ParseError, TokenError) as error:
        raise Refusal("invalidQuery", f"Syntax error: {error}") from error
    if len(found) != 1 or found[0] is None:
        raise Refusal("invalidQuery", "Syntax error: expected one statement")
    if isinstance(found[0], exp.Command):
        raise unsupported(f"the statement {found[0].name.upper()}")
    return found[0]


def statement_type(tree: exp.Expr) -> str:
    match tree:
        case exp.Query():
            return "SELECT"
        case exp.Insert() | exp.Update() | exp.Delete() | exp.Merge():
            return type(tree).__name__.upper()
        case exp.TruncateTable():
            return "TRUNCATE_TABLE"
        case exp.Create() if tree.kind in {"TABLE", "VIEW", "SCHEMA"}:
            as_select = "_AS_SELECT" if tree.kind == "TABLE" and tree.expression else ""
            return f"CREATE_{tree.kind}{as_select}"
        case exp.Drop() if tree.kind in {"TABLE", "VIEW", "SCHEMA"}:
            return f"DROP_{tree.kind}"
        case exp.Alter() if tree.args.get("kind") == "TABLE":
            return "ALTER_TABLE"
        case _:
            raise unsupported(f"the statement {type(tree).__name__}")


def _refuse_what_bigquery_refuses(tree: exp.Expr) -> None:
    if isinstance(tree, exp.Update | exp.Delete) and not tree.args.get("where"):
        raise Refusal("invalidQuery", f"{type(tree).__name__.upper()} must have a WHERE clause")
    for kind in tree.find_all(exp.DataType):
        # BigQuery's DATETIME, which the engine could not tell from its TIMESTAMP.
        if kind.this == exp.DataType.Type.TIMESTAMP:
            raise unsupported("the type DATETIME")


def _target(tree: exp.Expr) -> exp.Table | None:
    if isinstance(tree, exp.Query):
        return None
    found = tree.find(exp.Table)
    return found if isinstance(found, exp.Table) else None


def _qualify(tree: exp.Expr, scope: Scope) -> None:
    commons = {common.alias.lower() for common in tree.find_all(exp.CTE)}
    is_schema = isinstance(tree, exp.Create | exp.Drop) and tree.kind == "SCHEMA"
    makes_temporary = isinstance(tree, exp.Create) and tree.find(exp.TemporaryProperty) is not None
    target = _target(tree)
    for table in list(tree.find_all(exp.Table)):
        catalog = table.catalog
        if catalog and catalog != scope.project:
            raise Refusal("accessDenied", f"Access Denied: Project {catalog}: the stand-in has {scope.project}")
        table.set("catalog", None)
        if is_schema or not isinstance(table.this, exp.Identifier):
            continue
        if table.name.upper().startswith("INFORMATION_SCHEMA."):
            _read_information_schema(table)
        elif table.db == "_SESSION" or (makes_temporary and table is target):
            table.set("db", None)
        elif not table.db and table.name.lower() not in commons | scope.temporary:
            if scope.default_dataset is None:
                message = f'Table "{table.name}" must be qualified with a dataset (e.g. dataset.table).'
                raise Refusal("invalidQuery", message)
            table.set("db", exp.to_identifier(scope.default_dataset, quoted=True))


def _read_information_schema(table: exp.Table) -> None:
    view = table.name.split(".", 1)[1].upper()
    if view not in {"TABLES", "COLUMNS"}:
        raise unsupported(f"INFORMATION_SCHEMA.{view}")
    types = " REPLACE (bigquery_type(data_type) AS data_type)" if view == "COLUMNS" else ""
    rows = exp.maybe_parse(f"SELECT *{types} FROM information_schema.{view.lower()}", into=exp.Select, dialect="duckdb")
    rows = rows.where(exp.column("table_schema").eq(exp.Literal.string(table.db)))
    table.replace(rows.subquery(table.alias or view))


def _open_records(tree: exp.Expr, scope: Scope) -> None:
    """The fields of an array of records are columns of its UNNEST; DuckDB must be asked for that."""
    for unnest in list(tree.find_all(exp.Unnest)):
        array = unnest.expressions[0]
        if not isinstance(unnest.parent, exp.From | exp.Join) or not isinstance(array, exp.Parameter):
            continue
        typed = scope.parameters.get(array.name.lower())
        if typed is None or not typed.type.startswith("ARRAY<STRUCT"):
            continue
        if unnest.args.get("offset"):
            raise unsupported("WITH OFFSET beside an array of records")
        depth = exp.PropertyEQ(this=exp.to_identifier("max_depth"), expression=exp.Literal.number(2))
        opened = exp.select(exp.Anonymous(this="UNNEST", expressions=[array.copy(), depth]))
        alias = unnest.args.get("alias")
        names = [*alias.columns, *([alias.this] if alias.this else [])] if alias is not None else []
        unnest.replace(opened.subquery(names[0].name if names else "_opened"))


def _bind(tree: exp.Expr, scope: Scope) -> dict[str, Any]:
    values: dict[str, Any] = {}

    def bound(name: str, typed: Typed) -> exp.Expr:
        values[name] = typed.value
        return exp.cast(exp.Parameter(this=exp.var(name)), exp.DataType.build(typed.type, dialect="bigquery"))

    for node in list(tree.find_all(exp.Parameter, exp.Placeholder)):
        inner = node.this
        if isinstance(inner, exp.Parameter):
            _system_variable(node, inner.name.lower(), scope)
        elif isinstance(node.parent, exp.Parameter):
            continue
        else:
            name = node.name.lower() if isinstance(node, exp.Parameter) else str(scope.next_position())
            if name not in scope.parameters:
                raise Refusal("invalidQuery", f"Query parameter '{name}' not found")
            node.replace(bound(f"p_{name}", scope.parameters[name]))
    columns = [column for column in tree.find_all(exp.Column) if not column.table]
    variables = [column for column in columns if column.name.lower() in scope.variables]
    if variables:
        # A column hides a variable of its name, as in BigQuery.
        tables = [(table.db, table.name) for table in tree.find_all(exp.Table)]
        hidden = {name for database, table in tables for name in scope.columns_of(database, table)}
        for column in variables:
            name = column.name.lower()
            if name not in hidden:
                column.replace(bound(f"v_{name}", scope.variables[name]))
    return values


def _system_variable(node: exp.Expr, name: str, scope: Scope) -> None:
    if name == "row_count":
        node.replace(exp.Literal.number(scope.row_count))
    elif name == "error" and isinstance(node.parent, exp.Dot) and node.parent.expression.name == "message":
        message = scope.error_message
        node.parent.replace(exp.null() if message is None else exp.Literal.string(message))
    else:
        raise unsupported(f"the system variable @@{name}")


def _drop_constraints(tree: exp.Expr) -> None:
    """BigQuery does not enforce keys, and DuckDB would."""
    for key in list(tree.find_all(exp.PrimaryKey, exp.ForeignKey)):
        key.pop()
    for constraint in list(tree.find_all(exp.ColumnConstraint)):
        if isinstance(constraint.kind, exp.PrimaryKeyColumnConstraint | exp.Reference):
            constraint.pop()


def _spell_out_insert_row(tree: exp.Merge, scope: Scope) -> None:
    source = tree.args["using"].alias_or_name
    columns = sorted(scope.columns_of(tree.this.db, tree.this.name))
    for when in tree.args["whens"].expressions:
        then = when.args["then"]
        if isinstance(then, exp.Insert) and isinstance(then.this, exp.Var) and then.this.name.upper() == "ROW":
            names = [exp.column(name, quoted=True) for name in columns]
            then.set("this", exp.Tuple(expressions=names))
            values = [exp.column(name, table=source, quoted=True) for name in columns]
            then.set("expression", exp.Tuple(expressions=values))
