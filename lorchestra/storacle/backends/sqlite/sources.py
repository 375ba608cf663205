"""What rows are read from: a table or a view of the file, and how each of its fields is said in SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from lorchestra.storacle.backends.sqlite.layout import SqlValue, quoted
from lorchestra.storacle.fields import Field
from lorchestra.storacle.plain_values import KINDS, Kind
from lorchestra.storacle.tables import CONTENT_HASH, OP, Type

_JSON_TYPES: Mapping[Kind, str] = {
    Kind.BOOL: "('true', 'false')",
    Kind.NUMBER: "('integer', 'real')",
    Kind.TEXT: "('text')",
}
_STORAGE: Mapping[Kind, str] = {Kind.BOOL: "('integer')", Kind.NUMBER: "('integer', 'real')", Kind.TEXT: "('text')"}


@dataclass(frozen=True, slots=True)
class Expression:
    """SQL that gives a value to compare, and the values for its marks. `type` is None where only the row can tell."""

    sql: str
    values: tuple[SqlValue, ...] = ()
    type: Type | None = None
    json: Field | None = None
    may_be_null: bool = True
    document: str = ""
    """SQL that gives the JSON text of a path."""

    @property
    def kind(self) -> Kind | None:
        return None if self.type is None else KINDS.get(self.type)

    def is_kind(self, kind: Kind) -> tuple[str, tuple[SqlValue, ...]]:
        """A condition that holds when the value of the row is of a kind."""
        if self.json is not None:
            return f"json_type({self.document}, ?) IN {_JSON_TYPES[kind]}", (self.json.json_path,)
        return f"typeof({self.sql}) IN {_STORAGE[kind]}", ()


@dataclass(frozen=True, slots=True)
class Output:
    """SQL for a value that is given out, and what makes a JSON value of it."""

    sql: str
    values: tuple[SqlValue, ...]
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    physical: str
    columns: Mapping[str, Type | None]
    """Those that a read without `columns` gives; none where rows are JSON texts that hold any."""
    key: tuple[str, ...] = ()
    """The columns of the file that tell rows apart and are never null; none for a view."""
    key_columns: tuple[str, ...] = ()
    """What the rows call their key."""
    namespace: str | None = None
    """Of the rows, where one table keeps those of every namespace."""
    hidden: Mapping[str, Type] = field(default_factory=dict)
    """Columns that are given when they are asked for."""
    is_view: bool = False

    @property
    def holds_texts(self) -> bool:
        """Whether a row is one JSON text."""
        return not self.columns

    def type_of(self, wanted: Field) -> Type | None:
        if wanted.path or (self.holds_texts and wanted.column not in self.hidden):
            return Type.JSON
        return self._type(wanted.column)

    def expression(self, wanted: Field) -> Expression | None:
        """None for a column that is not there."""
        wanted = self._within_text(wanted)
        if not self._has(wanted.column):
            # Asked of every column: SQLite takes a name in quotes that is none for a text.
            return None
        if wanted.path:
            if self._type(wanted.column) not in (Type.JSON, None):
                return None
            document = self._document(wanted.column)
            return Expression(f"json_extract({document}, ?)", (wanted.json_path,), json=wanted, document=document)
        name = quoted(wanted.column)
        if wanted.column == CONTENT_HASH and CONTENT_HASH in self.hidden:
            return Expression(f"lower(hex({name}))", (), Type.STRING, may_be_null=False)
        return Expression(name, (), self._type(wanted.column), may_be_null=wanted.column not in self.key)

    def output(self, wanted: Field) -> Output | None:
        wanted = self._within_text(wanted)
        name = quoted(wanted.column)
        if not self._has(wanted.column):
            return None
        type_ = self._type(wanted.column)
        if wanted.path:
            # As JSON again: only that tells true from 1, and gives objects and lists.
            document = self._document(wanted.column)
            return Output(f"{document} -> ?", (wanted.json_path,), _json) if type_ in (Type.JSON, None) else None
        if wanted.column == CONTENT_HASH and CONTENT_HASH in self.hidden:
            return Output(f"lower(hex({name}))", (), _as_is)
        return Output(name, (), _OUT.get(type_, _as_is) if type_ else _as_is)

    def _document(self, column: str) -> str:
        name = quoted(column)
        # Without a type, the column of a view may hold any text.
        is_json = self.holds_texts or self._type(column) is Type.JSON
        return name if is_json else f"(CASE WHEN json_valid({name}) THEN {name} END)"

    def _within_text(self, wanted: Field) -> Field:
        if not self.holds_texts or wanted.column in self.hidden:
            return wanted
        return Field(wanted.text, "row", (wanted.column, *wanted.path))

    def _has(self, column: str) -> bool:
        return column in self.columns or column in self.hidden or (self.holds_texts and column == "row")

    def _type(self, column: str) -> Type | None:
        return self.columns.get(column) or self.hidden.get(column)


HIDDEN: Mapping[str, Type] = {CONTENT_HASH: Type.STRING, OP: Type.INT64}
"""Of a declared table."""
HIDDEN_IN_TEXTS: Mapping[str, Type] = {OP: Type.INT64}


def _as_is(value: Any) -> Any:
    return value


def _json(value: Any) -> Any:
    return None if value is None else orjson.loads(value)


def _flag(value: Any) -> Any:
    return None if value is None else bool(value)


_OUT: Mapping[Type, Callable[[Any], Any]] = {Type.JSON: _json, Type.BOOL: _flag}
