"""The columns of a SQLite copy: how they are declared, and what their values are stored as."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, field_validator, model_validator

from lorchestra.errors import Path
from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import Target
from lorchestra.storacle.outward.source import Source, narrowed
from lorchestra.storacle.params import Columns, Identifier, Params, is_identifier
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Type

SYNC_TABLE = "_lorchestra_sync"
PROJECTED_AT = "projected_at"
MOST_COLUMNS = 500

Stored: TypeAlias = int | float | str | None

_RESERVED = ("sqlite_", "_lorchestra_")
_INT64 = range(-(2**63), 2**63)


class SyncColumn(Params):
    name: Identifier
    type: Type

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        # Frozen mappings come in from callers of this process.
        return dict(value) if isinstance(value, Mapping) else value


def _distinct(columns: tuple[SyncColumn, ...]) -> tuple[SyncColumn, ...]:
    if not _are_distinct(column.name for column in columns):
        raise ValueError("distinct names are expected")
    return columns


def _are_distinct(names: Iterable[str]) -> bool:
    # SQLite's names are the same in capitals.
    folded = [name.lower() for name in names]
    return len(set(folded)) == len(folded)


def _time(value: object) -> datetime:
    # Numbers are times to pydantic.
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(time, datetime):
        raise ValueError("a time is expected")
    if time.tzinfo is not None:
        _utc(time)
    return time


class SqliteSync(Target):
    """Without `columns`, they are those of the source, as long as the types of all of them are known."""

    table: Identifier
    key_columns: Columns
    source: Source
    columns: (
        Annotated[tuple[SyncColumn, ...], Field(min_length=1, max_length=MOST_COLUMNS), AfterValidator(_distinct)]
        | None
    ) = None
    projected_at: Annotated[AwareDatetime, BeforeValidator(_time)] | None = None

    @field_validator("table")
    @classmethod
    def _is_free(cls, table: str) -> str:
        if table.lower().startswith(_RESERVED):
            raise ValueError("a name that is not reserved is expected")
        return table

    @property
    def read(self) -> Read:
        return self.source if self.columns is None else narrowed(self.source, [column.name for column in self.columns])

    def table_of(self, found: Mapping[str, Type | None], at: Path = ()) -> CopyTable:
        """The table, when the source has these columns."""
        columns = self.columns or _columns_of(found, (*at, "columns"))
        names = [column.name for column in columns]
        own = [] if self.projected_at is None else [PROJECTED_AT]
        if not _are_distinct([*names, *own]) or not set(names).issuperset(found):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "columns"))
        if not set(names).issuperset(self.key_columns):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "key_columns"))
        return CopyTable(name=self.table, columns=columns, key_columns=self.key_columns, projected_at=self.projected_at)


def _columns_of(found: Mapping[str, Type | None], at: Path) -> tuple[SyncColumn, ...]:
    if not 1 <= len(found) <= MOST_COLUMNS:
        raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
    columns = []
    for name, type_ in found.items():
        if type_ is None or not is_identifier(name):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=at)
        columns.append(SyncColumn(name=name, type=type_))
    return tuple(columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTable:
    """`projected_at` says when the rows were copied, in each of them, and is no part of what they say."""

    name: str
    columns: tuple[SyncColumn, ...]
    key_columns: tuple[str, ...]
    projected_at: datetime | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def content(self) -> str:
        """The columns that hold what the rows say, and the key, as DDL."""
        return self._declared(())

    @property
    def definition(self) -> str:
        own = () if self.projected_at is None else (f'"{PROJECTED_AT}" {_DECLARED[Type.TIMESTAMP]}',)
        return f'CREATE TABLE "{self.name}" {self._declared(own)}'

    @property
    def copied(self) -> Mapping[str, Stored]:
        """What every row holds besides what it says."""
        return {} if self.projected_at is None else {PROJECTED_AT: _utc(self.projected_at)}

    def _declared(self, own: tuple[str, ...]) -> str:
        """Texts of time keep the affinity of text, whatever they look like."""
        columns = [
            f'"{column.name}" {_DECLARED[column.type]}{" NOT NULL" if column.name in self.key_columns else ""}'
            for column in self.columns
        ]
        return f"({', '.join((*columns, *own))}, PRIMARY KEY ({quoted(self.key_columns)}))"


def quoted(names: Iterable[str]) -> str:
    """Identifiers hold no quotes: their grammar is checked when the params are parsed."""
    return ", ".join(f'"{name}"' for name in names)


class Encoder:
    """Rows as tuples of what SQLite stores. `position` counts the rows given out, and is the place of a mistake."""

    def __init__(self, table: CopyTable, at: Path) -> None:
        self._columns = tuple(
            (column.name, _ENCODERS[column.type], column.name in table.key_columns) for column in table.columns
        )
        self._names = frozenset(table.names)
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
    return _utc(value)


def _utc(value: datetime) -> str:
    """Of one width, so that times sort as texts. Raises ValueError at the ends of the calendar, where there is none."""
    try:
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError:
        raise ValueError from None


def _date(value: Any) -> Stored:
    return value.isoformat() if type(value) is date else _string(value)


def _json(value: Any) -> Stored:
    if value is None:
        raise ValueError
    return canonical_bytes(value).decode()


_ENCODERS: Mapping[Type, Callable[[Any], Stored]] = {
    Type.INT64: _int64,
    Type.FLOAT64: _float64,
    Type.STRING: _string,
    Type.BOOL: _bool,
    Type.TIMESTAMP: _timestamp,
    Type.DATE: _date,
    Type.JSON: _json,
}
_DECLARED: Mapping[Type, str] = {
    Type.INT64: "INTEGER",
    Type.FLOAT64: "REAL",
    Type.STRING: "TEXT",
    Type.BOOL: "INTEGER",
    Type.TIMESTAMP: "TEXT",
    Type.DATE: "TEXT",
    Type.JSON: "TEXT",
}
