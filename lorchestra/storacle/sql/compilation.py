"""Queries and views: from the text in BigQuery SQL to statements of SQLite."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, OptimizeError, SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from lorchestra.errors import DefinitionError
from lorchestra.storacle.sql import agreement, allowed, kinds, relations, rewriting, shape
from lorchestra.storacle.sql.kinds import Kind
from lorchestra.storacle.sql.refusals import Source, name_of
from lorchestra.storacle.sql.relations import Relation, Resolver, TableName

__all__ = [
    "CompiledQuery",
    "CompiledStatement",
    "Relation",
    "Resolver",
    "TableName",
    "compile_select",
    "compile_statement",
    "target_of",
]

# What sqlglot would say in the log, we refuse.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_PLACE = re.compile(r"\.? Line: (\d+), Col: (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledQuery:
    sqlite_sql: str
    tables: tuple[TableName, ...]
    columns: Mapping[str, Kind | None]
    parameters: tuple[str, ...]
    """Names that are bound as `:name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledStatement:
    kind: str
    """`view` or `table`."""
    target: TableName
    statements: tuple[str, ...]
    """To be carried out in this order, in one transaction."""
    query: CompiledQuery


def compile_select(sql: str, *, tables: Resolver, file: str = "<sql>") -> CompiledQuery:
    """Compile one query; DefinitionError names every construct that is not carried out, with its line."""
    source = Source(sql, file)
    tree = _parse(sql, source)
    if not isinstance(tree, exp.Query):
        raise source.refused(tree, f"{name_of(tree)} instead of a query", "expected SELECT or WITH")
    return _compile(tree, tables, source)


def compile_statement(
    sql: str, *, tables: Resolver, target: Callable[[TableName], str], file: str = "<sql>"
) -> CompiledStatement:
    """Compile `CREATE OR REPLACE VIEW|TABLE name AS query`; `target` gives the physical name of what is made."""
    source = Source(sql, file)
    tree = _parsed_statement(sql, source)
    name = relations.name_of(tree.this, source)
    query = _compile(tree.expression, tables, source)
    if query.parameters:
        raise source.refused(tree.this, "CREATE with a parameter", "expected a query that stands by itself")
    physical = _quoted(target(name))
    statements = _view(physical, query) if tree.kind == "VIEW" else _table(physical, query)
    return CompiledStatement(kind=str(tree.kind).lower(), target=name, statements=statements, query=query)


def target_of(sql: str, *, file: str = "<sql>") -> TableName:
    """What a statement makes, without looking at its query."""
    source = Source(sql, file)
    return relations.name_of(_parsed_statement(sql, source).this, source)


def _parsed_statement(sql: str, source: Source) -> exp.Create:
    tree = _parse(sql, source)
    if not isinstance(tree, exp.Create) or tree.kind not in ("VIEW", "TABLE"):
        raise source.refused(tree, f"{name_of(tree)} is not supported", "expected CREATE OR REPLACE VIEW or TABLE")
    strange = [part for part, value in tree.args.items() if value and part not in _CREATE_PARTS]
    if strange or not tree.args.get("replace") or not isinstance(tree.expression, exp.Query):
        said = f"CREATE with {', '.join(strange).upper()}" if strange else "CREATE without OR REPLACE or without AS"
        raise source.refused(tree.this, f"{said} is not supported", "expected CREATE OR REPLACE ... AS query")
    if not isinstance(tree.this, exp.Table):
        raise source.refused(tree.this, "CREATE with a list of columns is not supported", "expected a name and AS")
    if problems := list(allowed.check(tree.this, source)):
        raise DefinitionError(*problems)
    return tree


_CREATE_PARTS = frozenset({"this", "kind", "replace", "expression"})


def _view(physical: str, query: CompiledQuery) -> tuple[str, ...]:
    return (f"DROP VIEW IF EXISTS {physical}", f"CREATE VIEW {physical} AS {query.sqlite_sql}")


def _table(physical: str, query: CompiledQuery) -> tuple[str, ...]:
    # Gathered first, since the query may read the table it replaces; a renaming would fail where any view is broken.
    gathered = 'temp."_lorch_gathered"'
    columns = ", ".join(
        f"{_quoted(name)} {kinds.STORED_AS[kind] if kind else ''}".rstrip() for name, kind in query.columns.items()
    )
    return (
        f"DROP TABLE IF EXISTS {gathered}",
        f'CREATE TEMP TABLE "_lorch_gathered" AS {query.sqlite_sql}',
        f"DROP TABLE IF EXISTS {physical}",
        f"CREATE TABLE {physical} ({columns})",
        f"INSERT INTO {physical} SELECT * FROM {gathered}",
        f"DROP TABLE {gathered}",
    )


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql("sqlite")


def _parse(sql: str, source: Source) -> exp.Expr:
    try:
        trees = [tree for tree in sqlglot.parse(sql, dialect="bigquery") if tree is not None]
    except SqlglotError as error:
        at = getattr(error, "errors", None) or [{}]
        line, column = at[0].get("line") or 1, at[0].get("col") or 1
        raise source.at(line, column, "this is no SQL of BigQuery", "expected one query") from None
    except RecursionError:
        raise source.at(1, 1, "a query nested too deeply", "expected one that can be read") from None
    if len(trees) != 1:
        raise source.at(1, 1, f"{len(trees)} statements", "expected one")
    for raw in list(trees[0].find_all(exp.RawString)):
        raw.replace(exp.Literal.string(raw.name))
    return trees[0]


def _compile(tree: exp.Query, tables: Resolver, source: Source) -> CompiledQuery:
    try:
        return _compiled(tree, tables, source)
    except RecursionError:
        raise source.at(1, 1, "a query nested too deeply", "expected one that can be read") from None
    except SqlglotError:
        raise source.at(1, 1, "a query that cannot be understood", "expected what docs/sql.md lists") from None


def _compiled(tree: exp.Query, tables: Resolver, source: Source) -> CompiledQuery:
    if problems := list(allowed.check(tree, source)):
        raise DefinitionError(*problems)
    known = relations.Tables(tables, source)
    known.settle(tree)
    spelled = {one.alias.lower(): one.alias for one in tree.selects if isinstance(one, exp.Alias)}
    if any(not one.alias_or_name for one in tree.selects):
        raise source.refused(tree, "a column without a name", "expected AS and a name")
    columns_read = {name for described in known.schema.values() for name in described}
    problems = list(shape.check_group_names(tree, columns_read, source))
    qualified = _qualify(tree, known.schema, source)
    shape.expand_group_names(qualified)
    annotate_types(qualified, schema=dict(known.schema), dialect="bigquery")
    problems += [*agreement.settle(qualified, source), *shape.check(qualified, source)]
    columns = {
        spelled.get(one.alias_or_name, known.spelled(one.alias_or_name)): kinds.of(one) for one in qualified.selects
    }
    if len(columns) != len(qualified.selects):
        problems.append(source.problem(tree, "two columns of one name", "expected a name for each", "use AS"))
    for one in qualified.selects:
        if kinds.of(one) is Kind.ARRAY:
            problems.append(source.problem(one, "an ARRAY as a result", "expected UNNEST of it, or JSON_QUERY"))
    parameters = tuple(dict.fromkeys(one.name for one in qualified.find_all(exp.Parameter)))
    problems += rewriting.rewrite(qualified, source)
    holder = exp.Subquery(this=qualified)
    problems += shape.nest_limits(holder, source)
    if problems:
        raise DefinitionError(*problems)
    shape.unnest(holder)
    shape.unwrap_operands(holder)
    for parameter in list(holder.find_all(exp.Parameter)):
        parameter.replace(exp.Placeholder(this=parameter.name))
    known.restore(holder)
    for one, name in zip(holder.this.selects, columns, strict=True):
        if isinstance(one, exp.Alias):
            one.set("alias", exp.to_identifier(name, quoted=True))
    try:
        sql = holder.this.sql(
            dialect="sqlite",
            identify=True,
            comments=False,
            normalize_functions=False,
            unsupported_level=ErrorLevel.RAISE,
        )
    except SqlglotError:
        raise source.at(1, 1, "a query that SQLite cannot carry out", "expected what docs/sql.md lists") from None
    return CompiledQuery(sqlite_sql=sql, tables=tuple(known.read), columns=columns, parameters=parameters)


def _qualify(tree: exp.Query, schema: Mapping[str, Mapping[str, str]], source: Source) -> exp.Query:
    try:
        qualified = qualify(tree, schema=dict(schema), dialect="bigquery", quote_identifiers=False)
    except OptimizeError as error:
        place = _PLACE.search(str(error))
        said = _PLACE.sub("", str(error)).split("\n")[0].strip().rstrip(".")
        line, column = map(int, place.groups()) if place else (1, 1)
        raise source.at(line, column, said[:1].lower() + said[1:], "expected a column of the tables read") from None
    assert isinstance(qualified, exp.Query)
    return qualified
