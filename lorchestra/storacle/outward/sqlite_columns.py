"""The columns of a SQLite copy: how they are declared, and what their values are stored as."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, field_validator, model_validator

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import Target
from lorchestra.storacle.params import Columns, Identifier, Params
from lorchestra.storacle.service import RpcError

SYNC_TABLE = "_lorchestra_sync"

Stored: TypeAlias = int | float | str | None
TypeName: TypeAlias = Literal["INT64", "FLOAT64", "STRING", "BOOL", "TIMESTAMP", "DATE", "JSON"]

_RESERVED = ("sqlite_", "_lorchestra_")
_INT64 = range(-(2**63), 2**63)


class SyncColumn(Params):
    name: Identifier
    type: TypeName

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        # Frozen mappings come in from callers of this process.
        return dict(value) if isinstance(value, Mapping) else value


def _distinct(columns: tuple[SyncColumn, ...]) -> tuple[SyncColumn, ...]:
    # SQLite's names are the same in capitals.
    if len({column.name.lower() for column in columns}) < len(columns):
        raise ValueError("distinct names are expected")
    return columns


class SqliteSync(Target):
    table: Identifier
    columns: Annotated[tuple[SyncColumn, ...], Field(min_length=1, max_length=500), AfterValidator(_distinct)]
    key_columns: Columns

    @field_validator("table")
    @classmethod
    def _is_free(cls, table: str) -> str:
        if table.lower().startswith(_RESERVED):
            raise ValueError("a name that is not reserved is expected")
        return table

    @field_validator("key_columns")
    @classmethod
    def _are_columns(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        columns = info.data.get("columns")
        if columns is not None and not {column.name for column in columns}.issuperset(names):
            raise ValueError("names of columns are expected")
        return names

    @property
    def declarations(self) -> str:
        """The columns and the key as DDL. Texts of time keep the affinity of text, whatever they look like."""
        keys = set(self.key_columns)
        columns = [
            f'"{column.name}" {_DECLARED[column.type]}{" NOT NULL" if column.name in keys else ""}'
            for column in self.columns
        ]
        return f"({', '.join(columns)}, PRIMARY KEY ({quoted(self.key_columns)}))"


def quoted(names: Iterable[str]) -> str:
    """Identifiers hold no quotes: their grammar is checked when the params are parsed."""
    return ", ".join(f'"{name}"' for name in names)


class Encoder:
    """Rows as tuples of what SQLite stores. `position` counts the rows given out, and is the place of a mistake."""

    def __init__(self, params: SqliteSync, at: Path) -> None:
        self._columns = tuple(
            (column.name, _ENCODERS[column.type], column.name in params.key_columns) for column in params.columns
        )
        self._names = frozenset(column.name for column in params.columns)
        self._at = (*at, "rows")
        self.position = -1

    @property
    def place(self) -> Path:
        return (*self._at, self.position)

    def encode(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Stored, ...]]:
        for row in rows:
            self.position += 1
            if not self._names.issuperset(row):
                raise RpcError(ErrorCode.INVALID_PARAMS, at=self.place)
            yield tuple([self._value(row, *column) for column in self._columns])

    def _value(self, row: Mapping[str, Any], name: str, encode: Callable[[Any], Stored], is_key: bool) -> Stored:
        value = row.get(name)
        if value is None and not is_key:
            return None
        try:
            return encode(value)
        except (TypeError, ValueError):
            pass
        # Outside the `except`: messages of the encoders may quote the value.
        raise RpcError(ErrorCode.INVALID_PARAMS, at=(*self.place, name))


def _int64(value: Any) -> Stored:
    if type(value) is not int or value not in _INT64:
        raise ValueError
    return value


def _float64(value: Any) -> Stored:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _string(value: Any) -> Stored:
    if type(value) is not str:
        raise ValueError
    value.encode()
    return value


def _bool(value: Any) -> Stored:
    # Engines without the type give 0 and 1.
    if type(value) not in (bool, int) or value not in (0, 1):
        raise ValueError
    return int(value)


def _timestamp(value: Any) -> Stored:
    if not isinstance(value, datetime):
        return _string(value)
    if value.tzinfo is None:
        raise ValueError
    return value.astimezone(UTC).isoformat()


def _date(value: Any) -> Stored:
    return value.isoformat() if type(value) is date else _string(value)


def _json(value: Any) -> Stored:
    if value is None:
        raise ValueError
    return canonical_bytes(value).decode()


_ENCODERS: Mapping[TypeName, Callable[[Any], Stored]] = {
    "INT64": _int64,
    "FLOAT64": _float64,
    "STRING": _string,
    "BOOL": _bool,
    "TIMESTAMP": _timestamp,
    "DATE": _date,
    "JSON": _json,
}
_DECLARED: Mapping[TypeName, str] = {
    "INT64": "INTEGER",
    "FLOAT64": "REAL",
    "STRING": "TEXT",
    "BOOL": "INTEGER",
    "TIMESTAMP": "TEXT",
    "DATE": "TEXT",
    "JSON": "TEXT",
}
