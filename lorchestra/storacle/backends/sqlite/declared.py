"""A declared table: a column of the file for each of its own, and the hash of its content, which says what changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lorchestra.storacle.backends.sqlite.layout import Change, Key, Moment, Written, listed, quoted
from lorchestra.storacle.backends.sqlite.shape import ROW_NUMBER, Shape
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import CONTENT_HASH, OP, Role, Table, Type

AFFINITY: Mapping[Type, str] = {
    Type.STRING: "TEXT",
    Type.TIMESTAMP: "TEXT",
    Type.DATE: "TEXT",
    Type.JSON: "TEXT",
    Type.INT64: "INTEGER",
    Type.BOOL: "INTEGER",
    Type.FLOAT64: "REAL",
}

_MOST_SHAPES = 1_000


class DeclaredLayout:
    def __init__(self, physical: str, table: Table) -> None:
        self.physical = physical
        self.table = table
        self.key_columns = self.key_names = table.key_columns
        self.columns = {column.name: column for column in table.columns}
        self._seen = tuple(column.name for column in table.columns if column.role is Role.LAST_SEEN)
        self._shapes: dict[tuple[Any, ...], Shape] = {}

    def ddl(self) -> tuple[str, ...]:
        columns = [f"{quoted(column.name)} {AFFINITY[column.type]}" for column in self.table.columns]
        for position, column in enumerate(self.table.columns):
            if column.name in self.key_columns:
                columns[position] += " NOT NULL"
        # Before the payload, which is long: a column behind it is slow to read.
        columns[len(self.key_columns) : 0] = [f"{quoted(CONTENT_HASH)} BLOB NOT NULL", f"{quoted(OP)} INTEGER"]
        key = listed(self.key_columns)
        return (f"CREATE TABLE {quoted(self.physical)} ({', '.join(columns)}, PRIMARY KEY ({key}))",)

    def key_of(self, row: object) -> Key:
        if not isinstance(row, Mapping):
            raise RpcError(ErrorCode.INVALID_PARAMS)
        return self.read_in({name: row.get(name) for name in self.key_columns}).key

    def read_in(self, row: object) -> Written:
        # Asked first, since nearly every row is one and the abstract class is slow to ask.
        if type(row) is not dict and not isinstance(row, Mapping):
            raise RpcError(ErrorCode.INVALID_PARAMS)
        names = tuple(row)
        shape = self._shapes.get(names) or self._shape(names)
        return shape.read_in(list(row.values()))

    def _shape(self, names: tuple[Any, ...]) -> Shape:
        shape = Shape(self.physical, self.table, names)
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes[names] = shape
        return shape

    def wanted(self, rows: Iterable[Written]) -> tuple[str, ...]:
        missing = {name for shape in {row.shape for row in rows} for name in shape.missing}
        verdict = () if self.table.verdict is None else (self.table.verdict,)
        return (ROW_NUMBER, CONTENT_HASH, *verdict, *self._seen, *sorted(missing))

    def insertion(self, row: Written, moment: Moment) -> Change:
        change: Change = row.shape.insertion(row.says, moment)
        return change

    def change(self, row: Written, old: Mapping[str, Any], moment: Moment) -> tuple[bool, Change | None]:
        change: tuple[bool, Change | None] = row.shape.change(row.says, old, moment)
        return change

    def is_same(self, row: Written, old: Mapping[str, Any]) -> bool:
        return bool(row.shape.content_hash(row.says, old) == old[CONTENT_HASH])
