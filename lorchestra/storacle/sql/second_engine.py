"""The same query on DuckDB, by a way that shares nothing with ours but the parser: what parity is measured against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import sqlglot
from sqlglot import exp

from lorchestra.errors import ConfigurationError
from lorchestra.storacle.sql import times
from lorchestra.storacle.sql.kinds import Kind

if TYPE_CHECKING:
    import duckdb

Row = tuple[Any, ...]

_STORED_AS: Mapping[str, str] = {
    "STRING": "VARCHAR", "INT64": "BIGINT", "FLOAT64": "DOUBLE", "BOOL": "BOOLEAN", "TIMESTAMP": "TIMESTAMP",
    "DATE": "DATE", "JSON": "VARCHAR",
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def connect() -> duckdb.DuckDBPyConnection:
    try:
        # Imported here because it is no dependency of ours, only of our tests.
        import duckdb
    except ImportError:
        raise ConfigurationError(
            "duckdb is not installed, and the comparison runs on it; `pip install duckdb`, or leave out --run"
        ) from None
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA raw")
    return connection


def fill(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]
) -> None:
    described = ", ".join(f'"{name}" {_STORED_AS[kind]}' for name, kind in columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE {table} ({described})")
    marks = ", ".join("?" for _ in columns)
    prepared = [[_given(value, kind) for value, kind in zip(row, columns.values(), strict=True)] for row in rows]
    if prepared:
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", prepared)


def _given(value: Any, kind: str) -> Any:
    if value is not None and kind == "TIMESTAMP":
        return times.read(value).replace(tzinfo=None)
    return bool(value) if value is not None and kind == "BOOL" else value


def run(connection: duckdb.DuckDBPyConnection, sql: str, columns: Mapping[str, Kind | None]) -> list[Row]:
    """The rows of a query in DuckDB's SQL, each value in the form that SQLite would give it in."""
    shown = ", ".join(_shown(name, kind) for name, kind in columns.items())
    rows = connection.execute(f"SELECT {shown} FROM ({sql}) AS _shown").fetchall()
    return [tuple(_taken(value, kind) for value, kind in zip(row, columns.values(), strict=True)) for row in rows]


def _shown(name: str, kind: Kind | None) -> str:
    if kind is Kind.TIMESTAMP:
        return f'epoch_us("{name}")'
    return f'CAST("{name}" AS VARCHAR)' if kind in (Kind.DATE, Kind.JSON) else f'"{name}"'


def _taken(value: Any, kind: Kind | None) -> Any:
    if value is None:
        return None
    if kind is Kind.TIMESTAMP:
        return times.write(_EPOCH + timedelta(microseconds=value))
    if kind is Kind.JSON:
        return canonical(value)
    return int(value) if isinstance(value, bool) else value


def canonical(text: str) -> bytes:
    """JSON without its order and spaces, which are nobody's promise."""
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)


def multiset(rows: Iterable[Row], columns: Mapping[str, Kind | None]) -> Counter[Row]:
    return Counter(
        tuple(
            canonical(value) if kind is Kind.JSON and isinstance(value, str) else value
            for value, kind in zip(row, columns.values(), strict=True)
        )
        for row in rows
    )


def to_duckdb(sql: str) -> str:
    tree = sqlglot.parse_one(sql, dialect="bigquery")
    offsets = {node.args["offset"].name for node in tree.find_all(exp.Unnest) if node.args.get("offset")}
    return tree.transform(_translate, offsets).sql(dialect="duckdb")


# What sqlglot itself makes for DuckDB is right for most constructs; below is what it is not right for.


def _translate(node: exp.Expr, offsets: set[str]) -> exp.Expr:
    if isinstance(node, exp.Column) and node.name in offsets and not isinstance(node.parent, exp.Alias):
        # Positions begin with 1 there.
        return exp.alias_(exp.Paren(this=exp.Sub(this=node.copy(), expression=exp.Literal.number(1))), node.name)
    rule = _RULES.get(type(node))
    return node if rule is None else rule(node)


def _made(template: str, *parts: exp.Expr | str) -> exp.Expr:
    """An expression of DuckDB, with parts at `{0}`, `{1}` and so on."""
    texts = (
        part if isinstance(part, str) else part.transform(_translate, set()).sql(dialect="duckdb") for part in parts
    )
    made: exp.Expr = sqlglot.parse_one(template.format(*texts), dialect="duckdb")
    return made


_VALID = "CASE WHEN json_valid(CAST({0} AS VARCHAR)) THEN CAST({0} AS VARCHAR) END"
_KIND = f"json_type({_VALID}, {{1}})"
_FOUND = f"json_extract({_VALID}, {{1}})"
_SCALAR = f"CASE WHEN {_KIND} NOT IN ('OBJECT', 'ARRAY') THEN json_extract_string({_VALID}, {{1}}) END"
_OTHER = f"CASE WHEN {_KIND} <> 'NULL' THEN {_FOUND} END"
_ELEMENTS = f"CASE WHEN {_KIND} = 'ARRAY' THEN json_extract({_VALID}, {{1}} || '[*]') END"

_WELL_FORMED = {
    "BIGINT": r"'\s*[+-]?[0-9]+\s*'",
    "DATE": r"'[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}'",
    "BOOLEAN": "'(?i)true|false'",
    "TIMESTAMPTZ": r"'[0-9]{{4}}-.*'",
}


def _json(template: str) -> Callable[[Any], exp.Expr]:
    def rule(node: Any) -> exp.Expr:
        path = "".join(f"[{part.this}]" if isinstance(part, exp.JSONPathSubscript) else f'."{part.this}"'
                       for part in node.expression.expressions[1:])  # fmt: skip
        return _made(template, node.this, f"'${path}'")

    return rule


def _try_cast(node: exp.TryCast) -> exp.Expr:
    form = _WELL_FORMED.get(node.to.this.name)
    if form is None:
        return node
    target = node.to.sql(dialect="duckdb")
    return _made(f"CASE WHEN regexp_full_match({{0}}, {form}) THEN TRY_CAST({{0}} AS {target}) END", node.this)


def _timestamp_diff(node: exp.TimestampDiff) -> exp.Expr:
    return _made("date_sub('{2}', {1}, {0})", node.this, node.expression, node.args["unit"].name)


def _extract(node: exp.Extract) -> exp.Expr:
    template = {"DAYOFWEEK": "dayofweek({0}) + 1", "ISOWEEK": "week({0})", "DATE": "CAST({0} AS DATE)"}
    named = template.get(node.this.name.upper())
    return node if named is None else _made(named, node.expression)


def _as_date(node: exp.Expr) -> exp.Expr:
    return node if isinstance(node.parent, exp.Cast) else exp.cast(node.copy(), "DATE")


def _like(node: exp.Like) -> exp.Expr:
    negated = "NOT " if node.args.get("negate") else ""
    return _made(f"{negated}({{0}} LIKE {{1}} ESCAPE '\\')", node.this, node.expression)


def _trim(node: exp.Trim) -> exp.Expr:
    plain = node.args.get("expression") is None and node.args.get("position") is None
    return _made(r"trim({0}, e' \t\n\r\f\x0b')", node.this) if plain else node


def _safe_parse(node: exp.SafeFunc) -> exp.Expr:
    parsed = _made("try_strptime({0}, {1})", node.this.this, node.this.args["format"])
    return exp.cast(parsed, "DATE") if isinstance(node.this, exp.StrToDate) else parsed


_RULES: Mapping[type[exp.Expr], Callable[[Any], exp.Expr]] = {
    exp.JSONExtractScalar: _json(_SCALAR),
    exp.JSONExtract: _json(_OTHER),
    exp.JSONExtractArray: _json(_ELEMENTS),
    exp.TryCast: _try_cast,
    exp.SafeFunc: _safe_parse,
    exp.TimestampDiff: _timestamp_diff,
    exp.Extract: _extract,
    exp.DateTrunc: _as_date,
    exp.DateAdd: _as_date,
    exp.DateSub: _as_date,
    exp.UnixSeconds: lambda node: _made("CAST(floor(epoch_us({0}) / 1000000) AS BIGINT)", node.this),
    exp.UnixMillis: lambda node: _made("CAST(floor(epoch_us({0}) / 1000) AS BIGINT)", node.this),
    # Its own gives NULL of nothing but NULL.
    exp.CountIf: lambda node: _made("count(CASE WHEN {0} THEN 1 END)", node.this),
    exp.Like: _like,
    exp.Trim: _trim,
}
