"""Queries in BigQuery SQL become queries of SQLite, which is asked for their rows here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from lorchestra.storacle.sql.compilation import Relation, TableName, compile_select, compile_statement
from lorchestra.storacle.sql.functions import register
from lorchestra.storacle.sql.kinds import Kind

COLUMNS = {"idem_key": "STRING", "payload": "JSON", "Number": "INT64", "first_seen": "TIMESTAMP", "is_read": "BOOL"}


def resolve(name: TableName) -> Relation | None:
    return Relation(f"smoke_x__{name.dataset}__{name.table}", COLUMNS) if name.table == "raw_objects" else None


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    register(connection)
    connection.execute(
        'CREATE TABLE "smoke_x__raw__raw_objects" '
        "(idem_key TEXT, payload TEXT, Number INTEGER, first_seen TEXT, is_read INTEGER)"
    )
    connection.executemany(
        'INSERT INTO "smoke_x__raw__raw_objects" VALUES (?, ?, ?, ?, ?)',
        [
            ("a", '{"name": "Ada", "tags": ["x", "y"], "n": 1.50}', 1, "2024-02-29T10:00:00.000000Z", 1),
            ("b", "no json", None, "2024-03-01T10:00:00.250000Z", 0),
            ("c", None, 3, None, None),
        ],
    )
    yield connection
    connection.close()


def rows(connection: sqlite3.Connection, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
    return connection.execute(compile_select(sql, tables=resolve).sqlite_sql, parameters).fetchall()


def value(connection: sqlite3.Connection, expression: str) -> Any:
    ((found,),) = rows(connection, f"SELECT {expression} AS x")
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("SAFE_CAST('x' AS INT64)", None),
        ("SAFE_CAST('1.5' AS INT64)", None),
        ("SAFE_CAST('0x1F' AS INT64)", 31),
        ("SAFE_CAST('9223372036854775808' AS INT64)", None),
        ("CAST(2.5 AS INT64)", 3),
        ("CAST(-2.5 AS INT64)", -3),
        ("SAFE_CAST('1e3' AS FLOAT64)", 1000.0),
        ("SAFE_CAST('1_000' AS FLOAT64)", None),
        ("SAFE_CAST('1e999' AS FLOAT64)", None),
        ("SAFE_CAST('yes' AS BOOL)", None),
        ("SAFE_CAST('TRUE' AS BOOL)", 1),
        ("CAST(FALSE AS STRING)", "false"),
        ("CAST(12 AS STRING)", "12"),
        ("SAFE_CAST('2024-02-30' AS DATE)", None),
        ("SAFE_CAST('2024-2-9' AS DATE)", "2024-02-09"),
        ("SAFE_CAST('2024-02-29T10:00:00+02:00' AS TIMESTAMP)", "2024-02-29T08:00:00.000000Z"),
        ("SAFE_CAST('2024-02-29 10:00:00.5' AS TIMESTAMP)", "2024-02-29T10:00:00.500000Z"),
        ("SAFE_CAST('2024-02-29 25:00:00' AS TIMESTAMP)", None),
        ("SAFE_CAST('2024-02-29 10:00:00+99:00' AS TIMESTAMP)", None),
        ("CAST(TIMESTAMP '2024-02-29 10:00:00.5Z' AS STRING)", "2024-02-29 10:00:00.500+00"),
        ("CAST(TIMESTAMP '2024-02-29' AS STRING)", "2024-02-29 00:00:00+00"),
        ("CAST(DATE '2024-02-29' AS TIMESTAMP)", "2024-02-29T00:00:00.000000Z"),
        ("TIMESTAMP('2024-02-29')", "2024-02-29T00:00:00.000000Z"),
        ("PARSE_TIMESTAMP('%d/%b/%Y %I:%M %p', '29/Feb/2024 12:05 am')", "2024-02-29T00:05:00.000000Z"),
        ("PARSE_TIMESTAMP('%FT%H:%M:%E*S%Ez', '2024-02-29T10:00:01.25-01:30')", "2024-02-29T11:30:01.250000Z"),
        ("SAFE.PARSE_TIMESTAMP('%F', '29.02.2024')", None),
        ("FORMAT_TIMESTAMP('%I:%M %p %e %E3S %G-W%V %y %%', TIMESTAMP '2024-02-09 00:05:06.789')",
         "12:05 AM  9 06.789 2024-W06 24 %"),
        ("DATE_ADD(DATE '2024-02-29', INTERVAL 1 YEAR)", "2025-02-28"),
        ("DATE_SUB(DATE '2024-03-31', INTERVAL 1 MONTH)", "2024-02-29"),
        ("DATE_DIFF(DATE '2024-01-01', DATE '2023-12-31', YEAR)", 1),
        ("DATE_DIFF(DATE '2024-01-07', DATE '2024-01-06', WEEK)", 1),
        ("TIMESTAMP_DIFF(TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-02 12:00:00', DAY)", -1),
        ("TIMESTAMP_TRUNC(TIMESTAMP '1969-07-20 20:17:40', HOUR)", "1969-07-20T20:00:00.000000Z"),
        ("SAFE_CAST(1e300 AS INT64)", None),
        ("ROUND(1e300, 2)", 1e300),
        ("FLOOR(CAST('inf' AS FLOAT64))", float("inf")),
        ("7 / 2", 3.5),
        ("DIV(-7, 2)", -3),
        ("MOD(-7, 2)", -1),
        ("SAFE_DIVIDE(1, 0)", None),
        ("ROUND(2.675, 2)", 2.68),
        ("GREATEST(1, NULL)", None),
        ("LEAST(2)", 2),
        ("SUBSTR('abc', 0, 2)", "ab"),
        ("SUBSTR('abc', -5)", "abc"),
        ("LOWER('ÄB')", "äb"),
        ("'a' = 'A'", 0),
        ("'Gmail' LIKE 'g%'", 0),
        (r"'a_b' LIKE 'a\\_b'", 1),
        ("CONCAT('a', NULL)", None),
        (r"REGEXP_REPLACE('aXbX', r'x*', '-')", "-a-X-b-X-"),
        (r"REGEXP_REPLACE('baac', 'a*', '-')", "-b-c-"),
        (r"REGEXP_EXTRACT('a1', r'(\d)(?:x)?')", "1"),
        (r"REGEXP_CONTAINS('a\n', r'^a$')", 0),
        (r"REGEXP_CONTAINS('٣', r'\d')", 0),
        ("'it''s'", "it"),
    ],
)  # fmt: skip
def test_an_expression_has_the_value_that_bigquery_gives(
    connection: sqlite3.Connection, expression: str, expected: object
) -> None:
    if expression == "'it''s'":
        expression, expected = r"'it\'s \"x\"; --'", 'it\'s "x"; --'

    assert value(connection, expression) == expected


@pytest.mark.parametrize(
    "expression",
    ["1 / 0", "DIV(1, 0)", "CAST('secret' AS INT64)", "CAST('secret' AS TIMESTAMP)", "PARSE_TIMESTAMP('%F', 'secret')"],
)
def test_what_fails_in_bigquery_fails_without_a_value_in_the_message(
    connection: sqlite3.Connection, expression: str
) -> None:
    with pytest.raises(sqlite3.OperationalError) as failed:
        value(connection, expression)

    assert "secret" not in str(failed.value)


def test_a_json_payload_that_cannot_be_read_has_no_values(connection: sqlite3.Connection) -> None:
    found = rows(
        connection, "SELECT JSON_VALUE(payload, '$.name') AS n, JSON_QUERY(payload, '$.tags') AS t FROM raw.raw_objects"
    )

    assert found == [("Ada", '["x","y"]'), (None, None), (None, None)]


def test_elements_of_an_array_come_with_their_position(connection: sqlite3.Connection) -> None:
    found = rows(
        connection,
        "SELECT idem_key, tag, i FROM raw.raw_objects, UNNEST(JSON_VALUE_ARRAY(payload, '$.tags')) AS tag "
        "WITH OFFSET AS i WHERE i > 0",
    )

    assert found == [("a", "y", 1)]


def test_the_same_name_for_two_arrays_means_the_nearest(connection: sqlite3.Connection) -> None:
    found = rows(
        connection,
        "SELECT item, (SELECT MAX(item) FROM UNNEST(['p', 'q']) AS item) AS inner_item FROM UNNEST(['a']) AS item",
    )

    assert found == [("a", "q")]


def test_nulls_come_first_ascending_and_last_descending(connection: sqlite3.Connection) -> None:
    ascending = rows(connection, "SELECT idem_key FROM raw.raw_objects ORDER BY number")
    descending = rows(connection, "SELECT idem_key FROM raw.raw_objects ORDER BY number DESC")

    assert ascending == [("b",), ("a",), ("c",)]
    assert descending == [("c",), ("a",), ("b",)]


def test_a_parameter_is_bound_and_never_read_as_sql(connection: sqlite3.Connection) -> None:
    query = compile_select("SELECT idem_key FROM raw.raw_objects WHERE idem_key = @key", tables=resolve)

    assert query.parameters == ("key",)
    assert rows(connection, "SELECT idem_key FROM raw.raw_objects WHERE idem_key = @key", key="a' OR '1'='1") == []


def test_a_query_says_what_it_reads_and_what_its_columns_are() -> None:
    query = compile_select(
        "SELECT *, DATE(first_seen) AS Day, number / 2 AS half FROM `proj.raw.raw_objects`", tables=resolve
    )

    assert query.tables == (TableName("raw", "raw_objects", "proj"),)
    assert dict(query.columns) == {
        "idem_key": Kind.STRING,
        "payload": Kind.JSON,
        "Number": Kind.INT64,
        "first_seen": Kind.TIMESTAMP,
        "is_read": Kind.BOOL,
        "Day": Kind.DATE,
        "half": Kind.FLOAT64,
    }


def test_a_with_of_the_name_of_a_table_is_not_the_table(connection: sqlite3.Connection) -> None:
    found = rows(
        connection,
        "WITH smoke_x__raw__raw_objects AS (SELECT idem_key FROM raw.raw_objects WHERE number = 1) "
        "SELECT idem_key FROM smoke_x__raw__raw_objects",
    )

    assert found == [("a",)]


def test_a_text_meets_a_timestamp_as_a_timestamp(connection: sqlite3.Connection) -> None:
    found = rows(connection, "SELECT idem_key FROM raw.raw_objects WHERE first_seen > '2024-03-01 11:00:00+02:00'")

    assert found == [("b",)]


def test_a_view_is_replaced_and_reads_what_the_query_reads(connection: sqlite3.Connection) -> None:
    for number in (1, 3):
        made = compile_statement(
            f"CREATE OR REPLACE VIEW derived.`chosen` AS SELECT idem_key FROM raw.raw_objects WHERE number = {number}",
            tables=resolve,
            target=lambda name: f"{name.dataset}__{name.table}",
        )
        for statement in made.statements:
            connection.execute(statement)

    assert (made.kind, made.target) == ("view", TableName("derived", "chosen"))
    assert connection.execute('SELECT * FROM "derived__chosen"').fetchall() == [("c",)]


def test_a_table_can_be_made_of_itself_and_keeps_its_texts(connection: sqlite3.Connection) -> None:
    made = compile_statement(
        "CREATE OR REPLACE TABLE raw.raw_objects AS SELECT '007' AS idem_key, number FROM raw.raw_objects",
        tables=resolve,
        target=lambda name: f"smoke_x__{name.dataset}__{name.table}",
    )
    for statement in made.statements:
        connection.execute(statement)

    assert connection.execute("SELECT * FROM smoke_x__raw__raw_objects ORDER BY 2").fetchall() == [
        ("007", None),
        ("007", 1),
        ("007", 3),
    ]


def test_the_physical_name_of_a_view_is_never_read_as_sql() -> None:
    made = compile_statement(
        "CREATE OR REPLACE VIEW d.v AS SELECT 1 AS x", tables=resolve, target=lambda name: 'v"; DROP TABLE x; --'
    )

    assert made.statements[0] == 'DROP VIEW IF EXISTS "v""; DROP TABLE x; --"'


def test_the_same_query_compiles_to_the_same_text() -> None:
    sql = "SELECT a.idem_key, b.number FROM raw.raw_objects AS a JOIN raw.raw_objects AS b USING (idem_key)"

    assert compile_select(sql, tables=resolve) == compile_select(sql, tables=resolve)
