"""A table that nobody declared: made by the first who writes it, its rows JSON texts under their keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends import keys
from lorchestra.storacle.backends.sqlite.layout import Change, Key, Moment, Written
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import is_identifier
from lorchestra.storacle.plain_values import kind_of
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import OP, RESERVED


class UndeclaredLayout:
    key_names: tuple[str, ...] = ("key",)

    def __init__(self, physical: str, key_columns: tuple[str, ...]) -> None:
        self.physical = physical
        self.key_columns = key_columns
        self._columns: set[str] = set()
        self._insert = f'INSERT INTO "{physical}" (key, row, {OP}) VALUES (?, ?, ?)'
        self._update = f'UPDATE "{physical}" SET row = ?, {OP} = ? WHERE key = ?'

    def ddl(self) -> tuple[str, ...]:
        return (f'CREATE TABLE "{self.physical}" (key BLOB PRIMARY KEY NOT NULL, {OP} INTEGER, row TEXT NOT NULL)',)

    def key_of(self, row: object) -> Key:
        return self.read_in(row).key

    def read_in(self, row: object) -> Written:
        if not isinstance(row, Mapping) or not self._has_columns_of(row):
            raise RpcError(ErrorCode.INVALID_PARAMS)
        try:
            encoded = canonical_bytes(row)
        except TypeError:
            raise RpcError(ErrorCode.INVALID_PARAMS) from None
        key = self.key_from(row.get(column) for column in self.key_columns)
        if key is None:
            # A date is text once it is JSON, so only what JSON holds can say whether a key is missing.
            plain = orjson.loads(encoded)
            key = self.key_from(plain.get(column) for column in self.key_columns)
        if key is None:
            missing = next(column for column in self.key_columns if kind_of(row.get(column)) is None)
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(missing,))
        return Written(key, encoded.decode())

    def key_from(self, values: Any) -> Key | None:
        encoded = keys.encode(values)
        return None if encoded is None else (encoded,)

    def wanted(self, rows: Iterable[Written]) -> tuple[str, ...]:
        return ("row",)

    def insertion(self, row: Written, moment: Moment) -> Change:
        return self._insert, (*row.key, row.says, moment.tag)

    def change(self, row: Written, old: Mapping[str, Any], moment: Moment) -> tuple[bool, Change | None]:
        before = old["row"]
        if before == row.says:
            return False, None
        merged = canonical_bytes({**orjson.loads(before), **orjson.loads(row.says)}).decode()
        return (False, None) if merged == before else (True, (self._update, (merged, moment.tag, *row.key)))

    def is_same(self, row: Written, old: Mapping[str, Any]) -> bool:
        return bool(old["row"] == row.says)

    def _has_columns_of(self, row: Mapping[Any, Any]) -> bool:
        """Whether the names in the row can be column names."""
        if not self._columns.issuperset(row):
            new = [name for name in row if name not in self._columns]
            if not all(is_identifier(name) and name not in RESERVED for name in new):
                return False
            self._columns.update(new)
        return True
