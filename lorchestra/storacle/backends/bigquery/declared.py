"""A declared table: a column for each of its own, the hash of its content, and the tag of the op that wrote a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud.bigquery import SchemaField

from lorchestra.storacle.backends.bigquery.layout import Incoming, Moment
from lorchestra.storacle.backends.bigquery.names import quoted
from lorchestra.storacle.backends.values import INWARD
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import CONTENT_HASH, OP, Column, Role, Table, Type


class DeclaredLayout:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.key_columns = self.key_names = table.key_columns
        self.columns = {column.name: column for column in table.columns}
        self._hashed = tuple(column.name for column in table.content if column.name != table.verdict)
        self._rest = tuple(column for column in table.columns if column.name not in table.key_columns)

    @property
    def schema(self) -> tuple[SchemaField, ...]:
        own = (SchemaField(CONTENT_HASH, "STRING", mode="REQUIRED"), SchemaField(OP, "INT64"))
        return (*(field(column, is_key=column.name in self.key_columns) for column in self.table.columns), *own)

    @property
    def staged(self) -> Mapping[str, Type]:
        return {name: column.type for name, column in self.columns.items()}

    def read_in(self, row: object) -> Incoming:
        if not isinstance(row, Mapping) or not self.columns.keys() >= row.keys():
            raise RpcError(ErrorCode.INVALID_PARAMS)
        values: dict[str, Any] = {}
        name = ""
        try:
            for name, value in row.items():
                values[name] = None if value is None else INWARD[self.columns[name].type](value)
        except (ValueError, TypeError):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(name,)) from None
        key = tuple(values.get(name) for name in self.key_columns)
        if None in key:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(self.key_columns[key.index(None)],))
        return Incoming(key=key, values=values, names=frozenset(values))

    def key_of(self, row: object) -> Incoming:
        if not isinstance(row, Mapping):
            raise RpcError(ErrorCode.INVALID_PARAMS)
        return self.read_in({name: row.get(name) for name in self.key_columns})

    def merged(self, prefix: str, names: frozenset[str], moment: Moment, *, over_old: bool) -> Mapping[str, str]:
        given = {Role.FIRST_SEEN: moment.at, Role.LAST_SEEN: moment.at, Role.RUN: moment.run_id}
        found = {name: f"s.{quoted(prefix + name)}" for name in self.key_columns}
        for column in self._rest:
            said = f"s.{quoted(prefix + column.name)}"
            if column.name in names:
                is_json = column.type is Type.JSON
                found[column.name] = f"PARSE_JSON({said}, wide_number_mode=>'round')" if is_json else said
            elif column.name == self.table.verdict:
                # Void when the content changes, and when it does not, nothing is written.
                found[column.name] = f"CAST(NULL AS {column.type.value})"
            else:
                found[column.name] = given.get(column.role, f"t.{quoted(column.name)}")
        return found

    @property
    def content(self) -> str:
        return f"TO_JSON_STRING(STRUCT({', '.join(map(quoted, self._hashed))}))"

    def verdict(self, names: frozenset[str]) -> str | None:
        return self.table.verdict if self.table.verdict in names else None

    def updated(self, names: frozenset[str]) -> Sequence[str]:
        always = (Role.LAST_SEEN, Role.RUN)
        return [
            column.name
            for column in self._rest
            if column.role in always
            or column.name == self.table.verdict
            or (column.name in names and column.role is not Role.FIRST_SEEN)
        ]

    @property
    def touched(self) -> Sequence[str]:
        return [column.name for column in self._rest if column.role is Role.LAST_SEEN]


def field(column: Column, *, is_key: bool = False) -> SchemaField:
    return SchemaField(column.name, column.type.value, mode="REQUIRED" if is_key else "NULLABLE")
