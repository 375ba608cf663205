"""What rows are read from, and how each of its fields is said in SQL. The source is always called `t`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.cloud import bigquery

from lorchestra.storacle.backends.bigquery.names import Physical, quoted
from lorchestra.storacle.backends.bigquery.undeclared import KEY, ROW
from lorchestra.storacle.fields import Field
from lorchestra.storacle.plain_values import KINDS, Kind
from lorchestra.storacle.tables import CONTENT_HASH, OP, Table, Type

_OF_FIELD: Mapping[str, Type] = {
    "STRING": Type.STRING,
    "INTEGER": Type.INT64,
    "INT64": Type.INT64,
    "FLOAT": Type.FLOAT64,
    "FLOAT64": Type.FLOAT64,
    "BOOLEAN": Type.BOOL,
    "BOOL": Type.BOOL,
    "TIMESTAMP": Type.TIMESTAMP,
    "DATE": Type.DATE,
    "JSON": Type.JSON,
}
_JSON_TYPES: Mapping[Kind, str] = {Kind.BOOL: "boolean", Kind.NUMBER: "number", Kind.TEXT: "string"}
_HIDDEN: Mapping[str, Type] = {CONTENT_HASH: Type.STRING, OP: Type.INT64}


@dataclass(frozen=True, slots=True)
class Expression:
    """SQL for a value to compare. Where only the row can tell its type, it has none, and `json` is what lies there."""

    sql: str
    type: Type | None = None
    json: str | None = None

    @property
    def kind(self) -> Kind | None:
        return None if self.type is None else KINDS.get(self.type)

    def is_kind(self, kind: Kind) -> str:
        return f"JSON_TYPE({self.json}) = '{_JSON_TYPES[kind]}'"

    @property
    def is_null(self) -> str:
        return f"{self.sql} IS NULL" if self.json is None else f"COALESCE(JSON_TYPE({self.json}), 'null') = 'null'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    physical: Physical
    columns: Mapping[str, Type | None]
    """Those that a read without `columns` gives; none where rows are JSON objects that hold any."""
    key: tuple[str, ...] = ()
    """The columns that tell rows apart and are never null, all of them texts; none for what a query made."""
    key_columns: tuple[str, ...] = ()
    hidden: Mapping[str, Type] = field(default_factory=dict)
    """Columns that are given when they are asked for."""

    @property
    def holds_objects(self) -> bool:
        return not self.columns

    def type_of(self, wanted: Field) -> Type | None:
        if wanted.path or (self.holds_objects and wanted.column not in self.hidden):
            return Type.JSON
        return self._type(wanted.column)

    def expression(self, wanted: Field) -> Expression | None:
        """None for a field that is not there."""
        wanted = self._within_object(wanted)
        if not self._has(wanted.column):
            return None
        name, type_ = f"t.{quoted(wanted.column)}", self._type(wanted.column)
        if not wanted.path:
            return Expression(name, type_)
        if type_ is not Type.JSON:
            return None
        path = _literal(wanted.json_path)
        return Expression(f"JSON_VALUE({name}, {path})", None, f"JSON_QUERY({name}, {path})")

    def output(self, wanted: Field) -> str | None:
        """SQL for a value that is given out."""
        expression = self.expression(wanted)
        return None if expression is None else expression.json or expression.sql

    def _within_object(self, wanted: Field) -> Field:
        if not self.holds_objects or wanted.column in self.hidden:
            return wanted
        return Field(wanted.text, ROW, (wanted.column, *wanted.path))

    def _has(self, column: str) -> bool:
        return column in self.columns or column in self.hidden or (self.holds_objects and column == ROW)

    def _type(self, column: str) -> Type | None:
        if self.holds_objects and column == ROW:
            return Type.JSON
        return self.columns.get(column) or self.hidden.get(column)


def of_declared(physical: Physical, table: Table, *, is_own: bool = False) -> Source:
    return Source(
        physical=physical,
        columns={column.name: column.type for column in table.columns},
        key=table.key_columns,
        key_columns=table.key_columns,
        hidden={} if is_own else _HIDDEN,
    )


def of_undeclared(physical: Physical) -> Source:
    return Source(physical=physical, columns={}, key=(KEY,), hidden={OP: Type.INT64})


def of_schema(physical: Physical, table: bigquery.Table) -> Source:
    """A view, a table that a query made, or one that lorchestra did not make."""
    return Source(physical=physical, columns={one.name: type_of(one) for one in table.schema})


def type_of(column: bigquery.SchemaField) -> Type | None:
    """None for one that no declaration has."""
    return None if column.mode == "REPEATED" else _OF_FIELD.get(column.field_type)


def _literal(text: str) -> str:
    """A text of SQL. Backslashes and control characters cannot come here: no field has them."""
    return "'" + text.replace("'", "\\'") + "'"
