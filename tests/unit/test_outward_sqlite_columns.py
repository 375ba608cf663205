"""What the values of each type are stored as in a SQLite copy, and which are none of that type."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest

from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.sqlite_columns import Encoder, SqliteSync
from lorchestra.storacle.params import parse
from lorchestra.storacle.service import RpcError
from lorchestra.storacle.tables import Type

SOURCE = {"dataset": "lab", "table": "samples"}
NOON = datetime(2026, 1, 2, 12, 30, tzinfo=timezone(timedelta(hours=2)))


def params(type_name: str = "STRING", **changes: Any) -> SqliteSync:
    columns = [MappingProxyType({"name": "id", "type": "STRING"}), {"name": "v", "type": type_name}]
    value = {"path": "a.db", "table": "t", "columns": columns, "key_columns": ["id"], "source": SOURCE, **changes}
    return parse(SqliteSync, value)


def stored(type_name: str, value: Any) -> Any:
    ((_, found),) = Encoder(params(type_name).table_of({}), ()).encode([{"id": "k", "v": value}])
    return found


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("INT64", -(2**63), -(2**63)),
        ("FLOAT64", 3, 3.0),
        ("FLOAT64", 0.1, 0.1),
        ("STRING", "O'Neil; DROP TABLE t --", "O'Neil; DROP TABLE t --"),
        ("BOOL", True, 1),
        ("BOOL", 0, 0),
        ("TIMESTAMP", "2026-01-02T10:30:00Z", "2026-01-02T10:30:00Z"),
        ("TIMESTAMP", NOON, "2026-01-02T10:30:00.000000Z"),
        ("DATE", date(2026, 1, 2), "2026-01-02"),
        ("DATE", "2026-01-02", "2026-01-02"),
        ("JSON", MappingProxyType({"b": [1], "a": None}), '{"a":null,"b":[1]}'),
        ("JSON", "text", '"text"'),
        *((name, None, None) for name in ("INT64", "FLOAT64", "STRING", "BOOL", "TIMESTAMP", "DATE", "JSON")),
    ],
)
def test_a_value_of_the_type_is_stored(type_name: str, value: Any, expected: Any) -> None:
    found = stored(type_name, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("INT64", 2**63),
        ("INT64", True),
        ("INT64", 1.0),
        ("INT64", "1"),
        ("FLOAT64", float("inf")),
        ("FLOAT64", "1.5"),
        ("STRING", 1),
        ("STRING", "\ud800"),
        ("BOOL", 2),
        ("BOOL", "true"),
        ("TIMESTAMP", datetime(2026, 1, 2)),
        ("TIMESTAMP", 0),
        ("DATE", datetime(2026, 1, 2, tzinfo=UTC)),
        ("JSON", {1, 2}),
    ],
)
def test_another_value_is_refused_by_its_place(type_name: str, value: Any) -> None:
    with pytest.raises(RpcError) as raised:
        stored(type_name, value)
    assert raised.value.data() == {"pointer": "/rows/0/v"}
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("row", "at"),
    [({"v": "x"}, ("rows", 1, "id")), ({"id": "k", "other": "x"}, ("rows", 1))],
    ids=["no key", "unknown"],
)
def test_a_row_has_its_key_and_no_other_columns(row: Any, at: Any) -> None:
    with pytest.raises(RpcError) as raised:
        list(Encoder(params().table_of({}), ()).encode([{"id": "first"}, row]))
    assert (raised.value.code, raised.value.at) == (ErrorCode.INVALID_PARAMS, at)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"table": 't"; DROP TABLE x --'}, ("table",)),
        ({"table": "sqlite_master"}, ("table",)),
        ({"table": "_Lorchestra_sync"}, ("table",)),
        ({"columns": [{"name": "id", "type": "STRING"}, {"name": "ID", "type": "STRING"}]}, ("columns",)),
        ({"columns": [{"name": 'a"b', "type": "STRING"}]}, ("columns", 0, "name")),
        ({"columns": [{"name": "id", "type": "BLOB"}]}, ("columns", 0, "type")),
        ({"columns": []}, ("columns",)),
        ({"key_columns": []}, ("key_columns",)),
        ({"source": None}, ("source",)),
        ({"source": {**SOURCE, "where": {"a b": 1}}}, ("source", "where")),
        ({"source": {**SOURCE, "unprocessed": "copy"}}, ("source", "unprocessed")),
        ({"projected_at": "2026-01-01T00:00:00"}, ("projected_at",)),
        ({"projected_at": "now"}, ("projected_at",)),
        ({"projected_at": 1}, ("projected_at",)),
        ({"more": 1}, ("more",)),
    ],
)
def test_params_are_refused_by_their_place(changes: Any, at: Any) -> None:
    with pytest.raises(RpcError) as raised:
        params(**changes)
    assert raised.value.at == at


def test_without_columns_they_are_those_of_the_source() -> None:
    found = {"id": Type.STRING, "n": Type.INT64}
    table = params(columns=None).table_of(found)
    assert [(column.name, column.type) for column in table.columns] == [*found.items()]


@pytest.mark.parametrize(
    ("changes", "found", "at"),
    [
        ({"columns": None}, {"id": Type.STRING, "n": None}, "columns"),
        ({"columns": None}, {"id": Type.STRING, "payload.n": Type.JSON}, "columns"),
        ({"columns": None}, {"id": Type.STRING, "ID": Type.STRING}, "columns"),
        ({"columns": None}, {}, "columns"),
        ({"columns": None}, {"n": Type.STRING}, "key_columns"),
        ({}, {"id": Type.STRING, "other": Type.STRING}, "columns"),
        ({"key_columns": ["unknown"]}, {}, "key_columns"),
        ({"key_columns": ["projected_at"], "projected_at": "2026-01-01T00:00:00Z"}, {}, "key_columns"),
        (
            {"columns": [{"name": name, "type": "STRING"} for name in ("id", "PROJECTED_AT")], "projected_at": NOON},
            {},
            "columns",
        ),
    ],
)
def test_a_table_that_cannot_be_made_of_the_source_is_refused_by_its_place(changes: Any, found: Any, at: str) -> None:
    with pytest.raises(RpcError) as raised:
        params(**changes).table_of(found, ("params",))
    assert (raised.value.code, raised.value.at) == (ErrorCode.INVALID_PARAMS, ("params", at))
