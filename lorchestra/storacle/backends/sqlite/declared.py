"""A declared table: a column of the file for each of its own, and the hash of its content, which says what changes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import orjson

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends.moments import timestamp
from lorchestra.storacle.backends.sqlite.layout import (
    OP,
    Change,
    Key,
    Moment,
    SqlValue,
    Written,
    listed,
    matches,
    quoted,
)
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.read_spec import CONTENT_HASH
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Role, Table, Type

AFFINITY: Mapping[Type, str] = {
    Type.STRING: "TEXT",
    Type.TIMESTAMP: "TEXT",
    Type.DATE: "TEXT",
    Type.JSON: "TEXT",
    Type.INT64: "INTEGER",
    Type.BOOL: "INTEGER",
    Type.FLOAT64: "REAL",
}


_PLAIN = frozenset({str, type(None)})
_MOST_SHAPES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Rows with the same columns: which hold texts, and what makes a value of SQLite's of the others, or of all."""

    texts: Callable[[Mapping[str, Any]], Sequence[Any]]
    others: tuple[tuple[str, Callable[[Any], SqlValue]], ...]
    takers: tuple[tuple[str, Callable[[Any], SqlValue]], ...]


class DeclaredLayout:
    def __init__(self, physical: str, table: Table) -> None:
        self.physical = physical
        self.table = table
        self.key_columns = self.key_names = table.key_columns
        self.columns = {column.name: column for column in table.columns}
        hashed = [column for column in table.content if column.name != table.verdict]
        # By name: a declaration may put its columns into another order.
        hashed.sort(key=lambda column: column.name)
        self._hashed = tuple(column.name for column in hashed)
        self._hashed_plain = tuple(column.name for column in hashed if column.type is not Type.JSON)
        self._hashed_texts = tuple(column.name for column in hashed if column.type is Type.JSON)
        self._take = {column.name: _IN[column.type] for column in table.columns}
        self._shapes: dict[tuple[Any, ...], _Shape] = {}
        self._texts = frozenset(column.name for column in table.columns if column.type is Type.STRING)
        self._given = lru_cache(maxsize=1)(self._given_at)
        names = (*self.columns, CONTENT_HASH, OP)
        self._insert = f"INSERT INTO {quoted(physical)} ({listed(names)}) VALUES ({', '.join('?' * len(names))})"
        self._updates: dict[tuple[str, ...], str] = {}
        self._last_seen = tuple(column.name for column in table.columns if column.role is Role.LAST_SEEN)

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
        if not isinstance(row, Mapping):
            raise RpcError(ErrorCode.INVALID_PARAMS)
        names = tuple(row)
        shape = self._shapes.get(names) or self._shape(names)
        says = dict(row)
        # Nearly all are texts, and asking all at once costs less than to look at each.
        others = shape.others if _PLAIN.issuperset(map(type, shape.texts(says))) else shape.takers
        name = ""
        try:
            for name, take in others:
                value = says[name]
                if value is not None:
                    says[name] = take(value)
        except (ValueError, TypeError, OverflowError):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(name,)) from None
        key = tuple([says.get(name) for name in self.key_columns])
        if None in key:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(self.key_columns[key.index(None)],))
        return Written(key, says)

    def _shape(self, names: tuple[Any, ...]) -> _Shape:
        """What is to be done with rows that have these columns."""
        if not self.columns.keys() >= set(names):
            raise RpcError(ErrorCode.INVALID_PARAMS)
        takers = tuple((name, self._take[name]) for name in names)
        texts = [name for name in names if name in self._texts]
        shape = _Shape(
            texts=lambda row: [row[name] for name in texts],
            others=tuple((name, take) for name, take in takers if name not in self._texts),
            takers=takers,
        )
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes[names] = shape
        return shape

    def wanted(self, rows: Sequence[Written]) -> tuple[str, ...]:
        missing = {name for row in rows for name in self._hashed if name not in row.says}
        verdict = () if self.table.verdict is None else (self.table.verdict,)
        return (CONTENT_HASH, *verdict, *sorted(missing))

    def insertion(self, row: Written, moment: Moment) -> Change:
        get = row.says.get
        values = [get(name, given) for name, given in self._given(moment)]
        return Change(self._insert, (*values, self._hash(row.says, {}), moment.tag))

    def change(self, row: Written, old: Mapping[str, Any], moment: Moment) -> Change | None:
        says, verdict = row.says, self.table.verdict
        content_hash = self._hash(says, old)
        is_same = content_hash == old[CONTENT_HASH]
        if is_same and (verdict is None or verdict not in says or says[verdict] == old[verdict]):
            return None
        new = {name: value for name, value in says.items() if self.columns[name].role is not Role.FIRST_SEEN}
        new[CONTENT_HASH] = content_hash
        new[OP] = moment.tag
        for column in self.columns.values():
            if column.role is Role.LAST_SEEN:
                new.setdefault(column.name, moment.at)
            elif column.role is Role.RUN:
                new.setdefault(column.name, moment.run_id)
        if verdict is not None and not is_same:
            # It spoke of what the row said before.
            new.setdefault(verdict, None)
        return self._update(new, row.key)

    def is_same(self, row: Written, old: Mapping[str, Any]) -> bool:
        return bool(self._hash(row.says, old) == old[CONTENT_HASH])

    def touch(self, row: Written, moment: Moment) -> Change | None:
        if not self._last_seen:
            return None
        return self._update({name: row.says.get(name, moment.at) for name in self._last_seen}, row.key)

    def _update(self, new: Mapping[str, SqlValue], key: Key) -> Change:
        names = tuple(new)
        sql = self._updates.get(names)
        if sql is None:
            assignments = ", ".join(f"{quoted(name)} = ?" for name in names)
            sql = f"UPDATE {quoted(self.physical)} SET {assignments} WHERE {matches(self.key_columns)}"
            self._updates[names] = sql
        return Change(sql, (*new.values(), *key))

    def _given_at(self, moment: Moment) -> tuple[tuple[str, SqlValue], ...]:
        """What each column of a new row has when the row does not say."""
        given = {Role.FIRST_SEEN: moment.at, Role.LAST_SEEN: moment.at, Role.RUN: moment.run_id}
        return tuple((column.name, given.get(column.role)) for column in self.table.columns)

    def _hash(self, says: Mapping[str, SqlValue], old: Mapping[str, Any]) -> bytes:
        """Raises UnicodeError for a text with half a character."""
        # Without what is null: a column that a later declaration adds changes no row that does not have it.
        said: list[Any] = []
        for name in self._hashed_plain:
            value = says[name] if name in says else old.get(name)
            if value is not None:
                said += (name, value)
        # Texts of JSON are long: they are hashed as they are, and not written as JSON once more.
        texts = b""
        for name in self._hashed_texts:
            text: Any = says[name] if name in says else old.get(name)
            if text is not None:
                encoded = text.encode()
                said += (name, len(encoded))
                texts += encoded
        try:
            return hashlib.blake2b(orjson.dumps(said) + texts, digest_size=16).digest()
        except TypeError:
            raise UnicodeError from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        # A member of an enum is a text, and SQLite wants a plain one.
        return str.__str__(value)
    if isinstance(value, datetime):
        return timestamp(value)
    raise ValueError


def _integer(value: Any) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise ValueError


def _real(value: Any) -> float:
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
    raise ValueError


def _flag(value: Any) -> int:
    if type(value) is bool:
        return int(value)
    raise ValueError


def _date(value: Any) -> str:
    if isinstance(value, str):
        value = date.fromisoformat(value)
    if type(value) is not date:
        raise ValueError
    return value.isoformat()


def _json(value: Any) -> str:
    return canonical_bytes(value).decode()


_IN: Mapping[Type, Callable[[Any], SqlValue]] = {
    Type.STRING: _text,
    Type.TIMESTAMP: timestamp,
    Type.DATE: _date,
    Type.JSON: _json,
    Type.INT64: _integer,
    Type.BOOL: _flag,
    Type.FLOAT64: _real,
}
