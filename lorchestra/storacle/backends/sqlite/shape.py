"""Rows of a declared table that name the same columns in the same order.

On its way such a row is the list of its values. What would be asked of each of them again, where the key stands or how
the row is written, is known here once for all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import orjson

from lorchestra.storacle.backends.sqlite.layout import (
    Change,
    Moment,
    SqlValue,
    Written,
    listed,
    quoted,
)
from lorchestra.storacle.backends.values import INWARD
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import CONTENT_HASH, OP, Role, Table, Type

ROW_NUMBER = "rowid"
"""What SQLite calls the number of a row, which finds it faster than its key."""

_PLAIN = frozenset({str, type(None)})
# What a moment says for columns of these roles, where the row says nothing.
_GIVEN: Mapping[Role, str] = {Role.FIRST_SEEN: "at", Role.LAST_SEEN: "at", Role.RUN: "run_id"}
# SQLite keeps no other truth than 1, and hashes have to be the same over what it gives back.
_TAKE: Mapping[Type, Callable[[Any], SqlValue]] = {**INWARD, Type.BOOL: lambda value: int(INWARD[Type.BOOL](value))}


class Shape:
    def __init__(self, physical: str, table: Table, names: Sequence[Any]) -> None:
        """Raises RpcError (invalid params) for columns that the table does not have, or a key that is not whole."""
        columns = [table.column(name) for name in names]
        if None in columns:
            raise RpcError(ErrorCode.INVALID_PARAMS)
        self._columns = [column for column in columns if column is not None]
        self._names = names = [column.name for column in self._columns]
        for name in table.key_columns:
            if name not in names:
                raise RpcError(ErrorCode.INVALID_PARAMS, at=(name,))
        self._key_columns = table.key_columns
        self._key = _picked([names.index(name) for name in table.key_columns])
        takers = [(position, _TAKE[column.type]) for position, column in enumerate(self._columns)]
        texts = [position for position, column in enumerate(self._columns) if column.type is Type.STRING]
        self._texts = _picked(texts)
        self._takers = tuple(takers)
        self._others = tuple((position, take) for position, take in takers if position not in texts)
        hashed = [column for column in table.content if column.name != table.verdict]
        # By name: a declaration may put its columns into another order.
        hashed.sort(key=lambda column: column.name)
        self.missing = tuple(column.name for column in hashed if column.name not in names)
        known = (*names, *self.missing)
        plain = [column.name for column in hashed if column.type is not Type.JSON]
        self._plain = _picked([known.index(name) for name in plain])
        self._said = [part for name in plain for part in (name, None)]
        self._documents = [(column.name, known.index(column.name)) for column in hashed if column.type is Type.JSON]
        self._verdict = table.verdict
        self._verdict_at = names.index(table.verdict) if table.verdict in names else None
        self._write(physical, table)

    def _write(self, physical: str, table: Table) -> None:
        """The statements, and which values of a row they take."""
        names, target = self._names, quoted(physical)
        given = [column for column in table.columns if column.role in _GIVEN and column.name not in names]
        inserted = [*names, CONTENT_HASH, *(column.name for column in given), OP]
        self._insert = f"INSERT INTO {target} ({listed(inserted)}) VALUES ({', '.join('?' * len(inserted))})"
        self._given = _told([_GIVEN[column.role] for column in given])
        here = f"WHERE {ROW_NUMBER} = ?"
        kept = (*table.key_columns, *(column.name for column in table.columns if column.role is Role.FIRST_SEEN))
        changed = [name for name in names if name not in kept]
        again = [column for column in given if column.role is not Role.FIRST_SEEN]
        assigned = [f"{quoted(name)} = ?" for name in (*changed, CONTENT_HASH, *(one.name for one in again), OP)]
        if table.verdict is not None and table.verdict not in names:
            # It spoke of what the row said before.
            assigned.append(f"{quoted(table.verdict)} = NULL")
        self._update = f"UPDATE {target} SET {', '.join(assigned)} {here}"
        self._changed = _picked([names.index(name) for name in changed])
        self._given_again = _told([_GIVEN[column.role] for column in again])
        self._seen = seen = [column.name for column in table.columns if column.role is Role.LAST_SEEN]
        self._seen_at = tuple(names.index(name) if name in names else None for name in seen)
        self._touch = f"UPDATE {target} SET {', '.join(f'{quoted(name)} = ?' for name in seen)} {here}"

    def read_in(self, values: list[Any]) -> Written:
        """Raises RpcError (invalid params) with the column of what the table cannot hold."""
        # Nearly all are texts, and asking all at once costs less than to look at each.
        position = 0
        try:
            for position, take in self._others if _PLAIN.issuperset(map(type, self._texts(values))) else self._takers:
                value = values[position]
                if value is not None:
                    values[position] = take(value)
        except (ValueError, TypeError):
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(self._names[position],)) from None
        key = self._key(values)
        if None in key:
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(self._key_columns[key.index(None)],))
        return Written(key, values, self)

    def insertion(self, values: Sequence[Any], moment: Moment) -> Change:
        return self._insert, (*values, self.content_hash(values, {}), *self._given(moment))

    def change(self, values: Sequence[Any], old: Mapping[str, Any], moment: Moment) -> tuple[bool, Change | None]:
        content_hash = self.content_hash(values, old)
        if content_hash == old[CONTENT_HASH] and (
            self._verdict_at is None or values[self._verdict_at] == old[self._verdict or ""]
        ):
            return False, self._touch_of(values, old, moment)
        changed = self._changed(values)
        return True, (self._update, (*changed, content_hash, *self._given_again(moment), old[ROW_NUMBER]))

    def _touch_of(self, values: Sequence[Any], old: Mapping[str, Any], moment: Moment) -> Change | None:
        if not self._seen_at:
            return None
        seen = [moment.at if position is None else values[position] for position in self._seen_at]
        return None if seen == [old[name] for name in self._seen] else (self._touch, (*seen, old[ROW_NUMBER]))

    def content_hash(self, values: Sequence[Any], old: Mapping[str, Any]) -> bytes:
        """Of what the row says, with what is there already of columns it does not name.

        Raises UnicodeError for a text with half a character.
        """
        if self.missing:
            values = [*values, *map(old.get, self.missing)]
        plain = self._plain(values)
        # Names and values in turn.
        said: list[Any] = self._said[:]
        said[1::2] = plain
        if None in plain:
            # Without what is null: a column that a later declaration adds changes no row that does not have it.
            said = [part for pair in zip(said[::2], plain, strict=True) if pair[1] is not None for part in pair]
        # Texts of JSON are long: they are hashed as they are, and not written as JSON once more.
        texts = b""
        for name, position in self._documents:
            text = values[position]
            if text is not None:
                encoded = text.encode()
                said += (name, len(encoded))
                texts += encoded
        try:
            return hashlib.blake2b(orjson.dumps(said) + texts, digest_size=16).digest()
        except TypeError:
            raise UnicodeError from None


def _picked(positions: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What takes the values at some positions out of a row."""
    match positions:
        case []:
            return lambda values: ()
        case [position]:
            return lambda values: (values[position],)
        case _:
            return itemgetter(*positions)


def _told(attributes: Sequence[str]) -> Callable[[Moment], tuple[Any, ...]]:
    """What a moment says, the tag of the op last."""
    names = (*attributes, "tag")
    return attrgetter(*names) if attributes else lambda moment: (moment.tag,)
