"""The functions that compiled SQL calls, on a connection to SQLite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from lorchestra.storacle.sql import json_paths, patterns, time_formats, times, values

if TYPE_CHECKING:
    from sqlite3 import Connection

PREFIX = "lorch_"

Function: TypeAlias = Callable[..., Any]

# Any argument that is NULL makes NULL of these.
_STRICT: Mapping[str, Function] = {
    "int64": values.int64,
    "float64": values.float64,
    "bool": values.boolean,
    "string": values.string,
    "timestamp": times.timestamp,
    "date": times.to_date,
    "divide": values.divide,
    "safe_divide": values.safe_divide,
    "div": values.div,
    "mod": values.mod,
    "round": values.round_half_up,
    "floor": values.floor,
    "ceil": values.ceil,
    "lower": str.lower,
    "upper": str.upper,
    "trim": values.trim,
    "ltrim": values.ltrim,
    "rtrim": values.rtrim,
    "substr": values.substr,
    "length": len,
    "starts_with": lambda text, start: int(text.startswith(start)),
    "ends_with": lambda text, end: int(text.endswith(end)),
    "timestamp_text": times.timestamp_text,
    "timestamp_trunc": times.timestamp_trunc,
    "date_trunc": times.date_trunc,
    "date_diff": times.date_diff,
    "timestamp_diff": times.timestamp_diff,
    "timestamp_add": times.timestamp_add,
    "date_add": times.date_add,
    "extract": times.extract,
    "unix": times.unix,
    "from_unix": times.from_unix,
    "format_time": time_formats.format_time,
    "parse_timestamp": time_formats.parse_timestamp,
    "parse_date": time_formats.parse_date,
}
# Those of which a call may fail, and have a form that gives NULL instead.
_SAFE = ("int64", "float64", "bool", "string", "timestamp", "date", "parse_timestamp", "parse_date")

_PLAIN: Mapping[str, Function] = {
    "split": json_paths.split,
    "like": patterns.like,
    "regexp_contains": patterns.contains,
    "regexp_extract": patterns.extract,
    "regexp_replace": patterns.replace,
}


class StringAgg:
    """STRING_AGG: (value, separator, is distinct, directions, key...); the keys' directions are `a` and `d`."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, tuple[Any, ...]]] = []
        self._separator = ""
        self._is_distinct = False
        self._directions = ""

    def step(self, value: str | None, separator: str, is_distinct: int, directions: str, *keys: Any) -> None:
        self._separator, self._is_distinct, self._directions = separator, bool(is_distinct), directions
        if value is not None:
            self._rows.append((value, keys))

    def finalize(self) -> str | None:
        if not self._rows:
            return None
        # The last key first: sorting keeps the order of equals.
        for number, direction in reversed(tuple(enumerate(self._directions))):
            self._rows.sort(key=functools.partial(_key, number), reverse=direction == "d")
        texts = [value for value, _ in self._rows]
        return self._separator.join(dict.fromkeys(texts) if self._is_distinct else texts)


def _key(number: int, row: tuple[str, tuple[Any, ...]]) -> tuple[bool, Any]:
    key = row[1][number]
    return (key is not None, key)


def register(connection: Connection) -> None:
    """Let compiled SQL run on a connection. A failing call is an OperationalError, which says nothing of values."""
    documents = json_paths.Documents()
    functions = {
        **_PLAIN,
        **{name: _strict(function) for name, function in _STRICT.items()},
        **{f"safe_{name}": _safe(_strict(_STRICT[name])) for name in _SAFE},
        "json_value": documents.value,
        "json_query": documents.query,
        "json_query_array": documents.query_array,
        "json_value_array": documents.value_array,
    }
    for name, function in functions.items():
        connection.create_function(PREFIX + name, -1, function, deterministic=True)
    # The stubs of SQLite know no aggregate that takes several values.
    connection.create_aggregate(PREFIX + "string_agg", -1, StringAgg)  # type: ignore[arg-type]


def _strict(function: Function) -> Function:
    def call(*arguments: Any) -> Any:
        return None if None in arguments else function(*arguments)

    return call


def _safe(function: Function) -> Function:
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (ValueError, OverflowError):
            return None

    return call
