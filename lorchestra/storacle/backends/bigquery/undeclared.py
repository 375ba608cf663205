"""A table that nobody declared: made by the first who writes it, its rows JSON objects under their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from google.cloud.bigquery import SchemaField

from lorchestra.json_value import canonical_bytes
from lorchestra.storacle.backends import keys
from lorchestra.storacle.backends.bigquery.layout import Incoming, Moment
from lorchestra.storacle.backends.bigquery.names import quoted
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import is_identifier
from lorchestra.storacle.plain_values import kind_of
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import CONTENT_HASH, OP, RESERVED, Type

KEY = "_key"
ROW = "row"


class UndeclaredLayout:
    key_names: tuple[str, ...] = (KEY,)
    schema: tuple[SchemaField, ...] = (
        SchemaField(KEY, "STRING", mode="REQUIRED"),
        SchemaField(ROW, "JSON"),
        SchemaField(CONTENT_HASH, "STRING", mode="REQUIRED"),
        SchemaField(OP, "INT64"),
    )
    staged: Mapping[str, Type] = {KEY: Type.STRING, ROW: Type.JSON}

    def __init__(self, key_columns: tuple[str, ...]) -> None:
        self.key_columns = key_columns

    def read_in(self, row: object) -> Incoming:
        if not isinstance(row, Mapping) or not all(is_identifier(name) and name not in RESERVED for name in row):
            raise RpcError(ErrorCode.INVALID_PARAMS)
        try:
            encoded = canonical_bytes(row)
        except TypeError:
            raise RpcError(ErrorCode.INVALID_PARAMS) from None
        # A date is text once it is JSON, so only what JSON holds can say what the key is.
        plain: dict[str, Any] = orjson.loads(encoded)
        key = keys.encode(plain.get(column) for column in self.key_columns)
        if key is None:
            missing = next(column for column in self.key_columns if kind_of(plain.get(column)) is None)
            raise RpcError(ErrorCode.INVALID_PARAMS, at=(missing,))
        values = {KEY: key.hex(), ROW: encoded.decode()}
        return Incoming(key=key, values=values, names=frozenset(plain))

    def key_of(self, row: object) -> Incoming:
        return self.read_in(row)

    def merged(self, prefix: str, names: frozenset[str], moment: Moment, *, over_old: bool) -> Mapping[str, str]:
        said = f"PARSE_JSON(s.{quoted(prefix + ROW)}, wide_number_mode=>'round')"
        old = f"COALESCE(t.{quoted(ROW)}, JSON '{{}}')" if over_old else "JSON '{}'"
        pairs = ", ".join(f"'$.{name}', JSON_QUERY({said}, '$.{name}')" for name in sorted(names))
        return {KEY: f"s.{quoted(prefix + KEY)}", ROW: f"JSON_SET({old}, {pairs})"}

    content = f"TO_JSON_STRING({quoted(ROW)})"

    def verdict(self, names: frozenset[str]) -> str | None:
        return None

    def updated(self, names: frozenset[str]) -> Sequence[str]:
        return [ROW]

    touched: Sequence[str] = ()
